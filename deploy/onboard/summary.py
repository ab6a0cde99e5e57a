"""What a session did, as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Dict, Optional, Tuple

from deploy.onboard.link import LinkStatistics
from deploy.onboard.recorder import RecorderReport
from deploy.onboard.shadow_report import ShadowReport


@dataclass(frozen=True)
class EpisodeSummary:
    """One stretch of WALK."""

    episode: int
    """From zero."""
    ending: str
    """Name of `log_schema.Ending`, lower case."""
    reason: str
    """What ended it."""
    steps: int
    """Policy steps."""
    duration_s: float
    """On the loop's clock [s]."""
    clamped: Dict[str, int]
    """Joint targets that the gate moved, by limit; a joint at a limit for 100 ticks counts 100."""


@dataclass(frozen=True)
class ProcessSummary:
    """One process of a session."""

    name: str
    pid: int
    ending: str
    """As in "ended in order" or "was killed by SIGKILL"."""
    real_time: Tuple[str, ...]
    """What it asked the machine for, and where that was refused, why and what to do."""


@dataclass(frozen=True)
class RunSummary:
    """One session."""

    episodes: Tuple[EpisodeSummary, ...]
    faults: Tuple[str, ...]
    """What the gate latched on, in order."""
    stop_reason: str
    """Why the session ended before its plan was done; empty if it did not."""
    ticks: int
    """Link ticks carried out."""
    ticks_missed: int
    """Deadlines that had passed altogether before the loop came to them."""
    clock_s: float
    """Duration on the loop's clock [s]."""
    wall_s: float
    """Duration in real time [s]."""
    lateness: Dict[str, Any]
    """Histogram of how late ticks began (`lateness.LatenessHistogram.to_dict`)."""
    inference: Dict[str, Any]
    """Histogram of how long the policy took."""
    link: LinkStatistics
    recorder: RecorderReport
    targets_refused: Dict[str, int] = field(default_factory=dict)
    """Answers of a pilot process that the gate did not take, by what was wrong with them."""
    processes: Tuple[ProcessSummary, ...] = ()
    """Those that asked the machine for real time; empty in lockstep."""
    shadow: Optional[ShadowReport] = None
    """Of the policy that ran beside the one that drove; None if none did."""
    bundle_sha256: str = ""
    """Of the policy that drove, where a file was given for it (`runner.run_on_robot`)."""

    @property
    def steps(self) -> int:
        """Policy steps in all episodes."""
        return sum(episode.steps for episode in self.episodes)

    def to_dict(self) -> Dict[str, Any]:
        """Plain values all the way down, ready for JSON."""
        shadow = None if self.shadow is None else self.shadow.to_dict()
        return {**asdict(self), "steps": self.steps, "shadow": shadow}
