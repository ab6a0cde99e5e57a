"""Online learning on the toy robot: the data it makes, and that a kill changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.uni_o4 import online_rollouts
from benchmarks.uni_o4.budgets import Budget, smoke_budget
from benchmarks.uni_o4.data import DataSet
from benchmarks.uni_o4.finetune import online_trial, run_online
from benchmarks.uni_o4.finetune_settings import FinetuneSettings
from benchmarks.uni_o4.gymnasium_world import Standardization
from benchmarks.uni_o4.networks_file import load_policy, save_learned
from benchmarks.uni_o4.online_rollouts import collect
from benchmarks.uni_o4.ours import Learned
from benchmarks.uni_o4.robots import BenchmarkError, benchmark_robot
from policy.networks import GaussianActor, ValueNetwork
from policy.uni_o4.offline import Improvement
from policy.uni_o4.settings import no_progress
from policy.uni_o4.value import RewardScale
from tests.benchmarks.uni_o4.toy_robot import STEPS, ToyEnvironment, toy_steps

HOPPER = benchmark_robot("hopper")
DATA = DataSet(HOPPER, "medium", toy_steps(HOPPER, 5), "toy")
SETTINGS = FinetuneSettings(
    steps=480, iteration_steps=160, episodes_beside=2, evaluation_interval=160, cold_hidden_dims=(8,)
)
BUDGET: Budget = replace(smoke_budget(), online=SETTINGS)


def learned() -> Learned:
    torch.manual_seed(0)
    actor, value = GaussianActor(11, 3, (8,), 0.3), ValueNetwork(11, (8, 4))
    return Learned(actor, value, RewardScale(0.25), Standardization.of(DATA.steps), Improvement((), value), {})


def test_what_is_collected_is_what_happened(toy: None):
    made, start = learned(), collect(learned().actor, learned().standardization, HOPPER, SETTINGS, 0, seed=0)
    assert len(start) == 160
    assert start.behavior_is_known
    torch.testing.assert_close(start.log_prob, made.actor.log_prob(start.observation, start.action).detach())
    # Two environments of 80 steps: one after the other, cut where the iteration ends.
    assert bool(start.episode_end[79]) and bool(start.episode_end[159])
    inside = ~start.episode_end[:-1]
    torch.testing.assert_close(start.next_physical[:-1][inside], start.physical[1:][inside])
    lengths = start.episode.bincount()
    assert int(lengths.max()) <= STEPS
    torch.testing.assert_close(start.reward, 1.0 + start.next_physical[:, 0])
    other = collect(made.actor, made.standardization, HOPPER, SETTINGS, 1, seed=0)
    assert not torch.equal(other.action, start.action)


def test_networks_scale_and_standardisation_come_back(tmp_path: Path):
    made, path = learned(), tmp_path / "made" / "policy.safetensors"
    save_learned(path, made)
    back, state = load_policy(path), torch.randn(4, 11)
    assert back.scale == RewardScale(0.25)
    assert torch.equal(back.actor(state)[0], made.actor(state)[0])
    assert torch.equal(back.actor.std(), made.actor.std())
    assert torch.equal(back.value(state), made.value(state))
    assert torch.equal(back.standardization(state), made.standardization(state))


@pytest.mark.parametrize("method", ["ensemble", "scratch"])
def test_a_killed_run_gives_the_curve_of_one_that_was_not(
    toy: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
):
    offline = tmp_path / "offline.safetensors"
    save_learned(offline, learned())
    trial = online_trial("hopper", "medium", 0, method, BUDGET)
    whole = run_online(trial, DATA, BUDGET, offline, tmp_path / "whole.safetensors", no_progress)
    assert [point["steps"] for point in whole["curve"]] == [0, 160, 320, 480]

    class Breaking(ToyEnvironment):
        steps = 0

        def step(self, action):
            Breaking.steps += 1
            if Breaking.steps == 400:
                raise KeyboardInterrupt
            return super().step(action)

    monkeypatch.setattr(online_rollouts, "make_environment", Breaking)
    state = tmp_path / "killed.safetensors"
    with pytest.raises(KeyboardInterrupt):
        run_online(trial, DATA, BUDGET, offline, state, no_progress)
    before = Breaking.steps
    resumed = run_online(trial, DATA, BUDGET, offline, state, no_progress)
    assert resumed["curve"] == whole["curve"]
    assert not list(tmp_path.rglob("*.json"))  # such a file beside the results would be taken for one
    assert Breaking.steps - before == 160  # the interrupted iteration, and none of those before


def test_without_its_offline_trial_a_run_says_what_to_do(tmp_path: Path):
    trial = online_trial("hopper", "medium", 0, "ensemble", BUDGET)
    with pytest.raises(BenchmarkError, match="Run the part `offline` first"):
        run_online(trial, DATA, BUDGET, tmp_path / "absent", tmp_path / "state", no_progress)
    with pytest.raises(BenchmarkError, match="ensemble, uni_o4, scratch, iql"):
        online_trial("hopper", "medium", 0, "cal_ql", BUDGET)
