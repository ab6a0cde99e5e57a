"""The main job, once round: evaluate, log, refine, evaluate, fine-tune, evaluate; on the twin, through the wire.

    shipped bundle ─► evaluate ─► log steps ─► ingest ─► refine ─► evaluate ─► fine-tune online ─► evaluate ─► report

A stage whose policy does not pass the gate (`policy.candidate_gate`), by what the logs tell and by measuring better
than its start on trial episodes of its own, is not promoted: the next stage goes on from the start. The figures in the
summary come from other episodes than the trials, the same for all stages.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from deploy.host.finetune import finetune
from deploy.host.finetune_settings import FinetuneSettings
from deploy.host.refine import refine
from deploy.host.refine_settings import RefineSettings
from offline_data.ingest import ingest
from policy.bundle import BUNDLES, read_bundle, verify_bundle
from policy.candidate_gate import GateEvidence, NotChecked, candidate_gate
from policy.code_version import code_version
from robot_configs.errors import Go1Error
from robot_configs.robot import load_robot
from sim.collect import CollectSettings, collect_on_twin
from sim.evaluate import Evaluation, evaluate_bundle, paired_difference
from sim.report import STAGES, write_report
from sim.twin_trial import paired_walks

SHIPPED_BUNDLE = BUNDLES / "go1_velocity.go1policy"
_TRIAL_SEEDS = {"offline": 500_000, "online": 600_000}  # no episode is used twice


class DemoError(Go1Error):
    """A demo that would destroy what it did not make."""


@dataclass(frozen=True)
class DemoSettings:
    """Sizes of the demo.

    Attributes:
        condition: twin condition. log_steps, online_steps: policy steps logged for the two learning stages.
        episodes: evaluation episodes a stage, of `episode_s` seconds.
        trials: episodes in which start and result of a stage compete before promotion. workers: twins side by side.
    """

    condition: str = "mattress"
    seed: int = 1
    log_steps: int = 40_000
    online_steps: int = 20_000
    online_rounds: int = 2
    episodes: int = 40
    episode_s: float = 10.0
    trials: int = 20
    workers: int = 2
    refine: RefineSettings = field(default_factory=RefineSettings)
    collect: CollectSettings = field(default_factory=CollectSettings)


class _Bars:
    """Progress bars, one a task."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, Any] = {}

    def show(self, name: str, done: int, total: int) -> None:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=total)
        self._progress.update(self._tasks[name], completed=done, total=total)

    def learning(self, prefix: str) -> Any:
        """A progress callback for the learner."""
        return lambda stage, done, total, figures: self.show(f"{prefix}: {stage}", done, total)


