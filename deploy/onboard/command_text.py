"""Command specifications as text: pairs of names and values, held to a policy's command terms."""

from __future__ import annotations

import math
from typing import Any, Dict, Mapping, Sequence

import numpy as np

from policy.contract import CommandTerm
from robot_configs.errors import Go1Error


class CommandError(Go1Error):
    """A command specification that cannot be read, names something unknown, or leaves the policy's range."""


def name_value_pairs(text: str, specification: str) -> Dict[str, str]:
    """`vx=0.5,vy=0` as names and values, still as text; `specification` is what an error shows.

    Raises:
        CommandError
    """
    pairs: Dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and value) or name in pairs:
            raise CommandError(
                f"NAME=VALUE pairs with distinct names, separated by commas, in {specification!r}",
                repr(part),
                "Correct it.",
            )
        pairs[name] = value
    return pairs


def named_values(values: Mapping[str, Any], terms: Sequence[CommandTerm], place: str) -> np.ndarray:
    """The command (C,) float32 that names these values; terms that are not named take their neutral value.

    Raises:
        CommandError: a term without a neutral value is not named, a name is unknown, or a value is out of range.
    """
    needed = [term for term in terms if term.neutral is None]
    missing = sorted({term.name for term in needed} - set(values))
    unknown = sorted(set(map(str, values)) - {term.name for term in terms})
    if missing or unknown:
        optional = names_of([term for term in terms if term.neutral is not None])
        raise CommandError(
            f"exactly {names_of(needed)}{f' and at most {optional}' if optional else ''} at {place}",
            f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}",
            "Name every command of the policy that has no neutral value.",
        )
    return np.array(
        [value_of(values[term.name], term, place) if term.name in values else term.rest for term in terms],
        dtype=np.float32,
    )


def value_of(value: object, term: CommandTerm, place: str) -> float:
    """A value of one term, inside its range; text is read as a number.

    Raises:
        CommandError
    """
    return number_within(value, f"{place}: {term.name} [{term.unit}]", term.lower, term.upper)


def number_within(value: object, place: str, lower: float = -math.inf, upper: float = math.inf) -> float:
    """A number inside its bounds; not a number is outside of all.

    Raises:
        CommandError
    """
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not lower <= number <= upper:
        raise CommandError(f"a number within [{lower:g}, {upper:g}] at {place}", repr(value), "Correct the value.")
    return number


def names_of(terms: Sequence[CommandTerm]) -> str:
    """Terms with their units, for a person."""
    return ", ".join(f"{term.name} [{term.unit}]" for term in terms)
