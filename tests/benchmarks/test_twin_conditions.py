"""The benchmark of conditions: its arithmetic by hand, its tables, and that a stopped run goes on where it was."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import benchmarks.twin_conditions as benchmark_module
from benchmarks.twin_conditions import ConditionBenchmark, ConditionBenchmarkError, ConditionRun
from benchmarks.twin_conditions_report import ConditionReportError, gap_closed, read_measures, report
from benchmarks.twin_conditions_steady import steady_speeds
from policy.bundle import BUNDLES, read_bundle
from policy.export import load_graph
from robot_configs.twin_conditions import load_condition
from sim.evaluate import EpisodeResult
from sim.twin_batch.evaluation import BatchEvaluation


@pytest.mark.parametrize(
    ("before", "after", "oracle", "closed"),
    [
        (400.0, 500.0, 600.0, 0.5),
        (400.0, 380.0, 600.0, -0.1),
        (400.0, 650.0, 600.0, 1.25),  # better than the oracle is more than all of it
        (400.0, 500.0, 400.5, None),  # an oracle that gains half a point shows no gap
        (400.0, 500.0, 390.0, None),
    ],
)
def test_the_gap_closed_by_hand(before, after, oracle, closed):
    assert gap_closed(before, after, oracle) == (closed if closed is None else pytest.approx(closed))


def record(folder: Path, condition: str, seed: int, stage: str, mean: float, parent: str = "p") -> None:
    file = folder / f"{condition}_seed{seed}" / f"{stage}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    evaluation = {
        "return_mean": mean,
        "return_ci95": [mean - 12.0, mean + 8.0],
        "velocity_error": {"linear_m_s": 0.25},
        "falls": 3,
        "episodes": 64,
    }
    settings = {"pretrained_sha256": parent}
    content = {"condition": condition, "seed": seed, "stage": stage, "settings": settings, "evaluation": evaluation}
    file.write_text(json.dumps(content))


def test_the_tables_by_hand(tmp_path):
    """Ice closes 1/2 and 3/4, their mean 0.62; rough has an oracle without a gain; their mean is that of ice."""
    for seed, refined in ((1, 500.0), (2, 550.0)):
        for stage, mean in (("pre", 400.0), ("refined1", refined), ("oracle", 600.0)):
            record(tmp_path, "ice", seed, stage, mean)
    for stage, mean in (("pre", 600.0), ("refined1", 610.0), ("oracle", 590.0)):
        record(tmp_path, "rough", 1, stage, mean)
    (tmp_path / "ice_seed1" / "settings.json").write_text("{}")  # of a trainer: no result
    text = report(tmp_path)
    assert "| ice | 1 | refined1 | 500 ± 10 | 0.250 | 3 of 64 |" in text
    assert "| ice | 0.62 (0.50, 0.75) |" in text
    assert "| rough | (no gap) |" in text
    assert "| mean over conditions | 0.62 |" in text
    assert "not through the wire" in text


def test_a_stage_that_is_still_missing_closes_nothing(tmp_path):
    record(tmp_path, "ice", 1, "pre", 400.0)
    record(tmp_path, "ice", 1, "refined1", 500.0)
    assert "| ice |  |" in report(tmp_path)


def test_no_results_and_mixed_results_are_refused(tmp_path):
    with pytest.raises(ConditionReportError, match="none"):
        read_measures(tmp_path)
    record(tmp_path, "ice", 1, "pre", 400.0)
    record(tmp_path, "ice", 2, "pre", 400.0, parent="q")
    with pytest.raises(ConditionReportError, match="one pretrained bundle"):
        read_measures(tmp_path)


def test_a_share_leaves_at_least_one_of_everything():
    whole = ConditionBenchmark()
    tiny = whole.scaled(1e-6)
    assert tiny.log_steps == 1 and tiny.refine.improvement.iterations == 1 and tiny.refine.dynamics.epochs == 1
    assert tiny.oracle.robots == 1 and tiny.oracle.steps == 24  # one iteration of the trainer
    half = whole.scaled(0.5)
    assert (half.log_steps, half.oracle.robots, half.oracle.steps) == (30_000, 256, 1_000_000)


# ---- Resuming: the stages' work replaced by notes of what was done -----------------------------------------------


class Work:
    """Stands in for logging, refining, training and measuring, and notes each."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.fail_at = ""
        patch.setattr(benchmark_module, "collect_batched", self.collect)
        patch.setattr(benchmark_module, "refine", self.refine)
        patch.setattr(benchmark_module, "evaluate_bundle_batched", self.evaluate)
        patch.setattr(benchmark_module, "train_oracle", self.train)
        patch.setattr(benchmark_module.Dataset, "open", staticmethod(self.open))

    def _note(self, what: str) -> None:
        if what == self.fail_at:
            raise KeyboardInterrupt
        self.done.append(what)

    def collect(self, start, condition, steps, out, seed, settings, threads):
        self._note(f"log {Path(start).stem} {seed}")
        out.mkdir()

    def refine(self, data, start, out, settings, command):
        self._note(f"refine {settings.seed}")
        result = type("Result", (), {"report": {"best": "b", "candidates": [], "accepted": True, "falls": 0}})
        return result

    def train(self, graph, condition, out, settings):
        self._note(f"oracle {settings.seed}")
        return graph

    @staticmethod
    def open(path, verify):
        return type("Data", (), {"sha256": "d"})

    def evaluate(self, bundle, condition, episodes, seed, episode_s, threads):
        self._note(f"evaluate {Path(bundle).stem} {seed}")
        walk = EpisodeResult(seed, 500, 100.0, 0.1, 0.1, 0.5, 0.5, False, "truncated", 20.0, 5.0)
        return BatchEvaluation("sha", condition, episode_s, "random:", (walk,))


