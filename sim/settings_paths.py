"""Change settings of a frozen dataclass by their paths, such as `task.randomization.friction`."""

from __future__ import annotations

import types
from dataclasses import fields, is_dataclass, replace
from typing import Any, Literal, Mapping, Tuple, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from robot_configs.errors import Go1Error

_Settings = TypeVar("_Settings")
_UNIONS = (Union, getattr(types, "UnionType", Union))  # Optional[int] and int | None, which Python 3.8 does not have
_SCALARS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}


class SettingsPathError(Go1Error):
    """A path that leads to no setting, or a value that it can not have."""


def with_value(settings: _Settings, path: str, value: Any) -> _Settings:
    """`with_values` of a single one."""
    return with_values(settings, {path: value})


def with_assignment(settings: _Settings, assignment: str) -> _Settings:
    """`with_value` of a text PATH=VALUE, the value as in YAML.

    Raises:
        SettingsPathError: another text, and as `with_values`.
    """
    path, equals, text = assignment.partition("=")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        equals = ""
    if not (equals and path and text):
        raise SettingsPathError("PATH=VALUE", repr(assignment), f"Give a path below {type(settings).__name__}.")
    return with_value(settings, path, value)


def with_values(settings: _Settings, values: Mapping[str, Any]) -> _Settings:
    """The same settings with other values at paths; `__post_init__` of everything on the way checks again, once.

    Args:
        values: by their paths, as YAML or JSON has them; lists become tuples and whole numbers become floats where the
            field says so.

    Raises:
        SettingsPathError: no such field, not a value of its type, or a value for a field and for one below it.
    """
    return _changed(settings, "", {tuple(path.split(".")): value for path, value in values.items()})


def _changed(settings: Any, above: str, values: Mapping[tuple[str, ...], Any]) -> Any:
    """The settings at the path `above` with values by the names that lead on from there."""
    if not is_dataclass(settings) or isinstance(settings, type):
        raise SettingsPathError(f"settings at {above}", f"{settings!r}", f"There is nothing below {above} to set.")
    known = [entry.name for entry in fields(settings)]
    hints = get_type_hints(type(settings))
    changes = {}
    for name in dict.fromkeys(names[0] for names in values):
        place = f"{above}.{name}".lstrip(".")
        below = {names[1:]: value for names, value in values.items() if names[0] == name}
        if name not in known:
            path = ".".join((place, *next(iter(below))))
            raise SettingsPathError(f"one of {', '.join(known)}", f"{name!r} in {path}", "Correct the path.")
        if () not in below:
            changes[name] = _changed(getattr(settings, name), place, below)
        elif len(below) == 1:
            changes[name] = _converted(below[()], hints[name], place)
        else:
            raise SettingsPathError(f"a value at {place} or below it", "both", "Leave one of them out.")
    return replace(settings, **changes)


def _converted(value: Any, hint: Any, path: str) -> Any:
    """The value as the field's type wants it."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value in arguments:
            return value
        raise SettingsPathError(f"{path}: one of {', '.join(map(str, arguments))}", repr(value), "Choose one of them.")
    if origin in _UNIONS:
        if value is None and type(None) in arguments:
            return None
        (inner,) = (one for one in arguments if one is not type(None))
        return _converted(value, inner, path)
    if origin is tuple:
        return _converted_tuple(value, arguments, path)
    if hint in _SCALARS:
        return _converted_scalar(value, hint, path)
    raise SettingsPathError(f"a single setting at {path}", f"{hint.__name__}, which holds several", "Name one of them.")


def _converted_tuple(value: Any, arguments: Tuple[Any, ...], path: str) -> Tuple[Any, ...]:
    open_ended = arguments[-1] is Ellipsis
    wanted = "a list" if open_ended else f"a list of {len(arguments)}"
    if not isinstance(value, (list, tuple)) or not (open_ended or len(value) == len(arguments)):
        raise SettingsPathError(f"{path}: {wanted}", repr(value), "Write it in brackets, as in [0.4, 1.25].")
    hints = [arguments[0]] * len(value) if open_ended else list(arguments)
    return tuple(_converted(one, hint, path) for one, hint in zip(value, hints, strict=True))


def _converted_scalar(value: Any, hint: Any, path: str) -> Any:
    # A bool is an int to Python; YAML 1.1 reads 1e-3, for its missing point, as a text.
    if isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    if hint is float and isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            pass  # said below, with the path
    raise SettingsPathError(f"{path}: {_SCALARS[hint]}", repr(value), "Correct the value.")
