"""The gate between a round's learning and the next round's driving: what is refused leaves the incumbent as it was."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from deploy.host.finetune import finetune
from deploy.host.logged_policy import LoggedPolicyError
from policy.bundle import BUNDLES, read_bundle, verify_bundle
from policy.candidate_gate import PairedWalks
from policy.export import load_graph
from policy.trainer_state import load_trainer_state
from policy.transitions import Transitions
from policy.uni_o4.online import OnlineLearner
from policy.uni_o4.ppo import UpdateStatistics
from robot_configs.robot import load_robot
from tests.deploy.host.conftest import improvement
from tests.deploy.host.finetune_bench import SETTINGS, SameLogs, killed, round_bundle


@pytest.fixture
def collector(dataset: Path) -> SameLogs:
    return SameLogs(dataset.parent / "logs")


def same_weights(first: Path, second: Path) -> bool:
    one, two = (load_graph(read_bundle(path)).actor.state_dict() for path in (first, second))
    return all(torch.equal(one[name], two[name]) for name in one)


def one_round(shipped: Path, collector: SameLogs, out: Path, trial=None):
    (record,) = finetune(shipped, collector, out, replace(SETTINGS, rounds=1, steps=600), trial=trial).rounds
    return record


def test_a_healthy_round_passes_by_what_the_logs_tell(shipped, collector, tmp_path):
    record = one_round(shipped, collector, tmp_path / "run")
    gate = record["gate"]
    assert (gate["accepted"], gate["reasons"]) == (True, [])
    assert gate["not_checked"] == [
        "offline evaluation: PPO has no model to evaluate its policy in",
        "twin: no trial on a twin was asked for",
    ]
    assert gate["figures"]["kl"] == record["kl"]
    assert 0.9 < gate["figures"]["roughness"] / gate["figures"]["roughness_of_incumbent"] < 1.1
    assert not same_weights(round_bundle(tmp_path / "run", 1), shipped)


def test_a_policy_that_shakes_is_refused_and_leaves_no_trace(shipped, collector, tmp_path, monkeypatch):
    """Its actions grow 2.5 times: 6.25 times as rough. The next round starts where this one did."""
    original = OnlineLearner.update
    updates = []

    def shaking(self: OnlineLearner, transitions: Transitions) -> UpdateStatistics:
        updates.append({name: tensor.clone() for name, tensor in self.actor.state_dict().items()})
        statistics = original(self, transitions)
        last = [module for module in self.actor.modules() if isinstance(module, nn.Linear)][-1]
        with torch.no_grad():
            last.weight.mul_(2.5)
            last.bias.mul_(2.5)
        return statistics

    monkeypatch.setattr(OnlineLearner, "update", shaking)
    result = finetune(shipped, collector, tmp_path / "run", SETTINGS)
    for number, record in enumerate(result.rounds, start=1):
        assert record["gate"]["accepted"] is False
        (reason,) = record["gate"]["reasons"]
        assert reason.startswith("smoothness: actions change by ") and "more than 2 times as rough" in reason
        assert same_weights(round_bundle(tmp_path / "run", number), shipped)
        state = load_trainer_state(tmp_path / "run" / f"round_{number}" / "learner.safetensors")
        assert (state.record["updates"], state.record["steps"]) == (0, 0)
    assert len(updates) == 2
    assert all(torch.equal(updates[0][name], updates[1][name]) for name in updates[0])
    # A version never goes back, also where the weights do.
    assert read_bundle(result.bundle).version == read_bundle(shipped).version + 2


class Trial:
    """Stands in for the twin: as many walks, each with the same difference; notes which bundles met."""

    def __init__(self, difference: float) -> None:
        self.difference = difference
        self.met: list[tuple[Path, Path]] = []
        self.weights_differed: list[bool] = []

    def __call__(self, candidate: Path, incumbent: Path) -> PairedWalks:
        verify_bundle(read_bundle(candidate), load_robot())
        self.met.append((candidate, incumbent))
        self.weights_differed.append(not same_weights(candidate, incumbent))
        count = 10
        returns = (100.0,) * count
        worse = tuple(100.0 + self.difference for _ in range(count))
        return PairedWalks(worse, returns, (False,) * count, (False,) * count, must_gain=False)


@pytest.mark.parametrize(("difference", "accepted"), [(-5.0, False), (0.0, True), (5.0, True)])
def test_the_twin_has_the_last_word_before_a_policy_drives(shipped, collector, tmp_path, difference, accepted):
    trial = Trial(difference)
    record = one_round(shipped, collector, tmp_path / "run", trial)
    assert trial.met == [(tmp_path / "run" / "round_1" / "candidate.go1policy", shipped)]
    assert trial.weights_differed == [True]
    assert record["gate"]["accepted"] is accepted
    refusal = "twin: clearly worse, -5.0 a walk against the incumbent, in 10 pairs"
    assert record["gate"]["reasons"] == ([] if accepted else [refusal])
    assert same_weights(round_bundle(tmp_path / "run", 1), shipped) is not accepted
    written = json.loads((tmp_path / "run" / "round_1" / "round.json").read_text())
    assert written["gate"] == record["gate"]


def test_where_learning_found_nothing_better_nobody_walks(shipped, collector, tmp_path):
    """A learning rate of zero in the model: no candidate, so nothing to try."""
    trial = Trial(5.0)
    still = replace(SETTINGS.model, improvement=improvement(learning_rate=0.0))
    settings = replace(SETTINGS, rounds=1, steps=600, method="ensemble", model=still)
    (record,) = finetune(shipped, collector, tmp_path / "run", settings, trial=trial).rounds
    assert (record["best"], record["gate"], trial.met) == ("start", None, [])


def test_earlier_data_of_another_policy_are_refused_before_anything_is_driven(dataset, tmp_path):
    """`killed` would raise if it were asked to drive."""
    other, settings = BUNDLES / "go1_velocity_flat.go1policy", replace(SETTINGS, earlier_data=(dataset,))
    with pytest.raises(LoggedPolicyError, match="another policy version"):
        finetune(other, killed, tmp_path / "run", settings)
