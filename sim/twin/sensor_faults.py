"""What a broken sensor says: faults of one channel, between the twin's sensors and the wire."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Iterable, Literal, Tuple, get_args

import numpy as np

from deploy.onboard.wire import RobotState
from robot_configs.errors import Go1Error
from sim.twin.sensor_channels import CHANNELS, Channel

SensorFaultKind = Literal[
    "off",
    "stuck",
    "garbage",
    "wrong",
    "slow",
    "delayed",
    "intermittent",
    "nan",
    "sign_flip",
    "bias_step",
    "spike",
]
SENSOR_FAULT_KINDS: Tuple[SensorFaultKind, ...] = get_args(SensorFaultKind)

_HELD_TICKS = 25  # a slow channel is updated, a delayed one comes, every or after 50 ms of the link's 2 ms ticks
_SPIKE_EVERY_TICKS = 50  # ten spikes a second, one tick each
_CONTACT_OPENS, _CONTACT_CLOSES = 0.05, 0.2  # chance a tick: a loose contact is open a fifth of the time, 10 ms at once


class SensorFaultError(Go1Error):
    """A fault that does not exist, or that the channel cannot have."""


@dataclass(frozen=True)
class SensorFault:
    """One channel and what happens to it.

    Attributes:
        channel: a key of `sensor_channels.CHANNELS`.
        kind: off (zeros), stuck (the value at onset), garbage (random bits every tick), wrong (a plausible value that
            belongs elsewhere), slow (updated at 20 Hz), delayed (by 50 ms), intermittent (zero at first, then a fifth
            of the time), nan, sign_flip, bias_step, spike (by the channel's own amounts; ten single ticks a second).
        seed: of the random kinds.
    """

    channel: str
    kind: SensorFaultKind
    seed: int = 0

    def __post_init__(self) -> None:
        if self.channel not in CHANNELS:
            raise SensorFaultError(f"a channel among {', '.join(CHANNELS)}", self.channel, "Correct the name.")
        if self.kind not in SENSOR_FAULT_KINDS:
            raise SensorFaultError(f"a kind among {', '.join(SENSOR_FAULT_KINDS)}", self.kind, "Correct the name.")
        if self.kind == "nan" and not CHANNELS[self.channel].can_be_nan:
            raise SensorFaultError(
                "a channel of floating-point numbers", f"{self.channel}, integers on the wire", "Choose another kind."
            )


SENSOR_MEMORY_TICKS = _HELD_TICKS
"""How many states before the onset a fault needs to know."""


class BrokenSensor:
    """Applies a fault to every state from its onset on.

    Args:
        past: the states before, newest last; a delay begins with them.
    """

    def __init__(self, fault: SensorFault, past: Iterable[RobotState] = ()) -> None:
        self._channel: Channel = CHANNELS[fault.channel]
        self._kind = fault.kind
        self._generator = np.random.default_rng(fault.seed)
        self._past = deque((self._channel.read(state) for state in past), maxlen=_HELD_TICKS + 1)
        self._held = np.zeros(0)
        self._ticks = 0
        self._contact_open = True

    def __call__(self, state: RobotState) -> RobotState:
        """What the robot reports instead of `state`; called once every tick."""
        values = self._channel.read(state)
        self._past.append(values)
        broken = self._broken(values, state)
        self._ticks += 1
        return self._channel.write(state, broken)

    def _broken(self, values: np.ndarray, state: RobotState) -> np.ndarray:
        channel, kind = self._channel, self._kind
        if kind == "off":
            return np.zeros_like(values)
        if kind == "nan":
            return np.full_like(values, math.nan)
        if kind == "garbage":
            return channel.random_bits(self._generator)
        if kind == "wrong":
            return channel.misplaced(state)
        if kind == "sign_flip":
            return channel.negated(values)
        if kind == "bias_step":
            return channel.offset(values, channel.bias)
        if kind == "delayed":
            return self._past[0]
        if kind == "spike":
            return channel.offset(values, channel.spike) if self._ticks % _SPIKE_EVERY_TICKS == 0 else values
        if kind == "intermittent":
            contact_is_open = self._contact_open
            chance = 1.0 - _CONTACT_CLOSES if contact_is_open else _CONTACT_OPENS
            self._contact_open = self._generator.random() < chance
            return np.zeros_like(values) if contact_is_open else values
        due = self._ticks == 0 or (kind == "slow" and self._ticks % _HELD_TICKS == 0)
        self._held = values if due else self._held
        return self._held
