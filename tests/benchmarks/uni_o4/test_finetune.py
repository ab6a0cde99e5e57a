"""Online learning on the toy robot: the data it makes, and that a kill changes nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.uni_o4 import evaluate, online_rollouts
from benchmarks.uni_o4.budgets import Budget, smoke_budget
from benchmarks.uni_o4.data import DataSet
from benchmarks.uni_o4.finetune import online_trial, run_online
from benchmarks.uni_o4.gymnasium_world import Standardization
from benchmarks.uni_o4.networks_file import load_policy, save_learned
from benchmarks.uni_o4.offline_trials import file_sha256
from benchmarks.uni_o4.online_rollouts import OngoingEpisodes
from benchmarks.uni_o4.ours import Learned
from benchmarks.uni_o4.robots import BenchmarkError, benchmark_robot
from policy.networks import GaussianActor, ValueNetwork
from policy.transitions import Transitions
from policy.uni_o4.candidates import Improvement
from policy.uni_o4.settings import no_progress
from policy.uni_o4.value import RewardScale
from tests.benchmarks.uni_o4.toy_robot import STEPS, ToyEnvironment, toy_steps

HOPPER = benchmark_robot("hopper")
DATA = DataSet(HOPPER, "medium", toy_steps(HOPPER, 5), "toy")
SMOKE = smoke_budget()
SETTINGS = replace(
    SMOKE.online,
    steps=480,
    episodes_beside=2,
    evaluation_interval=160,
    cold_hidden_dims=(8,),
    carried=replace(SMOKE.online.carried, iteration_steps=160),
    cold=replace(SMOKE.online.cold, iteration_steps=160),
)
BUDGET: Budget = replace(SMOKE, online=SETTINGS)


def learned() -> Learned:
    torch.manual_seed(0)
    actor, value = GaussianActor(11, 3, (8,), 0.3), ValueNetwork(11, (8, 4))
    return Learned(actor, value, RewardScale(0.25), Standardization.of(DATA.steps), Improvement((), value), {})


def made_offline(path: Path) -> dict[str, str]:
    """Networks at the path, and the offline result that would stand beside them."""
    save_learned(path, learned())
    return {"key": "made from these data", "networks_sha256": file_sha256(path)}


def collect(episodes: OngoingEpisodes, steps: int = 160, iteration: int = 0) -> Transitions:
    return episodes.collect(learned().actor, learned().standardization, steps, iteration)


def test_what_is_collected_is_what_happened(toy: None):
    made, start = learned(), collect(OngoingEpisodes(HOPPER, 2, 0))
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
    assert not torch.equal(collect(OngoingEpisodes(HOPPER, 2, 0), iteration=1).action, start.action)
    assert not torch.equal(collect(OngoingEpisodes(HOPPER, 2, 1)).action, start.action)


def test_an_episode_goes_on_from_one_iteration_to_the_next(toy: None, monkeypatch: pytest.MonkeyPatch):
    """Iterations of ten steps an environment, episodes of forty: the last of them are seen as well as the first."""
    ages: list[int] = []

    class Aging(ToyEnvironment):
        def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
            answer = super().step(action)
            ages.append(self._steps)
            return (*answer[:2], False, self._steps == STEPS, {})

    monkeypatch.setattr(online_rollouts, "make_environment", Aging)
    episodes = OngoingEpisodes(HOPPER, 2, 0)
    parts = [collect(episodes, 20, iteration) for iteration in range(6)]
    assert ages[::2] == ages[1::2] == [*range(1, STEPS + 1), *range(1, 21)]
    for before, after in zip(parts[:-1], parts[1:], strict=True):
        ended, begun = before.next_physical[9::10], after.physical[::10]
        assert torch.equal(ended, begun) == (before is not parts[3])  # behind the fourth, two episodes begin
        assert before.truncated[9::10].all() and not before.terminated.any()


def test_online_learning_never_meets_an_episode_that_it_is_judged_by(
    toy: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The whole run of two learners and their evaluations, every reset of it noted."""
    seeds: dict[str, set[int]] = {"training 0": set(), "training 1": set(), "evaluation": set()}

    def noting(what: str) -> type[ToyEnvironment]:
        class Noting(ToyEnvironment):
            def reset(self, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
                seeds[what].add(seed)
                return super().reset(seed)

        return Noting

    monkeypatch.setattr(evaluate, "make_environment", noting("evaluation"))
    for learner in (0, 1):
        monkeypatch.setattr(online_rollouts, "make_environment", noting(f"training {learner}"))
        trial = online_trial("hopper", "medium", learner, "scratch", BUDGET, None)
        run_online(trial, DATA, BUDGET, tmp_path, tmp_path / f"{learner}.safetensors", no_progress)
    assert len(seeds["evaluation"]) == BUDGET.episodes
    assert min(len(seeds[name]) for name in ("training 0", "training 1")) >= 12  # 480 steps, 40 an episode at most
    assert not (seeds["training 0"] | seeds["training 1"]) & seeds["evaluation"]
    assert not seeds["training 0"] & seeds["training 1"]


def test_episodes_that_do_not_repeat_themselves_are_not_gone_on_with(
    toy: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    episodes = OngoingEpisodes(HOPPER, 2, 0)
    collect(episodes, 20)
    episodes.save(tmp_path / "episodes")
    again = OngoingEpisodes(HOPPER, 2, 0)
    again.restore(tmp_path / "episodes")
    for one, other in zip(vars(collect(episodes, 20)).values(), vars(collect(again, 20)).values(), strict=True):
        assert one == other if isinstance(one, tuple) else torch.equal(one.nan_to_num(), other.nan_to_num())

    class Other(ToyEnvironment):
        def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
            return super().step(0.5 * action)

    monkeypatch.setattr(online_rollouts, "make_environment", Other)
    with pytest.raises(BenchmarkError, match="other states after the same actions"):
        OngoingEpisodes(HOPPER, 2, 0).restore(tmp_path / "episodes")


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
    trial = online_trial("hopper", "medium", 0, method, BUDGET, made_offline(offline))
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
    assert [len(point["episode_scores"]) for point in resumed["curve"]] == [BUDGET.episodes] * 4
    assert not list(tmp_path.rglob("*.json"))  # such a file beside the results would be taken for one
    # The interrupted iteration, and what had happened in the two episodes under way; none of the iterations before.
    assert 160 <= Breaking.steps - before <= 160 + 2 * (STEPS - 1)
    assert [path.name for path in tmp_path.glob("killed.episodes_*")] == ["killed.episodes_3"]


def test_time_of_sessions_before_counts(toy: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A state that says 1000 seconds were spent before it: the run says at least so many, not those of today only."""
    state, trial = tmp_path / "run.safetensors", online_trial("hopper", "medium", 0, "scratch", BUDGET, None)

    iterations = iter([True])

    whole = OngoingEpisodes.collect

    def killed_at_the_second(*arguments: Any) -> Transitions:
        if not next(iterations, False):
            raise KeyboardInterrupt
        return whole(*arguments)

    monkeypatch.setattr(OngoingEpisodes, "collect", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        run_online(trial, DATA, BUDGET, tmp_path, state, no_progress)
    curve = state.with_suffix(".curve")
    curve.write_text(json.dumps({**json.loads(curve.read_text()), "wall_s": 1000.0, "processor_s": 500.0}))
    monkeypatch.setattr(OngoingEpisodes, "collect", whole)
    found = run_online(trial, DATA, BUDGET, tmp_path, state, no_progress)
    assert 1000.0 < found["wall_s"] < 1100.0 and 500.0 < found["processor_s"] < 600.0


@pytest.mark.parametrize("fault", ["another trial's", "damaged state", "damaged curve", "damaged episodes"])
def test_a_state_of_another_trial_is_thrown_away(toy: None, tmp_path: Path, fault: str):
    state, trial = tmp_path / "run.safetensors", online_trial("hopper", "medium", 0, "scratch", BUDGET, None)
    wanted = run_online(trial, DATA, BUDGET, tmp_path, state, no_progress)
    if fault == "another trial's":
        other = replace(BUDGET, online=replace(SETTINGS, discount=0.99, cold_std=0.5))
        state.unlink()
        run_online(
            online_trial("hopper", "medium", 0, "scratch", other, None), DATA, other, tmp_path, state, no_progress
        )
    elif fault == "damaged state":
        state.write_bytes(state.read_bytes()[:100])
    elif fault == "damaged episodes":
        (episodes,) = tmp_path.glob("run.episodes_*")
        episodes.write_bytes(episodes.read_bytes()[:100])
    else:
        state.with_suffix(".curve").write_text("{")
    found = run_online(trial, DATA, BUDGET, tmp_path, state, no_progress)
    assert found["curve"] == wanted["curve"]


def test_an_online_run_starts_from_the_networks_of_its_offline_result_only(toy: None, tmp_path: Path):
    networks = tmp_path / "offline.safetensors"
    offline = made_offline(networks)
    trial = online_trial("hopper", "medium", 0, "ensemble", BUDGET, offline)
    torch.manual_seed(1)
    changed = learned()
    changed.actor.log_std.data.add_(0.1)
    save_learned(networks, changed)
    with pytest.raises(BenchmarkError, match="networks of the offline result"):
        run_online(trial, DATA, BUDGET, networks, tmp_path / "state", no_progress)
    again = online_trial("hopper", "medium", 0, "ensemble", BUDGET, {**offline, "networks_sha256": "other"})
    assert again.key(DATA.sha256) != trial.key(DATA.sha256)


def test_without_its_offline_trial_a_run_says_what_to_do():
    with pytest.raises(BenchmarkError, match="Run the part `offline` first"):
        online_trial("hopper", "medium", 0, "ensemble", BUDGET, None)
    with pytest.raises(BenchmarkError, match="ensemble, uni_o4, scratch, iql"):
        online_trial("hopper", "medium", 0, "cal_ql", BUDGET, None)


@pytest.mark.parametrize(
    ("changed", "methods"),
    [
        (replace(BUDGET, episodes=3), {"ensemble", "scratch", "iql"}),
        (replace(BUDGET, online=replace(SETTINGS, cold_std=0.1)), {"scratch"}),
        (replace(BUDGET, online=replace(SETTINGS, peer_steps_per_update=2)), {"iql"}),
        (
            replace(BUDGET, online=replace(SETTINGS, carried=replace(SETTINGS.carried, iteration_steps=99))),
            {"ensemble"},
        ),
        (replace(BUDGET, peers=replace(BUDGET.peers, batch_size=1)), {"iql"}),
    ],
)
def test_a_key_holds_what_its_method_uses_and_nothing_else(changed: Budget, methods: set[str]):
    offline = {"key": "k", "networks_sha256": "n"}
    found = {
        method
        for method in ("ensemble", "scratch", "iql")
        if online_trial("hopper", "medium", 0, method, changed, offline).key("d")
        != online_trial("hopper", "medium", 0, method, BUDGET, offline).key("d")
    }
    assert found == methods


def test_the_published_updates_clip_the_value_and_ours_do_not():
    """As its paper and code: the same half width for the ratio and for the value."""
    offline = {"key": "k", "networks_sha256": "n"}
    clips = {
        method: online_trial("hopper", "medium", 0, method, Budget(), offline).settings["learner"]["ppo"]["value_clip"]
        for method in ("ensemble", "uni_o4", "scratch")
    }
    assert clips == {"ensemble": None, "uni_o4": 0.05, "scratch": None}
