"""Online fine-tuning, in miniature: rounds that follow from each other, kills that change nothing, refusals."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import deploy.host.finetune as finetune_module
from deploy.host.finetune import finetune
from deploy.host.finetune_settings import FinetuneSettings
from deploy.host.refine import RefineError, refine
from offline_data.dataset import Dataset
from policy.bundle import Bundle, BundleError, read_bundle, verify_bundle, write_bundle
from policy.export import load_graph
from policy.trainer_state import load_trainer_state
from policy.uni_o4.online import ModelSettings, OnlineLearner, OnlineSettings
from policy.uni_o4.ppo import PpoSettings
from robot_configs.robot import load_robot
from sim.collect import CollectSettings, collect_on_twin
from tests.deploy.host.conftest import DYNAMICS, VALUE, improvement, tiny_refinement

SETTINGS = FinetuneSettings(
    steps=121,
    rounds=2,
    method="ppo",
    seed=5,
    threads=1,
    # Adam's first step moves every weight by the rate: at 3e-4 it alone would overdraw the KL limit and be undone.
    online=OnlineSettings(PpoSettings(epochs=2, minibatch_size=32, actor_learning_rate=2e-5), warm_up_epochs=2, seed=3),
    model=ModelSettings(VALUE, DYNAMICS, improvement()),
)


class Killed(BaseException):
    """Stands for a kill: nothing in the code under test may catch it."""


class TwinCollector:
    """Logs on the twin, in this process; the same policy, steps and seed are logged once and then copied."""

    def __init__(self, shelf: Path) -> None:
        self.shelf = shelf
        self.calls: list[tuple[Path, int, int]] = []

    def __call__(self, bundle: Path, steps: int, log_dir: Path, seed: int) -> None:
        self.calls.append((bundle, steps, seed))
        key = hashlib.sha256(read_bundle(bundle).onnx_bytes + f"{steps} {seed}".encode()).hexdigest()
        if not (self.shelf / key).exists():
            settings = CollectSettings(episode_s=0.5, workers=1)
            collect_on_twin(bundle, "mattress", steps, self.shelf / key, seed, settings)
        shutil.copytree(self.shelf / key, log_dir)


@pytest.fixture(scope="session")
def shelf(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("shelf")


@pytest.fixture
def collector(shelf) -> TwinCollector:
    return TwinCollector(shelf)


@pytest.fixture(scope="module")
def undisturbed(shipped, shelf, tmp_path_factory) -> tuple[Path, TwinCollector]:
    """A run that nobody kills."""
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    collector = TwinCollector(shelf)
    finetune(shipped, collector, out, SETTINGS, command="go1 finetune in a test")
    return out, collector


def round_bundle(out: Path, number: int) -> Path:
    return out / f"round_{number}" / "policy.go1policy"


def assert_same_run(first: Path, second: Path) -> None:
    """Both rounds' weights, learner states (moments and random state too), data and figures."""
    for number in (1, 2):
        graphs = [load_graph(read_bundle(round_bundle(out, number))).actor.state_dict() for out in (first, second)]
        states = [load_trainer_state(out / f"round_{number}" / "learner.safetensors") for out in (first, second)]
        for one, two in (graphs, [state.tensors for state in states]):
            assert one.keys() == two.keys()
            for name, tensor in one.items():
                assert torch.equal(tensor, two[name]), f"round {number}: {name}"
        assert states[0].record == states[1].record
        records = [json.loads((out / f"round_{number}" / "round.json").read_text()) for out in (first, second)]
        for record in records:
            # The lineage in the seal holds command and commit of the day.
            del record["wall_s"], record["bundle_sha256"], record["parent_sha256"]
        assert records[0] == records[1]


# ---- A whole run -----------------------------------------------------------------------------------------------------


def test_each_round_drives_the_bundle_of_the_one_before(undisturbed, shipped):
    out, collector = undisturbed
    share = 61  # half of 121, rounded up
    assert collector.calls == [(shipped, share, 5), (round_bundle(out, 1), share, 6)]
    bundles = [read_bundle(path) for path in (shipped, round_bundle(out, 1), round_bundle(out, 2))]
    for before, after in zip(bundles[:-1], bundles[1:], strict=True):
        verify_bundle(after, load_robot())
        assert after.version == before.version + 1
        assert after.contract == before.contract
        assert after.lineage.stage == "finetune"
        assert after.lineage.parents == (before.sha256,)
        assert after.lineage.command == "go1 finetune in a test"
        assert after.lineage.seed == SETTINGS.online.seed
        assert {"seed of the learner: 3", "seed of the logging: 5"} <= set(after.lineage.notes)
    for number in (1, 2):
        data = Dataset.open(out / f"round_{number}" / "dataset")
        assert bundles[number].lineage.data == (data.sha256,)
        assert data.info().steps == share


