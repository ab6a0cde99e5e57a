"""What a sweep trains: every preset under every condition with every seed, each a trial with a folder of its own."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence, Tuple

import yaml

from robot_configs.errors import Go1Error
from sim.earlier_run import EarlierRun, read_earlier_run
from sim.engines.choice import EngineChoice
from sim.presets import preset
from sim.pretrain_settings import PretrainSettings
from sim.settings_paths import with_values

Assignment = Tuple[str, Any]
"""Path of a setting and its value."""

_PLAN_KEYS = ("presets", "seeds", "set", "steps", "begin_with")
_SEED_PATH = "task.seed"
_RUN_PATH, _TROT_PATH = "begin_with_run", "begin_with_trot"
_LONGEST_NAME = 200  # folders of Linux's file systems end at 255 bytes


class SweepPlanError(Go1Error):
    """A sweep that can not be laid out as asked."""


@dataclass(frozen=True)
class Trial:
    """One pretraining run of a sweep.

    Attributes:
        name: of its folder; its condition's name and its seed.
        condition: preset and varied settings, the same for all its seeds.
        begin_with: folder of the finished run that `settings.begin_with_run` names; None where that is empty.
    """

    name: str
    condition: str
    preset: str
    seed: int
    assignments: Tuple[Assignment, ...]
    settings: PretrainSettings
    begin_with: Optional[Path] = None


@dataclass(frozen=True)
class SweepPlan:
    """Presets x conditions x seeds.

    Attributes:
        presets: names of `sim.presets`. seeds: of everything random about a trial.
        varied: paths of `PretrainSettings` with the values that each takes; a condition is one value of every path.
        steps: environment steps of each trial, instead of its preset's.
        begin_with: folder of a finished run whose actor and critic each trial begins with.
    """

    presets: Tuple[str, ...] = ("standard",)
    seeds: Tuple[int, ...] = (1,)
    varied: Tuple[Tuple[str, Tuple[Any, ...]], ...] = ()
    steps: Optional[int] = None
    begin_with: Optional[Path] = None

    def __post_init__(self) -> None:
        lists = {
            "presets": self.presets,
            "seeds": self.seeds,
            **{f"set {path}": values for path, values in self.varied},
        }
        for name, values in lists.items():
            if not values:
                raise SweepPlanError(f"{name}: at least one", "none", "Name one.")
        if _SEED_PATH in dict(self.varied):
            raise SweepPlanError(
                "seeds as seeds", f"set {_SEED_PATH}", "Give them as --seed, for they are grouped over."
            )
        if _RUN_PATH in self.paths:
            remedy = "Give the folder of the run, for its networks are read from there."
            raise SweepPlanError("a run as --begin-with RUN", f"set {_RUN_PATH}", remedy)
        if self.begin_with is not None and _TROT_PATH in self.paths:
            remedy = "Leave one of them out: the run takes the place of the trot."
            raise SweepPlanError(f"no {_TROT_PATH} beside a run to begin with", f"set {_TROT_PATH}", remedy)

    @property
    def paths(self) -> Tuple[str, ...]:
        """The settings that vary, in their order."""
        return tuple(path for path, _ in self.varied)

    def trials(self) -> Tuple[Trial, ...]:
        """All trials, those of the first seed first, so that an unfinished sweep has a bit of every condition.

        Raises:
            Go1Error: a preset, path or value that is not possible, two trials that would share a folder, or a run that
                they can not begin with.
        """
        earlier = None if self.begin_with is None else read_earlier_run(self.begin_with)
        choices = [[(path, value) for value in values] for path, values in self.varied]
        trials = [
            self._trial(name, seed, assignments, earlier)
            for seed in self.seeds
            for name in self.presets
            for assignments in itertools.product(*choices)
        ]
        names = [trial.name for trial in trials]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise SweepPlanError("a folder for each trial", f"{twice[0]} more than once", "Name every value once.")
        return tuple(trials)

    def _trial(self, name: str, seed: int, assignments: Tuple[Assignment, ...], earlier: Optional[EarlierRun]) -> Trial:
        steps = {} if self.steps is None else {"steps": self.steps}
        settings = with_values(preset(name, seed, EngineChoice()), {**dict(assignments), **steps})
        if earlier is not None:
            settings = earlier.continued_by(settings)
        condition = ",".join([name, *(f"{path}={_written(value)}" for path, value in assignments)])
        folder = f"{condition},seed={seed}"
        if len(folder) > _LONGEST_NAME:
            found = f"{len(folder)} in {folder}"
            raise SweepPlanError(f"names of at most {_LONGEST_NAME} characters", found, "Vary less in one sweep.")
        begin_with = None if self.begin_with is None else self.begin_with.resolve()  # a trial runs in another folder
        return Trial(folder, condition, name, seed, assignments, settings, begin_with)


def _written(value: Any) -> str:
    """A value as a part of a folder's name: 256, 0.4x1.25, none."""
    if isinstance(value, (list, tuple)):
        return "x".join(_written(one) for one in value)
    return re.sub(
        r"[^A-Za-z0-9._+-]", "_", str(value).lower() if value is None or isinstance(value, bool) else str(value)
    )


