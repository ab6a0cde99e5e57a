"""The logs that a refinement learns from: one data set, or several under one contract, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Union

from offline_data.dataset import Dataset
from policy.contract import PolicyContract
from policy.graph import PolicyGraph
from policy.transitions import Transitions, concatenate, from_columns
from robot_configs.errors import Go1Error


class RefineDataError(Go1Error):
    """Data sets that cannot be learned from together."""


@dataclass(frozen=True, eq=False)
class RefineData:
    """Data sets in the order given: at least one, none twice, all under one contract and paid by one reward."""

    sets: tuple[Dataset, ...]

    @staticmethod
    def open(folders: Union[Path, Sequence[Path]]) -> RefineData:
        """Open one data set or several.

        Raises:
            RefineDataError: none, one of them twice, or sets of different contracts or reward weights.
            DatasetError: see `Dataset.open`.
        """
        sets = tuple(Dataset.open(folder) for folder in ([folders] if isinstance(folders, Path) else folders))
        if not sets:
            raise RefineDataError("at least one data set", "none", "Name the folders of those to learn from.")
        first = sets[0]
        for index, other in enumerate(sets):
            if other.sha256 in {earlier.sha256 for earlier in sets[:index]}:
                raise RefineDataError(
                    "each data set once", f"{other.path} again", "Name it once: its steps count once."
                )
            if other.contract != first.contract:
                raise RefineDataError(
                    f"one contract in all data sets, {first.contract.sha256[:12]} as in {first.path}",
                    f"{other.contract.sha256[:12]} in {other.path}",
                    "Refine on data sets of one policy and its successors.",
                )
            if other.reward_weights != first.reward_weights:
                raise RefineDataError(
                    f"one set of reward weights in all data sets, {first.reward_weights} as in {first.path}",
                    f"{other.reward_weights} in {other.path}",
                    "Ingest the logs anew with one version of the project.",
                )
        return RefineData(sets)

    @property
    def contract(self) -> PolicyContract:
        return self.sets[0].contract

    @property
    def reward_weights(self) -> dict[str, float]:
        return self.sets[0].reward_weights

    @property
    def sha256s(self) -> tuple[str, ...]:
        """Content hash of each data set."""
        return tuple(one.sha256 for one in self.sets)

    def transitions(self, graph: PolicyGraph) -> Transitions:
        """The steps of all, labelled by this graph; no episode runs from one data set into the next.

        Raises:
            TransitionsError: see `from_columns`; or some know the base velocity and others do not.
        """
        return concatenate([from_columns(one, graph) for one in self.sets])
