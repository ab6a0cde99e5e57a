"""What a run is keyed by, what its policies are made of, and what follows a round that walked clearly worse."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import pytest
import torch
from torch import Tensor, nn

import deploy.host.finetune as finetune_module
from deploy.host.finetune import finetune
from deploy.host.finetune_rollback import ReturnDifference
from deploy.host.finetune_settings import FinetuneSettings
from deploy.host.refine import RefineError
from offline_data.dataset import Dataset
from offline_data.ingest import IngestSettings, ingest
from policy.bundle import read_bundle
from policy.export import load_graph
from policy.trainer_state import load_trainer_state
from policy.transitions import Transitions
from policy.uni_o4.online import OnlineLearner
from policy.uni_o4.ppo import UpdateStatistics
from sim.collect import CollectSettings, collect_on_twin
from tests.deploy.host.finetune_bench import LOGGED_STEPS, SETTINGS, Killed, SameLogs, killed, round_bundle

WORSE, BETTER = ReturnDifference(-9.0, -12.0, -6.0), ReturnDifference(3.0, 1.0, 5.0)


@pytest.fixture
def collector(dataset: Path) -> SameLogs:
    return SameLogs(dataset.parent / "logs")


def weights(bundle: Path) -> dict[str, Tensor]:
    return load_graph(read_bundle(bundle)).actor.state_dict()


def same_weights(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


# ---- What a run is keyed by ------------------------------------------------------------------------------------------


@pytest.fixture
def claimed(shipped: Path, dataset: Path, tmp_path: Path) -> tuple[Path, Path, FinetuneSettings]:
    """A run that was killed before it logged anything: its folder, its earlier data, its settings."""
    earlier = tmp_path / "earlier"
    shutil.copytree(dataset, earlier)
    settings = replace(SETTINGS, earlier_data=(earlier,))
    for _ in range(2):  # the second time it goes on
        with pytest.raises(Killed):
            finetune(shipped, killed, tmp_path / "run", settings)
    return tmp_path / "run", earlier, settings


def test_the_run_names_its_earlier_data_by_content(claimed):
    out, earlier, _ = claimed
    assert json.loads((out / "run.json").read_text())["earlier_data_sha256"] == [Dataset.open(earlier).sha256]


def test_other_earlier_data_under_the_same_path_are_refused(claimed, dataset, shipped):
    out, earlier, settings = claimed
    shutil.rmtree(earlier)
    ingest(dataset.parent / "logs", earlier, IngestSettings(minimum_confidence=0.9))
    with pytest.raises(RefineError, match="another run, which differs in earlier_data_sha256"):
        finetune(shipped, killed, out, settings)


def test_the_same_earlier_data_under_another_path_are_refused_too(claimed, shipped):
    out, earlier, settings = claimed
    moved = earlier.rename(earlier.with_name("moved"))
    with pytest.raises(RefineError, match=r"another run, which differs in settings\.earlier_data\."):
        finetune(shipped, killed, out, replace(settings, earlier_data=(moved,)))


# ---- A round that walked clearly worse -------------------------------------------------------------------------------


class Verdicts:
    """Stands in for the comparison of two rounds' logs: gives the verdicts in turn and notes which rounds met."""

    def __init__(self, patch: pytest.MonkeyPatch, *verdicts: Optional[ReturnDifference]) -> None:
        self.compared: list[tuple[str, str]] = []
        self._verdicts = list(verdicts)
        patch.setattr(finetune_module, "logged_episodes", lambda data: data.path.parent.name)
        patch.setattr(finetune_module, "compare_logged_returns", self)

    def __call__(self, before: str, after: str) -> Optional[ReturnDifference]:
        self.compared.append((before, after))
        return self._verdicts.pop(0)


def test_a_rolled_back_round_goes_on_from_the_policy_before(shipped, collector, tmp_path, monkeypatch):
    """Four rounds, the second of which finds that the first one's bundle walks worse."""
    verdicts = Verdicts(monkeypatch, WORSE, None, BETTER)
    out, start = tmp_path / "run", read_bundle(shipped)
    result = finetune(shipped, collector, out, replace(SETTINGS, steps=4 * LOGGED_STEPS, rounds=4))
    assert [bundle for bundle, _, _ in collector.calls] == [shipped, *(round_bundle(out, n) for n in (1, 2, 3))]
    # The third is held against the first, whose policy it drives again, and not against the one that was given up.
    assert verdicts.compared == [("round_1", "round_2"), ("round_1", "round_3"), ("round_3", "round_4")]
    assert [record["rolled_back"] for record in result.rounds] == [False, True, False, False]
    assert [record["return_difference_interval"] for record in result.rounds] == [None, [-12, -6], None, [1, 5]]
    assert [record["return_difference"] for record in result.rounds] == [None, -9, None, 3]

    bundles = [read_bundle(round_bundle(out, number)) for number in (1, 2, 3, 4)]
    assert [bundle.version - start.version for bundle in bundles] == [1, 2, 3, 4]
    parents = [bundle.lineage.parents for bundle in bundles]
    assert parents == [(start.sha256,), (start.sha256,), (bundles[1].sha256,), (bundles[2].sha256,)]
    data = [Dataset.open(out / f"round_{number}" / "dataset").sha256 for number in (1, 2, 3, 4)]
    assert [bundle.lineage.data for bundle in bundles] == [(data[0],), (), (data[2],), (data[3],)]
    assert "rolled_back: True" in bundles[1].lineage.notes
    # PPO has nothing to learn from another policy's steps: the policy before, weight for weight, then on from it.
    assert not same_weights(weights(round_bundle(out, 1)), weights(shipped))
    assert same_weights(weights(round_bundle(out, 2)), weights(shipped))
    assert not same_weights(weights(round_bundle(out, 3)), weights(shipped))
    states = [load_trainer_state(out / f"round_{number}" / "learner.safetensors").record for number in (1, 2, 3, 4)]
    assert [(state["updates"], state["steps"]) for state in states] == [(1, 600), (0, 0), (1, 600), (2, 1200)]


