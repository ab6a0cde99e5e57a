"""The world and the body of a simulated Go1: what `twins/*.yaml` may say, checked key by key.

A condition file holds every key, or names another condition under `extends` and holds only what differs from it.
`nominal` is complete; the shipped others extend it. Nothing is defaulted in code: an unknown key, a missing one or an
impossible value is a `TwinConditionError` that names the file and the key.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Mapping, Tuple, Type, TypeVar, Union, get_type_hints

import yaml

from robot_configs.robot import load_robot
from robot_configs.twin_ground import CheckedSection, Ground, TwinConditionError, within

TWINS_DIR = Path(__file__).resolve().parent / "twins"

Number = Union[int, float]
Vector3 = Tuple[float, float, float]
SectionType = TypeVar("SectionType", bound=CheckedSection)


@dataclass(frozen=True)
class Payload(CheckedSection):
    """A box welded to the trunk: a body of its own, so that the trunk's mass and inertia stay the robot's."""

    mass_kg: float = within(0.0, 20.0)
    """Its mass [kg]; 0 is none."""
    offset_in_trunk_m: Vector3 = within(-0.5, 0.5)
    """Its centre in the trunk frame, (x forward, y left, z up) [m]."""


@dataclass(frozen=True)
class Motors(CheckedSection):
    """What stands between a command on the wire and a torque at the joint."""

    strength: Tuple[float, ...] = within(0.0, 2.0)
    """(12,) delivered / demanded torque [-], wire order (named per joint in the file); 1 is healthy, 0 dead."""
    joint_friction_nm: float = within(0.0, 5.0)
    """Coulomb friction of every joint's transmission [Nm]."""
    joint_damping_nm_s_rad: float = within(0.0, 5.0)
    """Viscous friction of every joint [Nm s/rad]."""
    command_delay_ms: int = within(0, 100)
    """From a command's arrival to the first torque computed with it [ms], whole physics steps."""


@dataclass(frozen=True)
class Imu(CheckedSection):
    """Standard deviations of the IMU's errors; noise is drawn every tick, bias once per reset."""

    gyro_noise_rad_s: float = within(0.0, 5.0)
    gyro_bias_rad_s: float = within(0.0, 1.0)
    accelerometer_noise_m_s2: float = within(0.0, 20.0)
    accelerometer_bias_m_s2: float = within(0.0, 5.0)
    orientation_noise_rad: float = within(0.0, 0.5)
    orientation_bias_rad: float = within(0.0, 0.5)


@dataclass(frozen=True)
class Encoders(CheckedSection):
    """Standard deviations of the joint encoders' errors; noise is drawn every tick, the zero offset once per reset."""

    position_noise_rad: float = within(0.0, 0.5)
    velocity_noise_rad_s: float = within(0.0, 10.0)
    zero_offset_rad: float = within(0.0, 0.2)


@dataclass(frozen=True)
class FootForce(CheckedSection):
    """The airbag sensors of the feet: raw counts without a unit."""

    counts_per_newton: float = within(0.0, 100.0)
    """Slope of the count with the normal force [1/N]."""
    offset_counts: float = within(0.0, 500.0)
    """Standard deviation of each foot's own zero, drawn once per reset [counts]."""
    noise_counts: float = within(0.0, 100.0)
    """Standard deviation of the noise of every tick [counts]."""


@dataclass(frozen=True)
class Power(CheckedSection):
    """Battery and heat."""

    start_soc_percent: float = within(0.0, 100.0)
    """State of charge at reset [%]."""
    capacity_wh: float = within(1.0, 1000.0)
    """Energy of the full battery [Wh]."""
    cell_voltage_full_v: float = within(2.0, 5.0)
    """Voltage of each cell at 100 % [V]; it falls linearly to `cell_voltage_empty_v` at 0 %."""
    cell_voltage_empty_v: float = within(2.0, 5.0)
    cells_in_series: int = within(1, 20)
    idle_power_w: float = within(0.0, 500.0)
    """Drawn by computers and drivers while the motors rest [W]."""
    copper_loss_w_nm2: float = within(0.0, 10.0)
    """Heat of a motor per squared joint torque [W/Nm^2]."""
    ambient_temperature_c: float = within(-40.0, 60.0)
    """Temperature everything starts from and cools to [degC]."""
    motor_heat_capacity_j_k: float = within(1.0, 10000.0)
    """Of one motor with the housing its sensor sits in [J/K]."""
    motor_thermal_resistance_k_w: float = within(0.01, 100.0)
    """From that housing to the air [K/W]."""


@dataclass(frozen=True)
class Disturbance(CheckedSection):
    """What happens to the robot from outside."""

    push_interval_s: float = within(0.0, 3600.0)
    """Mean time between pushes [s]; 0 is never."""
    push_speed_m_s: float = within(0.0, 5.0)
    """Horizontal speed that each push adds to the trunk, in a random direction [m/s]."""
    start_joint_spread_rad: float = within(0.0, 0.3)
    """Uniform half-width of the joint angles about the folded pose at reset [rad]."""


