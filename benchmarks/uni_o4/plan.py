"""In which order the benchmark works, so that a run that is cut has one seed of everything before two of anything.

seed -> part -> method, the cheap ones first -> robot -> data set
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.uni_o4.recipe import DataSetName

PARTS = ("data", "offline", "ope", "online")

# By what a run takes (`estimate`): a cut run then has whole columns of the table.
CHEAP_FIRST = ("bc", "bppo", "ensemble", "uni_o4", "td3bc", "iql")
CHEAP_FIRST_ONLINE = ("ensemble", "scratch", "uni_o4", "iql")


@dataclass(frozen=True)
class Job:
    """One step of the plan; the data have no learner and no method, offline evaluation has no method."""

    part: str
    robot: str
    data_set: DataSetName
    seed: int
    method: str

    def __str__(self) -> str:
        name = f"{self.robot} {self.data_set}"
        return f"data {name}" if self.part == "data" else f"{self.part} {name} seed {self.seed} {self.method}"


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for.

    Attributes:
        online_sets: those of `sets` from which online learning starts.
    """

    robots: Sequence[str]
    sets: Sequence[DataSetName]
    seeds: Sequence[int]
    parts: Sequence[str]
    methods: Sequence[str]
    online_methods: Sequence[str]
    online_sets: Sequence[DataSetName]


def plan(wanted: Wanted) -> Iterator[Job]:
    """Every job in order. Data are made once, before the first seed."""
    for place, seed in enumerate(wanted.seeds):
        for part in PARTS:
            if part not in wanted.parts or (part == "data" and place > 0):
                continue
            for method in _methods(part, wanted):
                for robot in wanted.robots:
                    for name in wanted.sets:
                        if part != "online" or name in wanted.online_sets:
                            yield Job(part, robot, name, seed, method)


def _methods(part: str, wanted: Wanted) -> list[str]:
    if part == "offline":
        return sorted(wanted.methods, key=CHEAP_FIRST.index)
    if part == "online":
        return sorted(wanted.online_methods, key=CHEAP_FIRST_ONLINE.index)
    return ["estimators"] if part == "ope" else [""]