def test_every_round_moves_every_layer_a_little(undisturbed, shipped):
    out, _ = undisturbed
    paths = (shipped, round_bundle(out, 1), round_bundle(out, 2))
    weights = [load_graph(read_bundle(path)).actor.state_dict() for path in paths]
    for before, after in zip(weights[:-1], weights[1:], strict=True):
        for name, tensor in before.items():
            assert 0 < (after[name] - tensor).abs().max() < 1e-3, name


def test_the_records_say_what_happened(undisturbed):
    out, _ = undisturbed
    for number in (1, 2):
        record = json.loads((out / f"round_{number}" / "round.json").read_text())
        assert record["round"] == number
        assert record["steps"] == 61
        bundle = read_bundle(round_bundle(out, number))
        assert (record["parent_sha256"], record["datasets"]) == (*bundle.lineage.parents, list(bundle.lineage.data))
        assert (record["seed_of_the_learner"], record["seed_of_the_logging"]) == (3, 5)
        assert record["settings"]["online"]["seed"] == 3 and record["settings"]["steps"] == SETTINGS.steps
        assert (record["bundle_sha256"], record["code_version"]) == (bundle.sha256, bundle.lineage.code_version)
        data = Dataset.open(out / f"round_{number}" / "dataset")
        steps = ~np.asarray(data["final"])
        assert record["mean_reward"] == pytest.approx(float(np.asarray(data["reward"])[steps].mean()), rel=1e-4)
        assert 1e-6 < record["kl"] <= SETTINGS.online.kl_limit


def test_a_finished_run_is_not_run_again(undisturbed, shipped, shelf):
    out, _ = undisturbed
    collector = TwinCollector(shelf)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    result = finetune(shipped, collector, out, SETTINGS)
    assert collector.calls == []
    assert result.bundle == round_bundle(out, 2)
    assert [record["round"] for record in result.rounds] == [1, 2]
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before


def test_the_optimiser_and_the_steps_are_carried_over(undisturbed):
    out, _ = undisturbed
    states = [load_trainer_state(out / f"round_{number}" / "learner.safetensors") for number in (1, 2)]
    assert [state.record["steps"] for state in states] == [61, 122]
    assert [state.record["updates"] for state in states] == [1, 2]
    assert states[0].record["reward_scale"] == states[1].record["reward_scale"]
    steps = [float(state.tensors["actor_optimizer.0.step"]) for state in states]
    assert steps[1] > steps[0] > 0


def test_learning_inside_the_model_uses_everything_logged(shipped, collector, dataset, tmp_path):
    """The default method, starting from a refined bundle's value and reward scale and an earlier data set."""
    start = tmp_path / "start.go1policy"
    refine(dataset, shipped, start, tiny_refinement(improvement=improvement(learning_rate=0.0)))
    settings = replace(SETTINGS, method="ensemble", earlier_data=(dataset,))
    sizes = []
    original = OnlineLearner.update_in_model

    def counting(self, everything, new_steps, *rest):
        sizes.append((len(everything), new_steps))
        return original(self, everything, new_steps, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OnlineLearner, "update_in_model", counting)
        result = finetune(start, collector, tmp_path / "run", settings)
    assert sizes == [(600 + 61, 61), (600 + 61 + 61, 61)]
    assert [record["method"] for record in result.rounds] == ["ensemble", "ensemble"]
    scale = load_trainer_state(start.with_suffix(".trainer.safetensors")).record["reward_scale"]
    for number in (1, 2):
        state = load_trainer_state(tmp_path / "run" / f"round_{number}" / "learner.safetensors")
        assert state.record["reward_scale"] == scale


# ---- Kills -----------------------------------------------------------------------------------------------------------


def killing(function: Callable[..., Any], call: int, when: str) -> Callable[..., Any]:
    """The function, killed just before or just after its n-th call."""
    count = 0

    def wrapped(*positional: Any, **named: Any) -> Any:
        nonlocal count
        count += 1
        if count == call and when == "before":
            raise Killed
        result = function(*positional, **named)
        if count == call and when == "after":
            raise Killed
        return result

    return wrapped


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("artefact", ["ingest", "export_bundle", "save"])
def test_a_kill_between_two_artefacts_changes_nothing(
    artefact, when, undisturbed, shipped, collector, tmp_path, monkeypatch
):
    """In the second round, which stands on the first one's bundle, data and learner."""
    owner = OnlineLearner if artefact == "save" else finetune_module
    with monkeypatch.context() as patch:
        patch.setattr(owner, artefact, killing(getattr(owner, artefact), 2, when))
        with pytest.raises(Killed):
            finetune(shipped, collector, tmp_path / "run", SETTINGS)
    assert not (tmp_path / "run" / "round_2" / "round.json").exists()
    finetune(shipped, collector, tmp_path / "run", SETTINGS)
    assert len(collector.calls) == 2, "no round was logged twice"
    assert_same_run(tmp_path / "run", undisturbed[0])


