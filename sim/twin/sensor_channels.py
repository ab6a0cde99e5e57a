"""The channels of a LowState that can break one by one, each as a vector of numbers with its own ways to be wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Dict, Tuple

import numpy as np

from deploy.onboard.packet_layout import TORQUE_QUANTUM
from deploy.onboard.remote import Key, decode_remote, encode_remote, pressed_keys
from deploy.onboard.wire import RobotState
from robot_configs.robot import JOINTS_PER_LEG, load_robot


@dataclass(frozen=True)
class Channel:
    """Entries of one array field of `RobotState`, in the field's unit.

    Attributes:
        field: name in `RobotState`.
        entries: which entries of it.
        wire_type: NumPy type the wire has for an entry; integer entries saturate there and cannot be NaN.
        quantum: what one count of the wire is worth.
        bias, spike: what the faults of these names add.
        neighbour: the entries that a swapped cable would put here.
    """

    field: str
    entries: Tuple[int, ...]
    wire_type: str
    bias: float
    spike: float
    neighbour: Tuple[int, ...]
    quantum: float = 1.0

    @property
    def can_be_nan(self) -> bool:
        """Whether the wire has floating-point numbers for it."""
        return np.dtype(self.wire_type).kind == "f"

    def read(self, state: RobotState) -> np.ndarray:
        """The entries (n,) as float64."""
        return np.asarray(np.atleast_1d(getattr(state, self.field))[list(self.entries)], dtype=np.float64)

    def write(self, state: RobotState, values: np.ndarray) -> RobotState:
        """`state` with these entries (n,) instead of its own, as far as the wire can carry them."""
        before: Any = getattr(state, self.field)
        array = np.array(np.atleast_1d(before))
        if not self.can_be_nan:
            limits = np.iinfo(self.wire_type)
            values = np.clip(np.round(values / self.quantum), limits.min, limits.max) * self.quantum
        with np.errstate(over="ignore"):  # random bits need not fit; infinity is what the wire would say
            array[list(self.entries)] = values
        change: Dict[str, Any] = {self.field: int(array[0]) if isinstance(before, int) else array}
        return replace(state, **change)

    def random_bits(self, generator: np.random.Generator) -> np.ndarray:
        """Entries (n,) of bits that mean nothing."""
        return _from_bits(generator, self.wire_type, len(self.entries)) * self.quantum

    def misplaced(self, state: RobotState) -> np.ndarray:
        """Plausible entries (n,) that belong elsewhere."""
        return np.asarray(np.atleast_1d(getattr(state, self.field))[list(self.neighbour)], dtype=np.float64)

    def negated(self, values: np.ndarray) -> np.ndarray:
        """The entries with the wrong sign."""
        return -values

    def offset(self, values: np.ndarray, amount: float) -> np.ndarray:
        """The entries, all of them wrong by `amount`."""
        return values + amount


class OrientationChannel(Channel):
    """The quaternion (w x y z): still of norm one when its sign or offset is wrong."""

    def negated(self, values: np.ndarray) -> np.ndarray:
        """The inverse rotation: roll, pitch and yaw with the wrong sign (-q would be the same rotation as q)."""
        return values * np.array([1.0, -1.0, -1.0, -1.0])

    def offset(self, values: np.ndarray, amount: float) -> np.ndarray:
        """Turned about the trunk's x axis by `amount` [rad]."""
        w, x, y, z = values
        cosine, sine = math.cos(amount / 2.0), math.sin(amount / 2.0)
        return np.array([w * cosine - x * sine, x * cosine + w * sine, y * cosine + z * sine, z * cosine - y * sine])


class BatteryChannel(Channel):
    """The state of charge, one number [%]: another plausible one is half of it."""

    def misplaced(self, state: RobotState) -> np.ndarray:
        """See `Channel.misplaced`."""
        return self.read(state) // 2.0


