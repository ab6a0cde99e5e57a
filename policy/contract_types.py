"""Types and bounds of a contract's JSON, checked before a `PolicyContract` is made of it.

`PolicyContract` checks what its values mean; this checks that they are numbers, names and lists at all, and that no
width derived from them is absurd.
"""

from __future__ import annotations

import math
from typing import Any, Callable, Dict

from policy.bundle_error import untrusted

MAX_HISTORY = 64
MAX_RATE_HZ = 1000
MAX_ENTRIES = 2**14
MAX_NAME = 64
MAX_MAGNITUDE = 1e6
UNITS = ("m/s", "rad/s", "m", "rad", "Hz", "cycle", "1")
"""Of commands: what the command sources and the graphs calculate in. Degrees and kilometres per hour are not among."""

VELOCITY_UNITS = ("m/s", "m/s", "rad/s")

Check = Callable[[Any, str], None]


def check_contract_types(content: Any) -> None:
    """Refuse a contract with a value of another type or out of all bounds; unknown and missing fields are not its task.

    Raises:
        BundleError: names the field, `contract.terms[2].scale[0]` say.
    """
    _mapping(_CONTRACT)(content, "contract")
    units = tuple(term.get("unit") for term in content.get("commands", ()))
    # Gait clocks and command sources take the first three for a velocity in the plane, whatever their names.
    if "commands" in content and units[: len(VELOCITY_UNITS)] != VELOCITY_UNITS:
        _refuse(f"the units {', '.join(VELOCITY_UNITS)} first", units, "contract.commands")


def _refuse(expected: str, value: Any, place: str) -> None:
    raise untrusted(f"{expected} at {place}", f"{value!r:.80}")


def _number(value: Any, place: str) -> None:
    if type(value) not in (int, float) or not math.isfinite(value) or abs(value) > MAX_MAGNITUDE:
        _refuse(f"a number within +-{MAX_MAGNITUDE:g}", value, place)


def _name(value: Any, place: str) -> None:
    if type(value) is not str or not 1 <= len(value) <= MAX_NAME or not value.isprintable():
        _refuse(f"a name of at most {MAX_NAME} characters", value, place)


def _unit(value: Any, place: str) -> None:
    if value not in UNITS:
        _refuse(f"a unit among {', '.join(UNITS)}", value, place)


def _flag(value: Any, place: str) -> None:
    if type(value) is not bool:
        _refuse("true or false", value, place)


def _integer(upper: int) -> Check:
    def check(value: Any, place: str) -> None:
        if type(value) is not int or not 1 <= value <= upper:
            _refuse(f"a whole number from 1 to {upper}", value, place)

    return check


def _list_of(entry: Check) -> Check:
    def check(value: Any, place: str) -> None:
        if type(value) is not list or len(value) > MAX_ENTRIES:
            _refuse(f"a list of at most {MAX_ENTRIES} entries", value, place)
        for index, item in enumerate(value):
            entry(item, f"{place}[{index}]")

    return check


def _mapping(fields: Dict[str, Check]) -> Check:
    def check(value: Any, place: str) -> None:
        if type(value) is not dict:
            _refuse("an object", value, place)
        for name in sorted(set(fields) & set(value)):
            fields[name](value[name], f"{place}.{name}")

    return check


def _frequency(value: Any, place: str) -> None:
    (_name if type(value) is str else _number)(value, place)


def _optional(check: Check) -> Check:
    return lambda value, place: None if value is None else check(value, place)


_NUMBERS, _NAMES = _list_of(_number), _list_of(_name)
_COMMAND = {
    "name": _name,
    "unit": _unit,
    "lower": _number,
    "upper": _number,
    "slew_per_s": _optional(_number),
    "neutral": _optional(_number),
}
_CONTRACT: Dict[str, Check] = {
    "action_clip": _optional(_number),
    "action_scale": _NUMBERS,
    "commands": _list_of(_mapping(_COMMAND)),
    "control_hz": _integer(MAX_RATE_HZ),
    "damping": _NUMBERS,
    "default_position": _NUMBERS,
    "gait_clock": _optional(
        _mapping(
            {
                "frequency": _frequency,
                "channels": _list_of(_NAMES),
                "waveform": _name,
                "stand_below": _number,
                "settle_s": _number,
            }
        )
    ),
    "history_length": _integer(MAX_HISTORY),
    "history_start": _name,
    "holds_commands": _flag,
    "joint_names": _NAMES,
    "link_hz": _integer(MAX_RATE_HZ),
    "observation_mean": _NUMBERS,
    "observation_std": _NUMBERS,
    "policy_joint_names": _NAMES,
    "robot": _name,
    "stiffness": _NUMBERS,
    "target_lower": _NUMBERS,
    "target_upper": _NUMBERS,
    "terms": _list_of(_mapping({"name": _name, "scale": _NUMBERS})),
    "version": _integer(MAX_RATE_HZ),
}
