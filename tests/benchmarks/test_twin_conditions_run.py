"""A condition and seed of the benchmark: a stopped run goes on where it was, and takes no others' results."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

import benchmarks.twin_conditions_run as run_module
from benchmarks.twin_conditions_run import STAGES, ConditionBenchmark, ConditionBenchmarkError, ConditionRun
from policy.bundle import read_bundle
from policy.export import export_bundle, load_graph
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.evaluate import EpisodeResult
from sim.twin_batch.evaluation import BatchEvaluation
from sim.twin_batch.oracle import Oracle


@pytest.fixture(scope="module")
def other_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped policy under another seal."""
    shipped, path = read_bundle(SIZES.bundle), tmp_path_factory.mktemp("other") / "other.go1policy"
    export_bundle(load_graph(shipped), path, shipped.lineage, shipped.version + 1, load_robot())
    return path


def test_a_share_leaves_at_least_one_of_everything():
    whole = ConditionBenchmark()
    tiny = whole.scaled(1e-6)
    assert tiny.log_steps == 1 and tiny.refine.improvement.iterations == 1 and tiny.refine.dynamics.epochs == 1
    assert tiny.oracle.robots == tiny.oracle.held_out_episodes == 1 and tiny.oracle.steps == 24  # one iteration
    half = whole.scaled(0.5)
    assert (half.log_steps, half.oracle.robots, half.oracle.steps) == (30_000, 256, 1_000_000)


# ---- Resuming: the stages' work replaced by notes of what was done -----------------------------------------------