def read_plan(path: Path) -> SweepPlan:
    """A plan from YAML: lists `presets` and `seeds`, a mapping `set` from paths to lists of values, `steps`,
    `begin_with`.

    Raises:
        SweepPlanError: no YAML, an entry that is none of these, or not of its kind.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise SweepPlanError(f"YAML in {path}", str(error).replace("\n", " "), "Correct it.") from error
    if not isinstance(content, dict) or not set(content) <= set(_PLAN_KEYS):
        found = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise SweepPlanError(f"{path} with some of {', '.join(_PLAN_KEYS)}", found, "Correct its entries.")
    varied = content.get("set", {})
    lists = {**{name: content[name] for name in ("presets", "seeds") if name in content}}
    if not isinstance(varied, dict):
        raise SweepPlanError(f"set in {path} from paths to lists", repr(varied), "Write `path: [values]`.")
    for name, values in {**lists, **varied}.items():
        if not isinstance(values, list):
            raise SweepPlanError(f"{name} in {path} as a list", repr(values), "Write it in brackets, be it only one.")
    begin_with = content.get("begin_with")
    if not (begin_with is None or isinstance(begin_with, str)):
        raise SweepPlanError(f"begin_with in {path} as the folder of a run", repr(begin_with), "Write its path.")
    run = None if begin_with is None else Path(begin_with)
    return plan_of(lists.get("presets"), lists.get("seeds"), varied, content.get("steps"), run)


def plan_of(
    presets: Optional[Sequence[str]],
    seeds: Optional[Sequence[int]],
    varied: Mapping[str, Sequence[Any]],
    steps: Optional[int],
    begin_with: Optional[Path] = None,
) -> SweepPlan:
    """A plan of what was given, with the defaults for the rest.

    Raises:
        SweepPlanError: seeds or steps that are no whole numbers.
    """
    for name, values in (("seeds", seeds or ()), ("steps", () if steps is None else (steps,))):
        wrong = [value for value in values if type(value) is not int or value < 0]
        if wrong:
            raise SweepPlanError(f"{name}: whole numbers of at least zero", repr(wrong[0]), "Correct it.")
    pairs = tuple((path, tuple(values)) for path, values in varied.items())
    return SweepPlan(
        SweepPlan.presets if presets is None else tuple(presets),
        SweepPlan.seeds if seeds is None else tuple(seeds),
        pairs,
        steps,
        begin_with,
    )


def parse_assignment(text: str) -> Tuple[str, Tuple[Any, ...]]:
    """`PATH=VALUE,VALUE`, values as in YAML: `task.num_envs=256,512` or `actor_hidden=[64,64],[128,128]`.

    Raises:
        SweepPlanError: something else.
    """
    path, equals, values = text.partition("=")
    try:
        parsed = yaml.safe_load(f"[{values}]") if equals and path and values else None
    except yaml.YAMLError:
        parsed = None
    if not isinstance(parsed, list) or not parsed:
        raise SweepPlanError("PATH=VALUE,VALUE", repr(text), "Write it as in task.num_envs=256,512.")
    return path, tuple(parsed)
