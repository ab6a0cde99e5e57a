"""A condition and seed of the benchmark: a stopped run goes on where it was, and takes no others' results."""

import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import benchmarks.twin_conditions_run as run_module
from benchmarks.twin_conditions_run import ConditionRun
from benchmarks.twin_conditions_settings import STAGES, ConditionBenchmark, ConditionBenchmarkError, OnlineStage
from benchmarks.twin_conditions_steady import FORWARD, SteadyResult
from policy.bundle import read_bundle
from policy.export import export_bundle, load_graph
from policy.uni_o4.online import OnlineSettings
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.evaluate import EpisodeResult
from sim.twin_batch.evaluation import BatchEvaluation
from sim.twin_batch.oracle import Oracle

FLAT, ROBUST = "go1_velocity_flat", "go1_velocity"
SIZES = ConditionBenchmark(rounds=2, log_steps=100, episodes=1, online=OnlineStage(steps=600, looks=2, rounds=2))


@pytest.fixture(scope="module")
def other_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pretrained policy under another seal."""
    shipped, path = read_bundle(SIZES.bundle), tmp_path_factory.mktemp("other") / "other.go1policy"
    export_bundle(load_graph(shipped), path, shipped.lineage, shipped.version + 1, load_robot())
    return path


def test_a_share_leaves_at_least_one_of_everything():
    whole = ConditionBenchmark()
    tiny = whole.scaled(1e-6)
    assert tiny.log_steps == 1 and tiny.refine.improvement.iterations == 1 and tiny.refine.dynamics.epochs == 1
    assert tiny.published.critics.updates == tiny.published.published.updates == 1
    assert tiny.published.published_cloning.epochs == 1
    assert tiny.online.steps == 250 and tiny.online.model.dynamics.epochs == 1  # one second a round
    assert tiny.oracle.robots == tiny.oracle.held_out_episodes == 1 and tiny.oracle.steps == 24  # one iteration
    half = whole.scaled(0.5)
    assert (half.log_steps, half.oracle.robots, half.oracle.steps) == (30_000, 256, 1_000_000)
    assert half.online.steps == 50_000


def test_the_published_learner_has_its_own_steps_between_updates():
    online = OnlineStage()
    assert (online.published.iteration_steps, online.published_rounds) == (2048, 49)
    assert [online.round_at(look, online.published_rounds) for look in range(1, 6)] == [10, 20, 29, 39, 49]
    assert [online.round_at(look, online.rounds) for look in range(1, 6)] == [1, 2, 3, 4, 5]
    with pytest.raises(ConditionBenchmarkError, match="5 looks divide"):
        OnlineStage(rounds=7)


# ---- Resuming: the stages' work replaced by notes of what was done -----------------------------------------------


class Work:
    """Stands in for logging, learning, training and measuring, and notes each."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.done: list[str] = []
        self.fail_at = ""
        self.learned_from: list[list[str]] = []
        self.finetuned: list = []
        for name in ("collect_batched", "refine", "finetune", "evaluate_bundle_batched", "train_oracle"):
            patch.setattr(run_module, name, getattr(self, name))
        patch.setattr(run_module, "forward_speeds", self.forward_speeds)
        patch.setattr(run_module, "code_version", lambda: "1.0")  # asks git, which takes its time
        patch.setattr(run_module.Dataset, "open", staticmethod(self.open))

    def _note(self, what: str) -> None:
        if what == self.fail_at:
            raise KeyboardInterrupt
        self.done.append(what)

    def collect_batched(self, start, condition, steps, out, seed, settings, threads):
        self._note(f"log {out.name} {Path(start).stem} {seed}")
        out.mkdir()
        provenance = {
            "condition": load_condition(condition).to_dict(),
            "seed": seed,
            "settings": dataclasses.asdict(settings),
        }
        told = {"provenance": provenance, "bundles": [read_bundle(start).sha256], "steps": steps}
        (out / "told.json").write_text(json.dumps(told))
        return self.open(out)

    @staticmethod
    def open(path):
        told = json.loads((path / "told.json").read_text())
        info = SimpleNamespace(steps=told["steps"], to_dict=lambda: {"masked": 5})
        return SimpleNamespace(
            path=path,
            sha256=f"hash of {path.name}",
            provenance=told["provenance"],
            bundles=tuple(told["bundles"]),
            info=lambda: info,
        )

    def refine(self, data, start, out, settings, command):
        self._note(f"{settings.method} {Path(start).stem} {settings.seed}")
        self.learned_from.append([folder.name for folder in data])
        shutil.copy(start, out)
        return SimpleNamespace(report={"best": "b", "candidates": [], "accepted": True, "falls": 0})

    def finetune(self, start, collect, out, settings, command):
        self._note(f"finetune {Path(start).stem} {settings.method} {settings.rounds}")
        self.finetuned.append(settings)
        for number in range(1, settings.rounds + 1):
            folder = out / f"round_{number}"
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(start, folder / "policy.go1policy")
        return SimpleNamespace(rounds=tuple({"round": number} for number in range(1, settings.rounds + 1)))

    def train_oracle(self, graph, condition, out, settings):
        self._note(f"oracle {settings.seed}")
        return Oracle(graph, 40, 123.0, ((0, 100.0), (40, 123.0)))

    def forward_speeds(self, bundle, condition, threads):
        self._note(f"forward {Path(bundle).stem}")
        return SteadyResult(FORWARD, np.array([[0.6, 0.0, 0.0], [0.8, 0.0, 0.0]]), 3)

    def evaluate_bundle_batched(self, bundle, condition, episodes, seed, episode_s, commands, threads):
        self._note(f"evaluate {Path(bundle).stem} {seed}")
        walk = EpisodeResult(seed, 500, 100.0, 0.1, 0.1, 0.5, 0.5, False, "truncated", 20.0, 5.0)
        return BatchEvaluation(read_bundle(bundle).sha256, condition, episode_s, commands, (walk,), (0,))


