"""The typed robot model, loaded from go1.yaml: joints, limits, gains, rates, network, safety thresholds, geometry."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Tuple, Union

import numpy as np
import yaml

from robot_configs.errors import Go1Error

CONFIG_DIR = Path(__file__).resolve().parent
MODEL_XML = CONFIG_DIR / "go1.xml"
JOINTS_PER_LEG = ("hip", "thigh", "calf")

# Quanta of the wire's fixed-point gains (vendor encoder: Kp * 32 and Kd * 16, truncated toward zero).
GRAVITY_M_S2 = 9.81
STIFFNESS_QUANTUM = 1.0 / 32.0
DAMPING_QUANTUM = 1.0 / 16.0


class RobotConfigError(Go1Error):
    """A robot description that lacks a key, has an unknown one, or holds an impossible value."""


@dataclass(frozen=True)
class Gains:
    """Gains of the motors' own PD loop: stiffness [Nm/rad], damping [Nm s/rad]."""

    stiffness: float
    damping: float


@dataclass(frozen=True)
class Network:
    """Where the motor controller listens (UDP), and the port we send from."""

    host: str
    port: int
    local_port: int


@dataclass(frozen=True)
class SafetyThresholds:
    """Limits past which the gate damps the robot; units in the names."""

    tilt_limit_rad: float
    state_age_limit_s: float
    target_age_limit_s: float
    max_target_rate_rad_s: float
    motor_temperature_limit_c: float
    battery_soc_minimum_percent: float
    quaternion_norm_tolerance: float
    max_tick_gap_ms: float


@dataclass(frozen=True)
class PlausibilityThresholds:
    """What no healthy robot measures; units in the names, `factor` of the joint's own limit, `jump` in one tick."""

    joint_position_margin_rad: float
    joint_velocity_factor: float
    joint_torque_factor: float
    angular_velocity_limit_rad_s: float
    specific_force_limit_m_s2: float
    motor_temperature_minimum_c: float
    joint_acceleration_factor: float
    joint_velocity_jump_rad_s: float
    joint_velocity_error_rad_s: float
    joint_position_jump_rad: float
    angular_acceleration_rad_s2: float
    angular_velocity_error_rad_s: float
    rotation_jump_rad: float
    cut_out_joint_speed_rad_s: float
    cut_out_angular_speed_rad_s: float
    frozen_after_s: float
    frozen_alone_after_s: float
    frozen_joint_speed_rad_s: float
    frozen_joint_travel_rad: float
    mismatch_memory_s: float
    mismatch_gap_limit_ms: float
    joint_mismatch_limit_rad: float
    joint_velocity_lag_s: float
    rotation_mismatch_limit_rad: float
    gravity_memory_s: float
    gravity_mismatch_limit_m_s2: float
    free_fall_below_m_s2: float
    free_fall_after_s: float
    clock_drift_s_per_s: float


@dataclass(frozen=True)
class LegGeometry:
    """Lengths of the legs [m]; positions in the trunk frame (x forward, y left, z up)."""

    leg_root_x: float
    leg_root_y: float
    hip_offset: float
    thigh_length: float
    calf_length: float
    foot_radius: float
    imu_in_trunk: Tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class RobotModel:
    """A robot's facts. Joint arrays are read-only float64 of shape (12,), in the order of the wire."""

    name: str
    joint_names: Tuple[str, ...]
    foot_names: Tuple[str, ...]
    joint_lower: np.ndarray
    joint_upper: np.ndarray
    mechanical_lower: np.ndarray
    mechanical_upper: np.ndarray
    torque_limit: np.ndarray
    velocity_limit: np.ndarray
    armature: np.ndarray
    stand_position: np.ndarray
    sit_position: np.ndarray
    stand: Gains
    damp: Gains
    max_stiffness: float
    max_damping: float
    link_hz: int
    control_hz: int
    network: Network
    safety: SafetyThresholds
    plausibility: PlausibilityThresholds
    geometry: LegGeometry
    total_mass_kg: float
    sha256: str

    @property
    def ticks_per_policy_step(self) -> int:
        """Link ticks between two policy ticks."""
        return self.link_hz // self.control_hz