def test_the_model_based_learner_learns_from_the_bad_round_but_starts_before_it(
    shipped, collector, dataset, tmp_path, monkeypatch
):
    Verdicts(monkeypatch, WORSE)
    calls: list[tuple[dict[str, Tensor], int, int]] = []
    original = OnlineLearner.update_in_model

    def noting(self: OnlineLearner, everything: Transitions, new_steps: int, *rest: Any) -> Any:
        calls.append(({name: t.clone() for name, t in self.actor.state_dict().items()}, len(everything), new_steps))
        return original(self, everything, new_steps, *rest)

    monkeypatch.setattr(OnlineLearner, "update_in_model", noting)
    settings = replace(SETTINGS, method="ensemble", earlier_data=(dataset,))
    finetune(shipped, collector, tmp_path / "run", settings)
    assert [(steps, new) for _, steps, new in calls] == [(1200, 600), (1800, 1200)]
    assert same_weights(calls[1][0], weights(shipped))
    data = [Dataset.open(tmp_path / "run" / f"round_{number}" / "dataset").sha256 for number in (1, 2)]
    lineages = [read_bundle(round_bundle(tmp_path / "run", number)).lineage for number in (1, 2)]
    earlier = Dataset.open(dataset).sha256
    assert [lineage.data for lineage in lineages] == [(earlier, data[0]), (earlier, *data)]


def test_where_nothing_is_clearly_worse_nothing_changes(shipped, collector, tmp_path, monkeypatch):
    """Against a run that compares nothing: an interval that only just touches zero."""
    for name, answer in (("compared", ReturnDifference(-3.0, -6.0, 0.0)), ("not_compared", None)):
        with monkeypatch.context() as patch:
            Verdicts(patch, answer)
            finetune(shipped, collector, tmp_path / name, SETTINGS)
    for number in (1, 2):
        first, second = (tmp_path / name / f"round_{number}" for name in ("compared", "not_compared"))
        assert same_weights(weights(first / "policy.go1policy"), weights(second / "policy.go1policy"))
        tensors = [load_trainer_state(folder / "learner.safetensors").tensors for folder in (first, second)]
        assert same_weights(dict(tensors[0]), dict(tensors[1]))


def test_a_deliberately_bad_bundle_is_rolled_back(shipped, dataset, tmp_path, monkeypatch):
    """Nothing is scripted: the first update ruins the actor, the twin falls with it, and the logs say so."""
    original = OnlineLearner.update

    def ruinous(self: OnlineLearner, transitions: Transitions) -> UpdateStatistics:
        statistics = original(self, transitions)
        last = [module for module in self.actor.modules() if isinstance(module, nn.Linear)][-1]
        with torch.no_grad():
            last.weight.mul_(-1.3)  # little rougher than before: the gate has no objection
            last.bias.mul_(-1.3)
        return statistics

    def collect(bundle: Path, steps: int, log_dir: Path, seed: int) -> None:
        if bundle == shipped:
            shutil.copytree(dataset.parent / "logs", log_dir)
        else:
            collect_on_twin(bundle, "nominal", steps, log_dir, seed, CollectSettings(episode_s=2.0, workers=1))

    monkeypatch.setattr(OnlineLearner, "update", ruinous)
    # It falls every sixty steps or so: 360 hold the five falls that a comparison needs.
    result = finetune(shipped, collect, tmp_path / "run", replace(SETTINGS, steps=2 * 360))
    before, after = result.rounds
    assert (before["falls"], before["rolled_back"]) == (0, False)
    assert after["falls"] >= 5
    assert after["rolled_back"] is True
    assert after["return_difference_interval"][1] < 0
    assert not same_weights(weights(round_bundle(tmp_path / "run", 1)), weights(shipped))
    assert same_weights(weights(result.bundle), weights(shipped))