class RemoteChannel(Channel):
    """The remote as (keys as a bit set, lx, ly, rx, ry)."""

    def read(self, state: RobotState) -> np.ndarray:
        """See `Channel.read`."""
        sticks = decode_remote(state.remote)
        keys = sum(1 << key for key in pressed_keys(state.remote))
        return np.array([keys, sticks.lx, sticks.ly, sticks.rx, sticks.ry])

    def write(self, state: RobotState, values: np.ndarray) -> RobotState:
        """See `Channel.write`; keys that are no number are none."""
        keys = int(values[0]) if math.isfinite(values[0]) else 0
        pressed = frozenset(key for key in Key if keys >> key & 1)
        return replace(state, remote=encode_remote(pressed, *(float(stick) for stick in values[1:])))

    def random_bits(self, generator: np.random.Generator) -> np.ndarray:
        """See `Channel.random_bits`."""
        return np.concatenate([_from_bits(generator, "<u2", 1), _from_bits(generator, "<f4", 4)])

    def misplaced(self, state: RobotState) -> np.ndarray:
        """The sticks of the other hand."""
        return self.read(state)[[0, 3, 4, 1, 2]]

    def negated(self, values: np.ndarray) -> np.ndarray:
        """The sticks the other way round."""
        return values * np.array([1.0, -1.0, -1.0, -1.0, -1.0])

    def offset(self, values: np.ndarray, amount: float) -> np.ndarray:
        """The sticks off their centre."""
        return values + amount * np.array([0.0, 1.0, 1.0, 1.0, 1.0])


def _from_bits(generator: np.random.Generator, wire_type: str, count: int) -> np.ndarray:
    kind = np.dtype(wire_type)
    with np.errstate(invalid="ignore"):
        return np.frombuffer(generator.bytes(count * kind.itemsize), kind).astype(np.float64)


def _joint_channels() -> Dict[str, Channel]:
    """`joint_position.FR_hip` and so on; a swapped cable reads the same joint of the next leg in the wire's order."""
    fields = (  # bias and spike: a few times what noise and walking do, far inside what the wire can say
        ("joint_position", "<f4", 0.2, 1.0, 1.0),
        ("joint_velocity", "<f4", 5.0, 25.0, 1.0),
        ("joint_torque", "<i2", 8.0, 30.0, TORQUE_QUANTUM),
    )
    names = load_robot().joint_names
    return {
        f"{field}.{name}": Channel(
            field, (joint,), wire_type, bias, spike, ((joint + len(JOINTS_PER_LEG)) % len(names),), quantum
        )
        for field, wire_type, bias, spike, quantum in fields
        for joint, name in enumerate(names)
    }


CHANNELS: Dict[str, Channel] = {
    **_joint_channels(),
    # Axes in another order, and a quaternion that is read as x y z w: the usual mistakes of a driver.
    "gyro": Channel("angular_velocity_trunk_in_trunk", (0, 1, 2), "<f4", 1.0, 10.0, (1, 2, 0)),
    "accelerometer": Channel("accelerometer_trunk_in_trunk", (0, 1, 2), "<f4", 5.0, 50.0, (1, 2, 0)),
    "quaternion": OrientationChannel("orientation_trunk_in_world", (0, 1, 2, 3), "<f4", 0.3, 1.5, (1, 2, 3, 0)),
    "foot_force": Channel("foot_force", (0, 1, 2, 3), "<i2", 500.0, 3000.0, (1, 2, 3, 0)),
    "motor_temperature": Channel("joint_temperature", tuple(range(12)), "<i1", 60.0, 90.0, tuple(range(12))),
    "battery": BatteryChannel("battery_soc_percent", (0,), "<u1", -40.0, -88.0, (0,)),
    "remote": RemoteChannel("remote", (), "<f4", 0.5, 1.0, ()),
    "tick": Channel("tick_ms", (0,), "<u4", 60.0, 5000.0, (0,)),
}
"""Every channel by its name; amounts are in its unit: rad, rad/s, Nm, m/s^2, counts, degC, %, ms, stick travel."""