def test_an_interrupted_session_is_logged_anew(undisturbed, shipped, collector, tmp_path):
    """Its partial logs are set aside: they must not be learned from together with the new ones."""

    def interrupted(bundle: Path, steps: int, log_dir: Path, seed: int) -> None:
        if len(collector.calls) == 1:
            collector(bundle, 30, log_dir, seed + 100)  # some other steps, and then the power is gone
            raise Killed
        collector(bundle, steps, log_dir, seed)

    with pytest.raises(Killed):
        finetune(shipped, interrupted, tmp_path / "run", SETTINGS)
    assert not (tmp_path / "run" / "round_2" / "logs").exists()
    finetune(shipped, collector, tmp_path / "run", SETTINGS)
    assert not (tmp_path / "run" / "round_2" / "logs.partial").exists()
    assert list((tmp_path / "run" / "round_2" / "unfinished_session_1").rglob("*.mcap")), "nothing logged is deleted"
    assert_same_run(tmp_path / "run", undisturbed[0])


def test_kills_in_a_row_change_nothing_either(undisturbed, shipped, collector, tmp_path, monkeypatch):
    """In the first round, one after each artefact."""
    for owner, artefact in ((finetune_module, "ingest"), (finetune_module, "export_bundle"), (OnlineLearner, "save")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, artefact, killing(getattr(owner, artefact), 1, "after"))
            with pytest.raises(Killed):
                finetune(shipped, collector, tmp_path / "run", SETTINGS)
    finetune(shipped, collector, tmp_path / "run", SETTINGS)
    assert_same_run(tmp_path / "run", undisturbed[0])


# ---- Refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        replace(SETTINGS, seed=6),
        replace(SETTINGS, steps=240),
        replace(SETTINGS, method="ensemble"),
        replace(SETTINGS, online=replace(SETTINGS.online, kl_limit=0.01)),
    ],
    ids=["seed", "steps", "method", "kl_limit"],
)
def test_a_folder_of_a_run_with_other_settings_is_refused(other, undisturbed, shipped, collector):
    with pytest.raises(RefineError, match="another run"):
        finetune(shipped, collector, undisturbed[0], other)
    assert collector.calls == []


def test_a_folder_of_a_run_from_another_bundle_is_refused(undisturbed, collector):
    out, _ = undisturbed
    with pytest.raises(RefineError, match="another run"):
        finetune(round_bundle(out, 1), collector, out, SETTINGS)
    assert collector.calls == []


def spoiled(bundle: Bundle, path: Path) -> Bundle:
    """Sealed properly, but its graph does not compute what its golden vectors say."""
    golden = {**bundle.golden, "out.joint_target": bundle.golden["out.joint_target"] + np.float32(0.01)}
    return write_bundle(
        path, bundle.contract, bundle.onnx_bytes, golden, bundle.lineage, bundle.version, bundle.robot_sha256
    )


def test_a_round_whose_bundle_does_not_verify_ends_the_run(shipped, collector, tmp_path, monkeypatch):
    export = finetune_module.export_bundle

    def export_spoiled(graph, path, *rest):
        return spoiled(export(graph, path, *rest), path)

    monkeypatch.setattr(finetune_module, "export_bundle", export_spoiled)
    for _ in range(2):  # and it stays so when the run is resumed
        with pytest.raises(BundleError, match="golden vectors"):
            finetune(shipped, collector, tmp_path / "run", SETTINGS)
        assert [bundle for bundle, _, _ in collector.calls] == [shipped]
        assert not (tmp_path / "run" / "round_2").exists()


def test_a_start_that_does_not_verify_is_never_driven(shipped, collector, tmp_path):
    start = tmp_path / "start.go1policy"
    spoiled(read_bundle(shipped), start)
    with pytest.raises(BundleError, match="golden vectors"):
        finetune(start, collector, tmp_path / "run", replace(SETTINGS, seed=77))
    assert not (tmp_path / "run" / "round_1" / "logs").exists()
    assert not list((tmp_path / "run").rglob("*.mcap"))
