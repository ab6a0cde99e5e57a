"""How to walk, held over any source that says where to: `gait_frequency=2,swing_height=0.08` on a command line."""

from __future__ import annotations

from typing import Sequence

import numpy as np

from deploy.onboard.command_text import CommandError, name_value_pairs, names_of, value_of
from deploy.onboard.commands import CommandSource
from deploy.onboard.wire import RobotState
from policy.contract import CommandTerm
from policy.contract_types import VELOCITY_UNITS


class HeldCommands:
    """Another source's commands with some terms held at a value, whatever the source says of them."""

    def __init__(self, source: CommandSource, columns: Sequence[int], values: Sequence[float]) -> None:
        self._source, self._columns, self._values = source, list(columns), np.array(values, np.float32)

    def begin_episode(self, episode: int) -> None:
        """See `CommandSource.begin_episode`."""
        self._source.begin_episode(episode)

    def command(self, time_s: float, state: RobotState) -> np.ndarray:
        """See `CommandSource.command`."""
        command = self._source.command(time_s, state).copy()
        command[self._columns] = self._values
        return command


def with_gait(source: CommandSource, gait: str, terms: Sequence[CommandTerm]) -> CommandSource:
    """`source` with the terms of `gait` held: `gait_frequency=2,swing_height=0.08`; an empty one holds nothing.

    Raises:
        CommandError: a term that the policy does not have, or that says where to walk; a value out of its range.
    """
    if not gait:
        return source
    by_name = {term.name: (column, term) for column, term in enumerate(terms) if column >= len(VELOCITY_UNITS)}
    found = name_value_pairs(gait, gait)
    unknown = sorted(set(found) - set(by_name))
    if unknown:
        known = names_of([term for _, term in by_name.values()]) or "none: this policy has a gait of its own"
        raise CommandError(f"gait commands among {known}", ", ".join(unknown), "Name those, or leave the gait out.")
    held = [(by_name[name][0], value_of(value, by_name[name][1], gait)) for name, value in found.items()]
    return HeldCommands(source, [column for column, _ in held], [value for _, value in held])