@pytest.fixture
def work(monkeypatch) -> Work:
    return Work(monkeypatch)


SIZES = ConditionBenchmark(rounds=2, log_steps=100, episodes=1)


def run(out: Path, sizes: ConditionBenchmark = SIZES, stages: tuple[str, ...] = ("pre", "refined", "oracle")) -> None:
    ConditionRun(sizes, "ice", 3, out).run(stages, say=lambda line: None)


def test_all_stages_walk_the_same_episodes_and_each_round_starts_from_the_last(work, tmp_path):
    run(tmp_path)
    assert work.done == [
        "evaluate go1_velocity 700003",
        "log go1_velocity 1003",
        "refine 1003",
        "evaluate refined1 700003",
        "log refined1 2003",
        "refine 2003",
        "evaluate refined2 700003",
        "oracle 3",
        "evaluate oracle 700003",
    ]
    sealed = read_bundle(tmp_path / "ice_seed3" / "oracle.go1policy")
    assert sealed.lineage.parents == (read_bundle(SIZES.bundle).sha256,)
    assert "ice itself" in sealed.lineage.notes[0]


@pytest.mark.parametrize("stop", ["log go1_velocity 1003", "refine 2003", "evaluate refined2 700003", "oracle 3"])
def test_a_stopped_run_goes_on_with_the_stage_it_was_in(work, tmp_path, stop):
    work.fail_at = stop
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    before, work.done, work.fail_at = work.done, [], ""
    run(tmp_path)
    # Whatever led to a finished stage is not done again.
    finished = [entry for entry in before if entry.startswith("evaluate")]
    assert not set(finished) & set(work.done)
    assert work.done[-1] == "evaluate oracle 700003"
    again = len(work.done)
    run(tmp_path)
    assert len(work.done) == again


def test_results_of_other_settings_are_not_taken_for_ones_own(work, tmp_path):
    run(tmp_path, stages=("pre", "refined"))
    with pytest.raises(ConditionBenchmarkError, match="Give another --out"):
        run(tmp_path, dataclasses.replace(SIZES, log_steps=101), stages=("refined",))
    with pytest.raises(ConditionBenchmarkError):
        run(tmp_path, dataclasses.replace(SIZES, episodes=2), stages=("pre",))


def test_a_result_says_how_it_was_made(work, tmp_path):
    run(tmp_path, stages=("refined",))
    found = json.loads((tmp_path / "ice_seed3" / "refined1.json").read_text())
    assert found["settings"]["log_steps"] == 100
    assert found["settings"]["refine"]["method"] == "ensemble"
    assert found["evaluation"]["through_the_wire"] is False
    assert found["dataset_sha256"] == "d" and found["code_version"]


def test_a_robot_that_is_told_to_stand_does_and_one_that_is_told_to_walk_moves():
    graph = load_graph(read_bundle(BUNDLES / "go1_velocity.go1policy"))
    commands = ((0.0, 0.0, 0.0), (0.8, 0.0, 0.0))
    standing, walking = steady_speeds(graph, load_condition("nominal"), 1, 1.2, 0.8, commands, threads=1)
    assert np.abs(standing.reached).max() < 0.15 and standing.falls == 0
    assert 0.4 < walking.reached[0] < 1.2 and abs(walking.reached[1]) < 0.3
