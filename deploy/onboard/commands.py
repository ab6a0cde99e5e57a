"""Where the policy's command comes from: constants, a script, a random schedule, or the remote's sticks.

`parse_commands` turns one string into a source:

    vx=0.5,vy=0,yaw=0                                    constant; names and units are the contract's command terms
                                                         those with a neutral value have it where they are not named
    random:seed=3,hold_s=4,stand_fraction=0.1,scale=1    uniform over the contract's ranges, a new draw each hold_s
    walk.yaml                                            timed segments (`ScriptedCommands`)
    remote                                               the sticks of the robot's remote control
"""

from __future__ import annotations

from pathlib import Path
from typing import List, Protocol, Sequence

import numpy as np
import yaml

from deploy.onboard.command_text import CommandError, name_value_pairs, named_values, names_of, number_within
from deploy.onboard.remote import decode_remote, with_dead_zone
from deploy.onboard.wire import RobotState
from policy.contract import CommandTerm

RANDOM_PREFIX = "random:"
RANDOM_OPTIONS = {"seed": None, "hold_s": None, "stand_fraction": None, "scale": 1.0}
"""Options of `random:` and their defaults; None means that the option must be given."""

FORMAT_PAGE = "docs/teleop.md, Command files"
"""Where the form of a command file is described."""

STICK_TERMS = ("vx", "vy", "yaw")
"""Command terms that the remote's sticks drive."""


class CommandSource(Protocol):
    """Gives the command of a moment."""

    def begin_episode(self, episode: int) -> None:
        """A new episode starts; what follows depends on its number only, not on how long the ones before lasted."""

    def command(self, time_s: float, state: RobotState) -> np.ndarray:
        """The command (C,) float32 in the contract's order and units, `time_s` seconds into the episode's walk."""


def neutral_command(terms: Sequence[CommandTerm]) -> np.ndarray:
    """Standing still, (C,) float32: every term at rest."""
    return np.array([term.rest for term in terms], dtype=np.float32)


class ConstantCommands:
    """The same command for ever."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values

    def begin_episode(self, episode: int) -> None:
        """Nothing depends on the episode."""

    def command(self, time_s: float, state: RobotState) -> np.ndarray:
        """See `CommandSource.command`."""
        return self._values


class ScriptedCommands:
    """Segments from a YAML file, one after the other; after the last one the robot stands (`neutral_command`).

    segments:
      - {duration_s: 2.0, ramp_s: 0.5, vx: 0.5, vy: 0.0, yaw: 0.0}

    Terms of the contract that have no neutral value must be named. `ramp_s` seconds at a segment's start lead linearly
    from the value before.
    """

    def __init__(
        self, terms: Sequence[CommandTerm], durations_s: Sequence[float], ramps_s: Sequence[float], values: np.ndarray
    ) -> None:
        rest = neutral_command(terms)[np.newaxis]
        self._ends_s = np.cumsum(durations_s)
        self._starts_s = self._ends_s - np.asarray(durations_s)
        self._ramps_s = ramps_s
        self._values = np.concatenate([rest, values, rest])

    @classmethod
    def read(cls, path: Path, terms: Sequence[CommandTerm]) -> ScriptedCommands:
        """Read a script.

        Raises:
            CommandError: the file is missing, or a segment is malformed or out of range.
        """
        if not path.is_file():
            raise CommandError(
                "a command script, or NAME=VALUE pairs, or random:..., or remote",
                f"{str(path)!r}, which is no file",
                f"Name a YAML file (its form: {FORMAT_PAGE}), or give all of {names_of(terms)}.",
            )
        try:
            document = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise CommandError(f"YAML in {path}", str(error), "Correct the file.") from None
        segments = document.get("segments") if isinstance(document, dict) else None
        if not isinstance(segments, list) or not segments or not all(isinstance(entry, dict) for entry in segments):
            raise CommandError(
                f"a non-empty list `segments` of mappings in {path}",
                repr(segments),
                f"See the example in {FORMAT_PAGE}.",
            )
        durations: List[float] = []
        ramps: List[float] = []
        rows: List[np.ndarray] = []
        for index, segment in enumerate(segments):
            place = f"{path}: segment {index}"
            timing = {key: segment[key] for key in ("duration_s", "ramp_s") if key in segment}
            values = {key: value for key, value in segment.items() if key not in timing}
            if "duration_s" not in timing:
                found = f"the keys {', '.join(map(str, segment))}"
                raise CommandError(f"duration_s at {place}", found, f"Add it; see {FORMAT_PAGE}.")
            durations.append(number_within(timing["duration_s"], f"{place}: duration_s", lower=1e-3))
            ramps.append(number_within(timing.get("ramp_s", 0.0), f"{place}: ramp_s", lower=0.0, upper=durations[-1]))
            rows.append(named_values(values, terms, place))
        return cls(terms, durations, ramps, np.stack(rows))

    def begin_episode(self, episode: int) -> None:
        """Every episode plays the script from its start."""

    def command(self, time_s: float, state: RobotState) -> np.ndarray:
        """See `CommandSource.command`."""
        index = int(np.searchsorted(self._ends_s, time_s, side="right"))
        value: np.ndarray = self._values[index + 1]
        if index < len(self._ramps_s) and self._ramps_s[index] > 0.0:
            fraction = np.float32(min((time_s - self._starts_s[index]) / self._ramps_s[index], 1.0))
            value = self._values[index] + fraction * (value - self._values[index])
        return value


class RandomCommands:
    """Uniform draws over `scale` times the contract's ranges, held for `hold_s`; a `stand_fraction` of them stand.

    Draw k of episode e depends on (seed, e, k) only, so that two policies are compared on the same commands.
    """

    def __init__(
        self, terms: Sequence[CommandTerm], seed: int, hold_s: float, stand_fraction: float, scale: float = 1.0
    ) -> None:
        self._rest = neutral_command(terms)
        self._lower = self._rest + scale * (np.array([term.lower for term in terms]) - self._rest)
        self._upper = self._rest + scale * (np.array([term.upper for term in terms]) - self._rest)
        self._seed, self._hold_s, self._stand_fraction = seed, hold_s, stand_fraction
        self.begin_episode(0)

    def begin_episode(self, episode: int) -> None:
        """Restart the episode's own stream of draws."""
        self._generator = np.random.default_rng([self._seed, episode])
        self._draws: List[np.ndarray] = []

    def command(self, time_s: float, state: RobotState) -> np.ndarray:
        """See `CommandSource.command`."""
        # The small addition keeps a hold from starting one policy tick late by rounding.
        index = int(time_s / self._hold_s + 1e-9)
        while len(self._draws) <= index:
            values = self._generator.uniform(self._lower, self._upper)
            stands = self._generator.uniform() < self._stand_fraction
            self._draws.append(self._rest if stands else values.astype(np.float32))
        return self._draws[index]