@pytest.fixture
def work(monkeypatch) -> Work:
    return Work(monkeypatch)


def run(
    out: Path,
    sizes: ConditionBenchmark = SIZES,
    stages: tuple[str, ...] = STAGES,
    seed: int = 3,
    condition: str = "ice",
) -> None:
    for stage in stages:
        ConditionRun(sizes, condition, seed, out).run(stage, say=lambda line: None)


def test_all_stages_walk_the_same_episodes_and_each_round_starts_from_the_last(work, tmp_path):
    run(tmp_path)
    evaluate = "evaluate {} 700000".format
    assert work.done == [
        evaluate(FLAT),
        evaluate(ROBUST),
        f"log dataset1 {FLAT} 1003",
        f"ensemble {FLAT} 1003",
        evaluate("refined1"),
        "log dataset2 refined1 2003",
        "ensemble refined1 2003",
        evaluate("refined2"),
        f"uni_o4 {FLAT} 1003",  # from the log that is there
        evaluate("published1"),
        "log published_dataset2 published1 2003",
        "uni_o4 published1 2003",
        evaluate("published2"),
        *("finetune refined2 ensemble 2", evaluate("policy")) * 2,
        *("finetune published2 ppo 2", evaluate("policy")) * 2,
        "oracle 3",
        evaluate("oracle"),
    ]
    sealed = read_bundle(tmp_path / "ice" / "seed3" / "oracle.go1policy")
    assert sealed.lineage.parents == (read_bundle(SIZES.bundle).sha256,)
    assert "ice itself" in sealed.lineage.notes[0] and "reward and shaping" in sealed.lineage.notes[0]


def test_every_round_learns_from_all_logs_so_far(work, tmp_path):
    run(tmp_path, stages=("refined", "published"))
    both = [["dataset1"], ["dataset1", "dataset2"], ["dataset1"], ["dataset1", "published_dataset2"]]
    assert work.learned_from == both
    found = json.loads((tmp_path / "ice" / "seed3" / "refined2.json").read_text())
    assert found["datasets_sha256"] == ["hash of dataset1", "hash of dataset2"]
    assert found["logged_steps"] == 200