def load_robot(path: Optional[Union[str, Path]] = None) -> RobotModel:
    """Read a robot description; without a path, the Go1's own.

    Raises:
        RobotConfigError: a key is missing or unknown, or a value is impossible. Nothing is defaulted.
    """
    source = Path(path) if path is not None else CONFIG_DIR / "go1.yaml"
    with open(source, encoding="utf-8") as stream:
        document = yaml.safe_load(stream)
    return _parse(_Section(document, str(source)))


class _Section:
    """A mapping of the YAML file that knows its place in it and refuses what it does not expect."""

    def __init__(self, content: Any, place: str) -> None:
        if not isinstance(content, dict):
            raise RobotConfigError(f"a mapping at {place}", type(content).__name__, "Write `key: value` lines there.")
        self.content: Dict[str, Any] = content
        self.place = place

    def keys_exactly(self, expected: Tuple[str, ...]) -> None:
        found = tuple(self.content)
        missing, unknown = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
        if missing or unknown:
            raise RobotConfigError(
                f"exactly the keys {', '.join(expected)} at {self.place}",
                f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}",
                "Add the missing keys and remove or correct the unknown ones; there are no defaults.",
            )

    def section(self, key: str) -> "_Section":
        return _Section(self.content[key], f"{self.place}: {key}")

    def number(self, key: str, lower: float = -math.inf, upper: float = math.inf) -> float:
        value = self.content[key]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not lower <= value <= upper:
            raise RobotConfigError(
                f"a number within [{lower}, {upper}] at {self.place}: {key}", repr(value), "Correct the value."
            )
        return float(value)

    def integer(self, key: str, lower: int, upper: int) -> int:
        value = self.number(key, lower, upper)
        if value != int(value):
            raise RobotConfigError(f"a whole number at {self.place}: {key}", repr(value), "Correct the value.")
        return int(value)

    def text(self, key: str) -> str:
        value = self.content[key]
        if not isinstance(value, str) or not value:
            raise RobotConfigError(f"a non-empty string at {self.place}: {key}", repr(value), "Correct the value.")
        return value

    def numbers(self, key: str, count: int) -> Tuple[float, ...]:
        value = self.content[key]
        if not isinstance(value, list) or len(value) != count:
            raise RobotConfigError(f"a list of {count} numbers at {self.place}: {key}", repr(value), "Correct it.")
        entries = _Section({str(i): entry for i, entry in enumerate(value)}, f"{self.place}: {key}")
        return tuple(entries.number(str(i)) for i in range(count))


_TOP_KEYS = (
    "name",
    "joint_types",
    "legs",
    "poses",
    "gains",
    "rates",
    "network",
    "safety",
    "plausibility",
    "geometry",
    "total_mass_kg",
)
_JOINT_KEYS = (
    "lower_rad",
    "upper_rad",
    "mechanical_lower_rad",
    "mechanical_upper_rad",
    "torque_limit_nm",
    "velocity_limit_rad_s",
    "armature_kg_m2",
)