class StickAxes:
    """Turns deflections into commands: full deflection is the bound of the policy's range, whichever way.

    Raises:
        CommandError: the policy does not take velocities.
    """

    def __init__(self, terms: Sequence[CommandTerm]) -> None:
        names = [term.name for term in terms]
        if not set(STICK_TERMS) <= set(names):
            raise CommandError(f"a policy with the commands {', '.join(STICK_TERMS)}", names_of(terms), "Use a script.")
        self._columns = [names.index(name) for name in STICK_TERMS]
        self._lower = np.array([terms[column].lower for column in self._columns], np.float32)
        self._upper = np.array([terms[column].upper for column in self._columns], np.float32)
        self._rest = neutral_command(terms)

    def command(self, deflection: np.ndarray) -> np.ndarray:
        """The command (C,) for deflections (3,) forward, left, left turn; beyond [-1, 1] they count as full."""
        deflection = np.clip(np.asarray(deflection, np.float32), -1.0, 1.0)
        values = self._rest.copy()
        values[self._columns] = np.where(deflection >= 0.0, deflection * self._upper, -deflection * self._lower)
        return values


class RemoteCommands:
    """The remote's sticks: the left one forward and sideways, the right one turns."""

    def __init__(self, terms: Sequence[CommandTerm]) -> None:
        self._axes = StickAxes(terms)

    def begin_episode(self, episode: int) -> None:
        """Nothing depends on the episode."""

    def command(self, time_s: float, state: RobotState) -> np.ndarray:
        """See `CommandSource.command`."""
        remote = decode_remote(state.remote)
        # Sticks read +1 to the right; the trunk's y axis and a positive turn point to the left.
        sticks = (remote.ly, -remote.lx, -remote.rx)
        return self._axes.command(np.array([with_dead_zone(stick) for stick in sticks]))


def parse_commands(specification: str, terms: Sequence[CommandTerm]) -> CommandSource:
    """The source that a specification describes (module docstring).

    Raises:
        CommandError
    """
    text = specification.strip()
    if text == "remote":
        return RemoteCommands(terms)
    if text.startswith(RANDOM_PREFIX):
        return _random_commands(text[len(RANDOM_PREFIX) :], terms)
    if "=" in text:
        return ConstantCommands(named_values(name_value_pairs(text, specification), terms, repr(specification)))
    return ScriptedCommands.read(Path(text), terms)


def _random_commands(options: str, terms: Sequence[CommandTerm]) -> RandomCommands:
    found = name_value_pairs(options, RANDOM_PREFIX + options)
    missing = [name for name, default in RANDOM_OPTIONS.items() if default is None and name not in found]
    unknown = [name for name in found if name not in RANDOM_OPTIONS]
    if missing or unknown:
        raise CommandError(
            f"{RANDOM_PREFIX} with seed, hold_s, stand_fraction and optionally scale",
            f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}",
            "For example random:seed=3,hold_s=4,stand_fraction=0.1",
        )
    seed = number_within(found["seed"], "seed", lower=0.0)
    if seed != int(seed):
        raise CommandError("a whole number for seed", found["seed"], "Correct it.")
    return RandomCommands(
        terms,
        seed=int(seed),
        hold_s=number_within(found["hold_s"], "hold_s", lower=1e-3),
        stand_fraction=number_within(found["stand_fraction"], "stand_fraction", lower=0.0, upper=1.0),
        scale=number_within(found.get("scale", RANDOM_OPTIONS["scale"]), "scale", lower=0.0, upper=1.0),
    )
