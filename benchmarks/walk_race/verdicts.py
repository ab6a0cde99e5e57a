"""The verdicts on one training's policies, kept in its folder: no policy walks the same walks twice."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict

from benchmarks.walk_race.judge import JudgeSettings, Verdict, judge
from benchmarks.walk_race.keeping import checkpoint_path, read_json, write_json
from benchmarks.walk_race.task import RaceTask
from policy.differences import differences

_VERDICTS = "verdicts.json"
_FRESH = "fresh"


class Verdicts:
    """Judges policies of a part by their iterations; what is known already is read from its file.

    The file holds the judge's settings and the verdicts, and both once more for the fresh walks. Files from before
    there were fresh walks are completed; fresh walks of other settings are walked again.
    """

    def __init__(self, task: RaceTask, folder: Path, judging: JudgeSettings) -> None:
        self._task, self._folder, self._judging = task, folder, judging
        self._known: Dict[str, Any] = read_json(folder / _VERDICTS) or _nothing(judging)
        kept = self._known.get(_FRESH)
        if kept is None or _differing(kept, judging.fresh()):
            self._known[_FRESH] = _nothing(judging.fresh())

    def of(self, iteration: int) -> Verdict:
        """On the walks by which the first that walks is found."""
        return self._on(iteration, self._known["verdicts"], self._judging)

    def on_fresh_walks(self, iteration: int) -> Verdict:
        """On walks that had no say in which policy this is."""
        return self._on(iteration, self._known[_FRESH]["verdicts"], self._judging.fresh())

    @property
    def count(self) -> int:
        """Policies that were judged, fresh walks apart."""
        return len(self._known["verdicts"])

    def _on(self, iteration: int, known: Dict[str, Any], settings: JudgeSettings) -> Verdict:
        if str(iteration) not in known:
            verdict = judge(self._task.policy(checkpoint_path(self._folder, iteration)), settings)
            known[str(iteration)] = asdict(verdict)
            write_json(self._folder / _VERDICTS, self._known)
        return Verdict(**known[str(iteration)])


def other_judge(folder: Path, judging: JudgeSettings) -> list[str]:
    """Settings by which the verdicts of a part were found and that are not these; none without verdicts."""
    known = read_json(folder / _VERDICTS)
    return [] if known is None else _differing(known, judging)


def _nothing(judging: JudgeSettings) -> Dict[str, Any]:
    return {"judge": asdict(judging), "verdicts": {}}


def _differing(known: Dict[str, Any], judging: JudgeSettings) -> list[str]:
    return [one.name for one in differences(asdict(judging), known["judge"])]