class Work:
    """Stands in for logging, refining, training and measuring, and notes each."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.fail_at = ""
        patch.setattr(run_module, "collect_batched", self.collect)
        patch.setattr(run_module, "refine", self.refine)
        patch.setattr(run_module, "evaluate_bundle_batched", self.evaluate)
        patch.setattr(run_module, "train_oracle", self.train)
        patch.setattr(run_module.Dataset, "open", staticmethod(self.open))

    def _note(self, what: str) -> None:
        if what == self.fail_at:
            raise KeyboardInterrupt
        self.done.append(what)

    def collect(self, start, condition, steps, out, seed, settings, threads):
        self._note(f"log {Path(start).stem} {seed}")
        out.mkdir()

    def refine(self, data, start, out, settings, command):
        self._note(f"refine {settings.seed}")
        shutil.copy(start, out)
        result = type("Result", (), {"report": {"best": "b", "candidates": [], "accepted": True, "falls": 0}})
        return result

    def train(self, graph, condition, out, settings):
        self._note(f"oracle {settings.seed}")
        return Oracle(graph, 40, 123.0, ((0, 100.0), (40, 123.0)))

    @staticmethod
    def open(path, verify):
        info = type("Info", (), {"to_dict": lambda self: {"masked": 5}})
        return type("Data", (), {"sha256": "d", "info": lambda self: info()})()

    def evaluate(self, bundle, condition, episodes, seed, episode_s, commands, threads):
        self._note(f"evaluate {Path(bundle).stem} {seed}")
        walk = EpisodeResult(seed, 500, 100.0, 0.1, 0.1, 0.5, 0.5, False, "truncated", 20.0, 5.0)
        return BatchEvaluation(read_bundle(bundle).sha256, condition, episode_s, commands, (walk,), (0,))


@pytest.fixture
def work(monkeypatch) -> Work:
    return Work(monkeypatch)


SIZES = ConditionBenchmark(rounds=2, log_steps=100, episodes=1)


def run(out: Path, sizes: ConditionBenchmark = SIZES, stages: tuple[str, ...] = STAGES, seed: int = 3) -> None:
    for stage in stages:
        ConditionRun(sizes, "ice", seed, out).run(stage, say=lambda line: None)


def test_all_stages_walk_the_same_episodes_and_each_round_starts_from_the_last(work, tmp_path):
    run(tmp_path)
    assert work.done == [
        "evaluate go1_velocity 700000",
        "log go1_velocity 1003",
        "refine 1003",
        "evaluate refined1 700000",
        "log refined1 2003",
        "refine 2003",
        "evaluate refined2 700000",
        "oracle 3",
        "evaluate oracle 700000",
    ]
    sealed = read_bundle(tmp_path / "ice" / "seed3" / "oracle.go1policy")
    assert sealed.lineage.parents == (read_bundle(SIZES.bundle).sha256,)
    assert "ice itself" in sealed.lineage.notes[0] and "reward and shaping" in sealed.lineage.notes[0]


@pytest.mark.parametrize("stop", ["log go1_velocity 1003", "refine 2003", "evaluate refined2 700000", "oracle 3"])
def test_a_stopped_run_goes_on_with_the_stage_it_was_in(work, tmp_path, stop):
    work.fail_at = stop
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    before, work.done, work.fail_at = work.done, [], ""
    run(tmp_path)
    # Whatever led to a finished stage is not done again.
    finished = [entry for entry in before if entry.startswith("evaluate")]
    assert not set(finished) & set(work.done)
    assert work.done[-1] == "evaluate oracle 700000"
    again = len(work.done)
    run(tmp_path)
    assert len(work.done) == again


def test_results_of_other_settings_are_not_taken_for_ones_own(work, other_bundle, tmp_path):
    run(tmp_path, stages=("pre", "refined"))
    with pytest.raises(ConditionBenchmarkError, match="other stage"):
        run(tmp_path, dataclasses.replace(SIZES, log_steps=101), stages=("refined",))
    with pytest.raises(ConditionBenchmarkError, match="other evaluation"):
        run(tmp_path, dataclasses.replace(SIZES, episodes=2), stages=("pre",))
    with pytest.raises(ConditionBenchmarkError, match="other pretrained_sha256, start_sha256"):
        run(tmp_path, dataclasses.replace(SIZES, bundle=other_bundle), stages=("pre",))


def test_a_condition_that_has_changed_is_another_one(work, tmp_path, monkeypatch):
    run(tmp_path, stages=("pre",))
    icier = dataclasses.replace(load_condition("ice"), payload=load_condition("payload").payload)
    monkeypatch.setattr(run_module, "load_condition", lambda name: icier)
    with pytest.raises(ConditionBenchmarkError, match="other condition"):
        run(tmp_path, stages=("pre",))


def test_a_round_of_another_start_is_not_gone_on_with(work, other_bundle, tmp_path):
    run(tmp_path, stages=("refined",))
    shutil.copy(other_bundle, tmp_path / "ice" / "seed3" / "refined1.go1policy")
    with pytest.raises(ConditionBenchmarkError, match="other start_sha256"):
        run(tmp_path, stages=("refined",))


def test_another_number_of_threads_goes_on(work, tmp_path):
    run(tmp_path)
    done = len(work.done)
    run(tmp_path, dataclasses.replace(SIZES, threads=1))
    assert len(work.done) == done


def test_the_pretrained_policy_is_measured_once_for_all_seeds(work, tmp_path):
    run(tmp_path, stages=("pre",), seed=3)
    run(tmp_path, stages=("pre",), seed=4)
    assert work.done == ["evaluate go1_velocity 700000"]


@pytest.mark.parametrize("wrong", [{"threads": 0}, {"rounds": 0}, {"episodes": 0}, {"log_steps": 0}])
def test_sizes_of_nothing_are_refused(wrong):
    with pytest.raises(ConditionBenchmarkError, match="at least 1"):
        ConditionBenchmark(**wrong)


def test_a_result_says_how_it_was_made(work, tmp_path):
    run(tmp_path, stages=("refined",))
    found = json.loads((tmp_path / "ice" / "seed3" / "refined1.json").read_text())
    assert found["settings"]["stage"]["log_steps"] == 100
    assert found["settings"]["stage"]["refine"]["method"] == "ensemble"
    assert found["settings"]["stage"]["collect"]["velocity"] == "estimated"
    assert found["dataset"] == {"masked": 5}
    assert found["evaluation"]["through_the_wire"] is False
    assert found["dataset_sha256"] == "d" and found["code_version"]
