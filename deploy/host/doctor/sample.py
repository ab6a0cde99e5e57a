"""A few seconds of a robot's packets as they came, and what can be read out of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Mapping, Optional, Tuple

import numpy as np

from deploy.onboard.packet_layout import (
    HEAD,
    LEVEL_HIGH,
    LOW_STATE,
    MOTORS,
    PacketCrcError,
    require_intact,
)


@dataclass(frozen=True)
class Datagram:
    """One packet."""

    arrival_s: float
    """On this machine's monotonic clock [s]."""
    payload: bytes


@dataclass(frozen=True)
class Sample:
    """What was heard while damping commands were sent at the link's rate."""

    host: str
    port: int
    duration_s: float
    """How long was listened [s]."""
    commands_sent: int
    network_errors: Mapping[str, int]
    """What the socket complained about, by the name of the errno: ECONNREFUSED, ENETUNREACH, EADDRINUSE, ..."""
    source_address: Optional[str]
    """This machine's address on the way to the robot; None without a way."""
    datagrams: Tuple[Datagram, ...]
    wall_time_s: float
    """This machine's date [s since 1970]."""
    worst_late_s: float = 0.0
    """How late this program itself came to its latest turn, because its computer was busy [s]."""


@dataclass(frozen=True)
class Reading:
    """The sample's packets, sorted by what they are. Arrays are in the order of arrival."""

    sample: Sample
    lengths: Mapping[int, int]
    """Packets by their length in bytes, those of LowState's length left out."""
    foreign: int
    """Packets of the right length that do not begin as the Go1's do."""
    high_level: int
    """Packets of sport mode."""
    damaged: int
    """Packets whose checksum is wrong."""
    empty: int
    """Packets in which everything between header and checksum is zero, with or without a header."""
    arrival_s: np.ndarray
    """(N,) float64: of the intact ones [s]."""
    states: np.ndarray
    """(N,) records of dtype LOW_STATE: the intact ones."""

    @property
    def motors(self) -> np.ndarray:
        """(N, 12) records of the motors in use."""
        motors: np.ndarray = self.states["motors"][:, :MOTORS]
        return motors

    @cached_property
    def tick_steps_ms(self) -> np.ndarray:
        """(N - 1,) int64: advance of the controller's tick from state to state [ms], the shorter way round 2**32."""
        advance: np.ndarray = np.diff(self.states["tick"].astype(np.int64))
        return np.mod(advance + 2**31, 2**32) - 2**31


_CONTENT = slice(22, 800)
"""Between the header and the reserve and checksum at the end."""


def read_sample(sample: Sample) -> Reading:
    """Sort the packets of a sample."""
    lengths: dict[int, int] = {}
    foreign = high_level = damaged = empty = 0
    intact: list[Datagram] = []
    for datagram in sample.datagrams:
        payload = datagram.payload
        if len(payload) != LOW_STATE.itemsize:
            lengths[len(payload)] = lengths.get(len(payload), 0) + 1
        elif not any(payload[_CONTENT]):
            empty += 1
        elif payload[:2] != HEAD:
            foreign += 1
        elif payload[2] == LEVEL_HIGH:
            high_level += 1
        elif _is_damaged(payload):
            damaged += 1
        else:
            intact.append(datagram)
    states = np.frombuffer(b"".join(datagram.payload for datagram in intact), dtype=LOW_STATE)
    arrival_s = np.array([datagram.arrival_s for datagram in intact])
    return Reading(sample, lengths, foreign, high_level, damaged, empty, arrival_s, states)


def _is_damaged(payload: bytes) -> bool:
    try:
        require_intact("LowState", payload, LOW_STATE.itemsize)
    except PacketCrcError:
        return True
    return False
