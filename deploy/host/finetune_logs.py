"""A round's logs: one session, or several where sessions ended early; never learned from before enough steps are there.

    round_2/logs.partial                 the session that is being logged
    round_2/logs/part_01, part_02 ...    sessions that are over, each with session.json; together they make the round
    round_2/unfinished_session_1         what was logged when the program was killed or failed: never learned from

A robot that falls ends its session, for only a person puts it back on its feet. What it had logged stays: the same
command started again logs only what is missing. A killed program can not say how its session ended; that session is
logged anew from its own seed, so that on a twin in lockstep a kill changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from robot_configs.errors import Go1Error

_RECORD = "session.json"


class SessionEndedEarly(Go1Error):
    """A session that ended in order, but before its steps were logged; raised by a `Collector`.

    Attributes:
        steps: policy steps that it did log. reason: what ended it.
    """

    def __init__(self, wanted: int, steps: int, reason: str) -> None:
        super().__init__(
            f"{wanted} policy steps in this session",
            f"{steps}, then: {reason}",
            "Put the robot back on its feet and start again.",
        )
        # Exception.args is what pickle hands to __init__.
        self.args = (wanted, steps, reason)
        self.steps, self.reason = steps, reason


class RoundIncomplete(Go1Error):
    """A round that waits for a person: the same command, started again, logs the steps that it still lacks."""


class Collector(Protocol):
    """Drives the robot, or a twin, with a bundle's stochastic policy and leaves logs."""

    def __call__(self, bundle: Path, steps: int, log_dir: Path, seed: int) -> None:
        """Log at least `steps` policy steps into `log_dir`.

        Raises:
            SessionEndedEarly: fewer; what was logged counts.
        """


@dataclass(frozen=True)
class LoggedSession:
    """One session of a round: its seed, the policy steps it logged (at least), why it ended early, or nothing."""

    seed: int
    steps: int
    ended_early: str = ""


class RoundLogs:
    """The logs of one round.

    Args:
        folder: of the round. number: of the round, from 1.
        steps: policy steps that make the round.
        seed: of the first session. seed_stride: how much further on each later session's seed is, for the same seed
            would give the same commands and noise again; the number of rounds keeps all rounds' seeds apart.
    """

    def __init__(self, folder: Path, number: int, steps: int, seed: int, seed_stride: int) -> None:
        self.path = folder / "logs"
        self._folder, self._number, self._steps = folder, number, steps
        self._seed, self._seed_stride = seed, seed_stride

    @property
    def sessions(self) -> tuple[LoggedSession, ...]:
        """Those that are over, in the order of logging."""
        parts = sorted(self.path.glob(f"part_*/{_RECORD}"))
        return tuple(LoggedSession(**json.loads(part.read_text())) for part in parts)

    @property
    def missing_steps(self) -> int:
        """Policy steps still to be logged."""
        return max(0, self._steps - sum(session.steps for session in self.sessions))

    def log(self, collect: Collector, bundle: Path) -> None:
        """Log what is missing, in one session.

        Raises:
            RoundIncomplete: the session ended early; its steps are kept.
        """
        self._set_aside("unfinished_session")
        missing = self.missing_steps
        if not missing:
            return
        seed = self._seed + len(self.sessions) * self._seed_stride
        try:
            collect(bundle, missing, self._partial, seed)
        except SessionEndedEarly as early:
            self._keep(LoggedSession(seed, early.steps, early.reason))
            if self.missing_steps:
                raise RoundIncomplete(
                    f"{self._steps} policy steps in round {self._number}",
                    f"{self._steps - self.missing_steps} so far, {self.missing_steps} are missing; "
                    f"this session ended after {early.steps}: {early.reason}",
                    "Put the robot back on its feet and give the same command again: it logs only what is missing.",
                ) from early
            return
        self._keep(LoggedSession(seed, missing))

    @property
    def _partial(self) -> Path:
        return self._folder / "logs.partial"

    def _keep(self, session: LoggedSession) -> None:
        """The session becomes a part of the round, with its record, in one step."""
        if not session.steps:
            self._set_aside("session_without_steps")
            return
        (self._partial / _RECORD).write_text(json.dumps(asdict(session), indent=1))
        self.path.mkdir(exist_ok=True)
        self._partial.rename(self.path / f"part_{len(self.sessions) + 1:02d}")

    def _set_aside(self, name: str) -> None:
        """Move what an earlier session left to a name of its own beside the round's logs; nothing is deleted."""
        if self._partial.exists():
            free = next(path for path in self._numbered(name) if not path.exists())
            self._partial.rename(free)

    def _numbered(self, name: str) -> Iterator[Path]:
        number = 1
        while True:
            yield self._folder / f"{name}_{number}"
            number += 1