@dataclass(frozen=True)
class TwinCondition:
    """One world for the twin, complete; `dataclasses.replace` varies it."""

    name: str
    description: str
    ground: Ground
    payload: Payload
    motors: Motors
    imu: Imu
    encoders: Encoders
    foot_force: FootForce
    power: Power
    disturbance: Disturbance

    def to_dict(self) -> Dict[str, Any]:
        """Content for a record of what was measured in it.

        Ground without drag does not tell of it: that is what results say which are older than the drag.
        """
        content = dataclasses.asdict(self)
        if self.ground.foot_drag_n_s_m2 == 0.0:
            del content["ground"]["foot_drag_n_s_m2"]
        return content


_SECTIONS: Tuple[str, ...] = tuple(
    entry.name for entry in dataclasses.fields(TwinCondition) if entry.name not in ("name", "description")
)


def condition_names() -> Tuple[str, ...]:
    """Names of the shipped conditions, sorted."""
    return tuple(sorted(path.stem for path in TWINS_DIR.glob("*.yaml")))


def load_condition(name_or_path: Union[str, Path]) -> TwinCondition:
    """Read a shipped condition by name, or any file by a path that ends in `.yaml`.

    Raises:
        TwinConditionError: there is no such condition, or its file is not right.
    """
    path = _find(name_or_path)
    document = _read_document(path, ())
    _require_keys(document, ("description",) + _SECTIONS, str(path))
    description = document["description"]
    if not isinstance(description, str) or not description:
        raise TwinConditionError(f"a sentence at {path}: description", repr(description), "Say what this world is.")
    types = get_type_hints(TwinCondition)
    sections = {key: _parse_section(types[key], document[key], f"{path}: {key}") for key in _SECTIONS}
    return TwinCondition(name=path.stem, description=description.strip(), **sections)


def _find(name_or_path: Union[str, Path]) -> Path:
    path = Path(name_or_path)
    if path.suffix != ".yaml":
        path = TWINS_DIR / f"{name_or_path}.yaml"
    if not path.is_file():
        raise TwinConditionError(
            f"one of the conditions {', '.join(condition_names())}, or the path of a .yaml file",
            f"{str(name_or_path)!r}",
            "Choose one of them, or write a file of your own that `extends: nominal`.",
        )
    return path


def _read_document(path: Path, seen: Tuple[Path, ...]) -> Dict[str, Any]:
    """The file's mapping with everything it extends underneath."""
    if path.resolve() in seen:
        raise TwinConditionError(
            "conditions that extend each other in a line",
            f"{path} extends itself by way of {', '.join(str(entry) for entry in seen)}",
            "Remove one of the `extends`.",
        )
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise TwinConditionError(f"YAML in {path}", str(error), "Correct the syntax there.") from error
    if not isinstance(document, dict):
        raise TwinConditionError(f"a mapping in {path}", type(document).__name__, "Write `key: value` lines.")
    base_name = document.pop("extends", None)
    if base_name is None:
        return document
    base = _read_document(_find(str(base_name)), (*seen, path.resolve()))
    return _merge(base, document, str(path))


def _merge(base: Mapping[str, Any], change: Mapping[str, Any], place: str) -> Dict[str, Any]:
    """`base` with the leaves of `change` in it; a key that `base` lacks is an error here, where the file is known."""
    unknown = sorted(str(key) for key in set(change) - set(base))
    if unknown:
        raise TwinConditionError(
            f"only the keys {', '.join(base)} at {place}", f"unknown: {', '.join(unknown)}", "Correct or remove them."
        )
    merged = dict(base)
    for key, value in change.items():
        below = base[key]
        merged[key] = (
            _merge(below, value, f"{place}: {key}") if isinstance(below, dict) and isinstance(value, dict) else value
        )
    return merged


def _require_keys(content: Any, expected: Tuple[str, ...], place: str) -> None:
    if not isinstance(content, dict):
        raise TwinConditionError(f"a mapping at {place}", repr(content), "Write `key: value` lines there.")
    missing = [key for key in expected if key not in content]
    unknown = sorted(str(key) for key in set(content) - set(expected))
    if missing or unknown:
        raise TwinConditionError(
            f"exactly the keys {', '.join(expected)} at {place}",
            f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}",
            "Add the missing keys (or `extends: nominal`) and correct or remove the unknown ones.",
        )


def _parse_section(kind: Type[SectionType], content: Any, place: str) -> SectionType:
    entries = dataclasses.fields(kind)
    _require_keys(content, tuple(entry.name for entry in entries), place)
    types = get_type_hints(kind)
    values = {
        entry.name: _parse_value(types[entry.name], content[entry.name], f"{place}: {entry.name}") for entry in entries
    }
    try:
        return kind(**values)
    except TwinConditionError as error:
        raise TwinConditionError(f"{error.expected} at {place}", error.found, error.remedy) from error


def _parse_value(kind: Any, value: Any, place: str) -> Any:
    if kind in (int, float):
        return _parse_number(kind, value, place)
    if kind is Vector3:
        if not isinstance(value, list) or len(value) != 3:
            raise TwinConditionError(f"a list [x, y, z] at {place}", repr(value), "Write three numbers.")
        return tuple(_parse_number(float, number, place) for number in value)
    joint_names = load_robot().joint_names
    _require_keys(value, joint_names, place)
    return tuple(_parse_number(float, value[name], f"{place}: {name}") for name in joint_names)


def _parse_number(kind: Type[Number], value: Any, place: str) -> Number:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not isinstance(value, (int, float)) or (kind is int and not whole):
        raise TwinConditionError(
            f"a {'whole ' if kind is int else ''}number at {place}", repr(value), "Correct the value."
        )
    return kind(value)