def test_online_learning_goes_on_with_what_was_logged_and_the_published_one_without(work, tmp_path):
    run(tmp_path, stages=("refined", "published", "online", "published_online"))
    ours, published = work.finetuned[0], work.finetuned[-1]
    assert [path.name for path in ours.earlier_data] == ["dataset1", "dataset2"]
    assert published.earlier_data == () and published.online.ppo.clip == 0.05
    assert ours.seed == ours.online.seed == published.seed == 30_000
    folder = tmp_path / "ice" / "seed3"
    steps = [json.loads((folder / f"online{look}.json").read_text())["logged_steps"] for look in (1, 2)]
    assert steps == [500, 800]  # two rounds of 100, and 300 a look
    last = json.loads((folder / "online2.json").read_text())
    assert last["rounds"] == [{"round": 1}, {"round": 2}] and last["bundle"] == "online/round_2/policy.go1policy"


@pytest.mark.parametrize(("stage", "before"), [("online", "refined"), ("published_online", "published")])
def test_online_learning_without_the_last_round_is_refused(work, tmp_path, stage, before):
    run(tmp_path, dataclasses.replace(SIZES, rounds=1), stages=(before,))
    with pytest.raises(ConditionBenchmarkError, match=f"round 2 of {before}.*Run the stage {before} before"):
        run(tmp_path, stages=(stage,))
    assert not work.finetuned


@pytest.mark.parametrize(
    "stop",
    [
        *(f"log dataset1 {FLAT} 1003", "ensemble refined1 2003", "evaluate refined2 700000", "uni_o4 published1 2003"),
        *("finetune refined2 ensemble 2", "evaluate policy 700000", "oracle 3"),
    ],
)
def test_a_stopped_run_goes_on_with_the_stage_it_was_in(work, tmp_path, stop):
    work.fail_at = stop
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    before, work.done, work.fail_at = work.done, [], ""
    run(tmp_path)
    # Whatever led to a finished stage is not done again, and no log is logged twice.
    finished = [entry for entry in before if entry.startswith(("evaluate", "log"))]
    assert not set(finished) & set(work.done)
    assert work.done[-1] == "evaluate oracle 700000"
    again = len(work.done)
    run(tmp_path)
    assert len(work.done) == again


def test_a_log_of_another_policy_or_of_fewer_steps_is_logged_anew(work, other_bundle, tmp_path):
    run(tmp_path, stages=("refined",))
    folder = tmp_path / "ice" / "seed3"
    told = folder / "dataset1" / "told.json"
    for changed in ({"bundles": ["another"]}, {"steps": 99}):
        told.write_text(json.dumps({**json.loads(told.read_text()), **changed}))
        for record in folder.glob("*.json"):
            record.unlink()
        work.done = []
        run(tmp_path, stages=("refined",))
        assert [entry for entry in work.done if entry.startswith("log")] == [f"log dataset1 {FLAT} 1003"]


@pytest.mark.parametrize("condition", ["latex", "mattress"])
def test_on_soft_ground_the_speed_at_a_steady_command_is_measured_too(work, tmp_path, condition):
    run(tmp_path, stages=("pre",), condition=condition)
    assert work.done == [f"evaluate {FLAT} 700000", f"forward {FLAT}"]
    found = json.loads((tmp_path / condition / "pre.json").read_text())
    assert found["steady"] == {"forward_m_s": [0.6, 0.8], "falls": 1}
    assert found["settings"]["steady"] == {"command": [1.0, 0.0, 0.0], "robots": 16}


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
    assert work.done == [f"evaluate {FLAT} 700000"]


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
    assert found["datasets"] == [{"masked": 5}]
    assert found["evaluation"]["through_the_wire"] is False
    assert found["datasets_sha256"] == ["hash of dataset1"] and found["code_version"] == "1.0" and found["seed"] == 3


def test_settings_that_are_no_json_come_back_as_they_were(work, tmp_path):
    """The published learner has no limit on the KL: an infinity in the settings does not make a result another's."""
    run(tmp_path, stages=("published", "published_online"))
    done = len(work.done)
    assert OnlineStage().published.learner.kl_limit == float("inf") > OnlineSettings().kl_limit
    run(tmp_path, stages=("published", "published_online"))
    assert len(work.done) == done
