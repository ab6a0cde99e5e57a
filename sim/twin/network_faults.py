"""A bad network in virtual time: what may happen to packets between the runner and the twin, in either direction.

Time is counted in whole ticks of the link (2 ms), so that a trial is exactly repeatable.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from dataclasses import dataclass
from typing import Callable, Deque, Dict, List, Optional, Tuple

import numpy as np

from deploy.onboard.clock import Clock
from deploy.onboard.link import PacketNotSentError
from robot_configs.errors import Go1Error
from sim.twin.transport import TwinTransport

_REPLAY_MEMORY = 256  # packets, half a second

Generator = np.random.Generator


def _ignore(_: object) -> None:
    """Nobody wants to know."""


def _flip_one_bit(packet: bytes, generator: Generator) -> bytes:
    """Where the CRC looks: it covers whole words only, 608 bytes of a LowCmd and 800 of a LowState."""
    covered = (len(packet) - 4) // 4 * 4
    position, bit = int(generator.integers(covered)), int(generator.integers(8))
    return packet[:position] + bytes([packet[position] ^ (1 << bit)]) + packet[position + 1 :]


MALFORMED: Dict[str, Callable[[bytes, Generator], bytes]] = {
    "random_bytes": lambda packet, generator: generator.bytes(len(packet)),
    "random_length": lambda packet, generator: generator.bytes(int(generator.integers(2048))),
    "empty": lambda packet, generator: b"",
    "truncated": lambda packet, generator: packet[: int(generator.integers(len(packet)))],
    "one_byte_short": lambda packet, generator: packet[:-1],
    "one_byte_long": lambda packet, generator: packet + generator.bytes(1),
    "one_bit_flipped": _flip_one_bit,
    "wrong_checksum": lambda packet, generator: packet[:-4] + generator.bytes(4),
    "zeros": lambda packet, generator: bytes(len(packet)),
}
"""Ways to make a packet that is none out of a good one, by name."""


class NetworkFaultError(Go1Error):
    """A fault of the network that cannot be."""


@dataclass(frozen=True)
class LineFault:
    """What one direction does to every packet; shares are probabilities.

    Attributes:
        loss: dropped.
        latency_ticks: (least, most) of the delay, drawn for each packet [ticks of 2 ms].
        keep_order: a packet waits for those before it; otherwise a faster one overtakes.
        duplicate: comes twice.
        replay: followed by a copy of a packet `replay_age_ticks` older.
        malformed: followed by what `malformed_kind` makes of it; behind it, because the receiver takes the newest.
    """

    loss: float = 0.0
    latency_ticks: Tuple[int, int] = (0, 0)
    keep_order: bool = True
    duplicate: float = 0.0
    replay: float = 0.0
    replay_age_ticks: int = 50
    malformed: float = 0.0
    malformed_kind: str = "random_bytes"

    def __post_init__(self) -> None:
        shares = {name: getattr(self, name) for name in ("loss", "duplicate", "replay", "malformed")}
        for name, share in shares.items():
            if not 0.0 <= share <= 1.0:
                raise NetworkFaultError(f"a {name} within [0, 1]", f"{share}", "Give a probability.")
        least, most = self.latency_ticks
        if not 0 <= least <= most:
            raise NetworkFaultError("latency ticks 0 <= least <= most", f"{self.latency_ticks}", "Correct them.")
        if not 0 < self.replay_age_ticks <= _REPLAY_MEMORY:
            raise NetworkFaultError(f"a replay age up to {_REPLAY_MEMORY}", f"{self.replay_age_ticks}", "Lower it.")
        if self.malformed_kind not in MALFORMED:
            raise NetworkFaultError(f"a kind among {', '.join(MALFORMED)}", self.malformed_kind, "Correct the name.")


SOUND = LineFault()
"""Nothing wrong."""


class Line:
    """One direction of the network."""

    def __init__(self) -> None:
        self._fault = SOUND
        self._generator = np.random.default_rng(0)
        self._on_the_way: List[Tuple[int, int, bytes]] = []
        self._number = itertools.count()
        self._past: Deque[bytes] = deque(maxlen=_REPLAY_MEMORY)
        self._last_due = 0

    def disturb(self, fault: LineFault, seed: int) -> None:
        """From now on `fault` happens, by the dice of `seed`; packets on their way keep their delay."""
        self._fault, self._generator = fault, np.random.default_rng(seed)

    def mend(self) -> None:
        """The line is sound again."""
        self._fault = SOUND

    def put(self, packet: bytes, tick: int) -> None:
        """A packet enters at `tick`."""
        fault, generator = self._fault, self._generator
        self._past.append(packet)
        if fault == SOUND:
            self._last_due = max(tick, self._last_due)
            self._push(self._last_due, packet)
            return
        # All drawn every time, so that the same seed loses the same packets whatever else is wrong.
        lost, doubled, replayed, mangled = generator.random(4) < (
            fault.loss,
            fault.duplicate,
            fault.replay,
            fault.malformed,
        )
        least, most = fault.latency_ticks
        due = tick + int(generator.integers(least, most + 1))
        if fault.keep_order:
            due = self._last_due = max(due, self._last_due)
        for _ in range(0 if lost else 1 + int(doubled)):
            self._push(due, packet)
        if replayed and len(self._past) > fault.replay_age_ticks:
            self._push(due, self._past[-1 - fault.replay_age_ticks])
        if mangled:
            self._push(due, MALFORMED[fault.malformed_kind](packet, generator))

    def take(self, tick: int) -> List[bytes]:
        """The packets that have arrived by `tick`, in the order of their arrival."""
        arrived = []
        while self._on_the_way and self._on_the_way[0][0] <= tick:
            arrived.append(heapq.heappop(self._on_the_way)[2])
        return arrived

    def _push(self, due: int, packet: bytes) -> None:
        heapq.heappush(self._on_the_way, (due, next(self._number), packet))


class FaultyNetwork:
    """A `PacketTransport` to a twin whose time follows `clock`: the robot goes on while the runner stalls.

    With two sound lines it is a `TwinTransport`. As a UDP socket does, `receive` returns the packet that arrived last
    and counts the others as skipped.

    Args:
        before_tick: called with the number of every tick of the twin before it is simulated: faults are set there.
        on_sent: called with every packet that the runner sends, whether it arrives or not.
        on_accepted: called with every packet that the twin's motors follow.
    """

    def __init__(
        self,
        twin: TwinTransport,
        clock: Clock,
        before_tick: Callable[[int], None] = _ignore,
        on_sent: Callable[[bytes], None] = _ignore,
        on_accepted: Callable[[bytes], None] = _ignore,
    ) -> None:
        self._twin, self._clock = twin, clock
        self._before_tick, self._on_sent, self._on_accepted = before_tick, on_sent, on_accepted
        self.to_robot, self.from_robot = Line(), Line()
        self.unplugged = False
        """The cable is out at the runner's end: sending fails, and nothing comes."""
        self.packets_skipped = 0
        self._tick = 0

    def send(self, packet: bytes) -> None:
        """See `PacketTransport.send`."""
        self._on_sent(packet)
        if self.unplugged:
            raise PacketNotSentError("a cable", "none", "Plug it in.")
        self.to_robot.put(packet, self._tick)

    def receive(self, timeout_s: float) -> Optional[bytes]:
        """Let the twin catch up with the clock; the packet that has arrived last, or None."""
        now = int(self._clock.now_s() * self._twin.body.robot.link_hz + 0.5)
        while self._tick < now:
            self._before_tick(self._tick)
            for packet in self.to_robot.take(self._tick):
                if self._twin.accept(packet):
                    self._on_accepted(packet)
            state = self._twin.receive(0.0)
            self._tick += 1
            if not self.unplugged:
                self.from_robot.put(state, self._tick)
        arrived = self.from_robot.take(self._tick)
        self.packets_skipped += max(0, len(arrived) - 1)
        return arrived[-1] if arrived else None

    def close(self) -> None:
        """See `PacketTransport.close`."""
        self._twin.close()