def _parse(root: _Section) -> RobotModel:
    root.keys_exactly(_TOP_KEYS)
    legs = tuple(str(leg) for leg in root.content["legs"])
    types = root.section("joint_types")
    types.keys_exactly(JOINTS_PER_LEG)

    def per_joint(key: str) -> np.ndarray:
        return _read_only(np.array([types.section(joint).number(key) for joint in JOINTS_PER_LEG] * len(legs)))

    for joint in JOINTS_PER_LEG:
        types.section(joint).keys_exactly(_JOINT_KEYS)
        # Each of the four must not lie below the one before.
        bound = -2 * math.pi
        for key in ("mechanical_lower_rad", "lower_rad", "upper_rad", "mechanical_upper_rad"):
            bound = types.section(joint).number(key, bound, 2 * math.pi)
        for positive in ("torque_limit_nm", "velocity_limit_rad_s", "armature_kg_m2"):
            types.section(joint).number(positive, 1e-9)
    poses, gains, rates = root.section("poses"), root.section("gains"), root.section("rates")
    poses.keys_exactly(("stand", "sit"))
    gains.keys_exactly(("stand", "damp", "max_stiffness", "max_damping"))
    rates.keys_exactly(("link_hz", "control_hz"))
    link_hz, control_hz = rates.integer("link_hz", 200, 1000), rates.integer("control_hz", 10, 500)
    if link_hz % control_hz:
        raise RobotConfigError(
            f"link_hz divisible by control_hz at {rates.place}", f"{link_hz} / {control_hz}", "Change one of them."
        )
    return RobotModel(
        name=root.text("name"),
        joint_names=tuple(f"{leg}_{joint}" for leg in legs for joint in JOINTS_PER_LEG),
        foot_names=legs,
        joint_lower=per_joint("lower_rad"),
        joint_upper=per_joint("upper_rad"),
        mechanical_lower=per_joint("mechanical_lower_rad"),
        mechanical_upper=per_joint("mechanical_upper_rad"),
        torque_limit=per_joint("torque_limit_nm"),
        velocity_limit=per_joint("velocity_limit_rad_s"),
        armature=per_joint("armature_kg_m2"),
        stand_position=_read_only(np.array(poses.numbers("stand", 3) * len(legs))),
        sit_position=_read_only(np.array(poses.numbers("sit", 3) * len(legs))),
        stand=_gains(gains.section("stand")),
        damp=_gains(gains.section("damp")),
        max_stiffness=gains.number("max_stiffness", 0.0, 2047.0),
        max_damping=gains.number("max_damping", 0.0, 4095.0),
        link_hz=link_hz,
        control_hz=control_hz,
        network=_network(root.section("network")),
        safety=SafetyThresholds(**_thresholds(root.section("safety"), SafetyThresholds)),
        plausibility=PlausibilityThresholds(**_thresholds(root.section("plausibility"), PlausibilityThresholds)),
        geometry=_geometry(root.section("geometry")),
        total_mass_kg=root.number("total_mass_kg", 1.0, 100.0),
        sha256=hashlib.sha256(canonical_json(root.content).encode()).hexdigest(),
    )


def _gains(section: _Section) -> Gains:
    section.keys_exactly(("stiffness", "damping"))
    return Gains(section.number("stiffness", 0.0), section.number("damping", 0.0))


def _network(section: _Section) -> Network:
    section.keys_exactly(("host", "port", "local_port"))
    return Network(section.text("host"), section.integer("port", 1, 65535), section.integer("local_port", 0, 65535))


def _thresholds(section: _Section, kind: type) -> Dict[str, float]:
    """The numbers of a section whose keys are the fields of the dataclass `kind`; temperatures may be negative."""
    names = tuple(field.name for field in fields(kind))
    section.keys_exactly(names)
    return {name: section.number(name, -math.inf if name.endswith("_c") else 0.0) for name in names}


def _geometry(section: _Section) -> LegGeometry:
    names = tuple(field.name for field in fields(LegGeometry))
    section.keys_exactly(names)
    lengths = {name: section.number(name, 1e-6, 1.0) for name in names if name != "imu_in_trunk"}
    imu = section.numbers("imu_in_trunk", 3)
    return LegGeometry(imu_in_trunk=(imu[0], imu[1], imu[2]), **lengths)


def _read_only(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array


def canonical_json(content: Mapping[str, Any]) -> str:
    """JSON with sorted keys and no blanks: equal content gives equal bytes, so that it can be hashed."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
