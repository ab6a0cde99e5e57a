"""What tells two records of settings apart, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple


class Difference(NamedTuple):
    """One entry: its dotted name, and its value on either side; `NOTHING` where a side does not have it."""

    name: str
    wanted: Any
    found: Any


NOTHING = "nothing"


def differences(wanted: Mapping[str, Any], found: Mapping[str, Any], inside: str = "") -> Iterator[Difference]:
    """Every entry that differs between two records of JSON values, in the order of the first."""
    for name in (*wanted, *(other for other in found if other not in wanted)):
        one, other = wanted.get(name, NOTHING), found.get(name, NOTHING)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from differences(one, other, f"{inside}{name}.")
        elif one != other:
            yield Difference(f"{inside}{name}", one, other)