class Demo:
    """One run of the demo in the folder `out`."""

    def __init__(self, out: Path, settings: DemoSettings, bars: _Bars) -> None:
        self.out, self.settings, self.bars = out, settings, bars
        self.summary: dict[str, Any] = {"code_version": code_version(), "settings": asdict(settings)}
        self._evaluations: dict[str, Evaluation] = {}

    def run(self) -> dict[str, Any]:
        """All stages, one after the other; returns the summary."""
        robot = load_robot()
        verify_bundle(read_bundle(SHIPPED_BUNDLE), robot)
        self._measure("pretrained", SHIPPED_BUNDLE, 0, time.monotonic())
        promoted = self._offline(SHIPPED_BUNDLE)
        promoted = self._online(promoted)
        self.summary["promoted_bundle"] = os.path.relpath(promoted)
        self.summary["differences"] = {
            f"{after}_minus_{before}": paired_difference(self._evaluations[before], self._evaluations[after])
            for before, after in (("pretrained", "offline"), ("offline", "online"), ("pretrained", "online"))
        }
        self.summary["wall_s"] = sum(self.summary[stage]["wall_s"] for stage in STAGES)
        return self.summary

    def _offline(self, start: Path) -> Path:
        settings, began = self.settings, time.monotonic()
        steps = self._log("offline: log on the twin", start, settings.log_steps, self.out / "logs", settings.seed)
        report = ingest(self.out / "logs", self.out / "dataset")
        result = refine(
            self.out / "dataset",
            start,
            self.out / "offline.go1policy",
            replace(settings.refine, seed=settings.seed),
            self.bars.learning("offline"),
            command=f"go1 demo --seed {settings.seed}",
        )
        self.summary["dataset"] = report.info
        told = ("candidates", "best", "gate", "value", "transition_model")
        self.summary["refine"] = {key: result.report[key] for key in told}
        return self._judge("offline", start, self.out / "offline.go1policy", result.evidence, steps, began)

    def _online(self, start: Path) -> Path:
        settings, began = self.settings, time.monotonic()
        logged = []

        def collect(bundle: Path, steps: int, log_dir: Path, seed: int) -> None:
            logged.append(self._log(f"online: log {log_dir.parent.name}", bundle, steps, log_dir, seed))

        result = finetune(
            start,
            collect,
            self.out / "online",
            FinetuneSettings(
                steps=settings.online_steps,
                rounds=settings.online_rounds,
                earlier_data=(self.out / "dataset",),
                seed=settings.seed + 1000,
            ),
            self.bars.learning("online"),
            command=f"go1 demo --seed {settings.seed}",
        )
        self.summary["finetune"] = list(result.rounds)
        asked = NotChecked("each round's policy passed, or was given up: round.json")
        evidence = GateEvidence(asked, asked, asked, asked)
        return self._judge("online", start, result.bundle, evidence, sum(logged), began)

    def _log(self, what: str, bundle: Path, steps: int, log_dir: Path, seed: int) -> int:
        """Log about as many policy steps; returns how many."""
        self.bars.show(what, 0, 1)
        sessions = collect_on_twin(bundle, self.settings.condition, steps, log_dir, seed, self.settings.collect)
        self.bars.show(what, 1, 1)
        return sum(session.steps for session in sessions)

    def _judge(
        self, stage: str, start: Path, candidate: Path, evidence: GateEvidence, steps: int, began: float
    ) -> Path:
        """Trial of candidate against start, and the gate; then the figures, of the candidate, promoted or not."""
        settings = self.settings
        seed = _TRIAL_SEEDS[stage] + settings.seed
        trials = [self._evaluate(stage, "trial", bundle, settings.trials, seed) for bundle in (start, candidate)]
        trial = paired_difference(*trials)
        trial_steps = sum(episode.steps for trial_ in trials for episode in trial_.episodes)
        verdict = candidate_gate(replace(evidence, walks=paired_walks(trials[0], trials[1], must_gain=True)))
        promoted = candidate if verdict.accepted else start
        self._measure(stage, candidate, steps + trial_steps, began)
        self.summary[stage].update(trial=trial, promoted=promoted == candidate, started_from=str(start))
        self.summary[stage]["gate"] = verdict.to_dict()
        return promoted

    def _evaluate(self, stage: str, what: str, bundle: Path, episodes: int, seed: int) -> Evaluation:
        return evaluate_bundle(
            bundle,
            self.settings.condition,
            episodes,
            seed,
            self.settings.episode_s,
            workers=self.settings.workers,
            progress=lambda done, total: self.bars.show(f"{stage}: {what}", done, total),
        )

    def _measure(self, stage: str, bundle: Path, steps_used: int, began: float) -> None:
        settings = self.settings
        evaluation = self._evaluate(stage, "evaluate", bundle, settings.episodes, settings.seed)
        self._evaluations[stage] = evaluation
        self.summary[stage] = {
            **evaluation.to_dict(),
            "bundle": os.path.relpath(bundle),
            "steps_used": steps_used,
            "wall_s": time.monotonic() - began,
        }
        # Written as it comes, so that a run that is stopped still tells what it had measured.
        (self.out / "summary.json").write_text(json.dumps(self.summary, indent=1, default=str))


def run_demo(out: Path, seed: int = 1, settings: DemoSettings = DemoSettings()) -> dict[str, Any]:
    """Run the demo afresh in `out`, print its table, write summary.json and report.html there.

    Raises:
        DemoError: `out` holds something, but no demo.
    """
    if out.exists() and any(out.iterdir()) and not (out / "summary.json").exists():
        raise DemoError("a new folder, or that of an earlier demo", f"other files in {out}", "Give another --out.")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    console = Console()
    columns = (TextColumn("{task.description:<34}"), BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f}"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        summary = Demo(out, replace(settings, seed=seed), _Bars(progress)).run()
    (out / "summary.json").write_text(json.dumps(summary, indent=1, default=str))
    write_report(summary, out / "report.html")
    console.print(_table(summary))
    for name, difference in summary["differences"].items():
        low, high = difference["ci95"]
        console.print(f"{name.replace('_', ' ')}: {difference['mean']:+.1f}  95 % [{low:+.1f}, {high:+.1f}]")
    console.print(f"in {summary['wall_s'] / 60:.1f} minutes", soft_wrap=True)
    console.print(f"{out / 'summary.json'}\n{out / 'report.html'}", soft_wrap=True)
    return summary


def _table(summary: dict[str, Any]) -> Table:
    settings = summary["settings"]
    episodes = f"{settings['episodes']} episodes x {settings['episode_s']:.0f} s"
    table = Table(
        title=f"twin: {settings['condition']}, {episodes}", box=SIMPLE, padding=(0, 1), pad_edge=False
    )  # 80 columns
    for heading in ("", "return", "95 %", "m/s", "rad/s", "falls/min", "steps", "promoted"):
        table.add_column(heading, justify="right", no_wrap=True)
    for stage in STAGES:
        row = summary[stage]
        low, high = row["return_ci95"]
        table.add_row(
            stage,
            f"{row['return_mean']:.0f}",
            f"[{low:.0f}, {high:.0f}]",
            f"{row['velocity_error']['linear_m_s']:.3f}",
            f"{row['velocity_error']['yaw_rad_s']:.3f}",
            f"{row['falls_per_minute']:.2f}",
            f"{row['steps_used']:,}",
            {True: "yes", False: "no"}.get(row.get("promoted"), "-"),
        )
    return table
