"""Fits that methods share: found again, charged again, and keyed by all that they depend on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.uni_o4 import preparation
from benchmarks.uni_o4.budgets import smoke_budget
from benchmarks.uni_o4.gymnasium_world import Standardization, transitions_of
from benchmarks.uni_o4.ours import OUR_METHODS, OurMethod, OurSettings, learn
from benchmarks.uni_o4.policy_zoo import ZooSettings, make_zoo
from benchmarks.uni_o4.preparation import PreparationCache, prepare, stream
from benchmarks.uni_o4.robots import benchmark_robot
from benchmarks.uni_o4.termination import never
from tests.benchmarks.uni_o4.toy_robot import toy_steps

torch.set_num_threads(1)
STEPS = toy_steps(benchmark_robot("hopper"), 8)
TRANSITIONS = transitions_of(STEPS, Standardization.of(STEPS))
SMOKE = smoke_budget().ours
SETTINGS: OurSettings = replace(
    SMOKE,
    cloning=replace(SMOKE.cloning, epochs=1, hidden_dims=(8,), members=2),
    value=replace(SMOKE.value, rounds=1, hidden_dims=(8,), batch_size=32),
    dynamics=replace(SMOKE.dynamics, epochs=1, hidden_dims=(8,)),
    improvement=replace(
        SMOKE.improvement, iterations=2, branches=16, evaluation=replace(SMOKE.improvement.evaluation, starts=32)
    ),
    critics=replace(SMOKE.critics, updates=2, action_value_dims=(8,), value_dims=(8,)),
    published=replace(
        SMOKE.published, updates=2, gate_interval=1, evaluation=replace(SMOKE.published.evaluation, starts=32)
    ),
)


class Fits:
    """Counts the fits that are made anew."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[str] = []
        for name in ("clone_behavior", "fit_dynamics", "fit_value", "fit_critics"):
            monkeypatch.setattr(preparation, name, self._counted(name, getattr(preparation, name)))

    def _counted(self, name: str, fit: Any) -> Any:
        def counted(*arguments: Any, **options: Any) -> Any:
            self.made.append(name)
            return fit(*arguments, **options)

        return counted

    def take(self) -> list[str]:
        made, self.made = self.made, []
        return made


@pytest.mark.parametrize("method", OUR_METHODS)
def test_what_is_found_gives_the_policy_that_was_made(method: OurMethod, tmp_path: Path):
    caches = [PreparationCache(tmp_path, "data") for _ in range(2)]
    first, second = (learn(method, STEPS, never, SETTINGS, 0, cache) for cache in caches)
    for one, two in zip(first.actor.parameters(), second.actor.parameters(), strict=True):
        assert torch.equal(one, two)
    for one, two in zip(first.value.parameters(), second.value.parameters(), strict=True):
        assert torch.equal(one, two)
    assert first.notes == second.notes
    assert caches[0].reused.wall_s == 0.0 < caches[1].reused.wall_s


def test_one_transition_model_serves_every_method_and_bppo_needs_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fits = Fits(monkeypatch)
    learn("bppo", STEPS, never, SETTINGS, 0, PreparationCache(tmp_path, "data"))
    assert fits.take() == ["clone_behavior", "fit_critics"]
    learn("ensemble", STEPS, never, SETTINGS, 0, PreparationCache(tmp_path, "data"))
    assert fits.take() == ["fit_dynamics", "fit_value"]  # one clone, as for BPPO
    learn("uni_o4", STEPS, never, SETTINGS, 0, PreparationCache(tmp_path, "data"))
    assert fits.take() == ["clone_behavior", "fit_critics"]  # several clones, and other critics


def test_another_seed_data_set_setting_or_code_is_another_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fits, settings = Fits(monkeypatch), SETTINGS.dynamics
    for cache, wanted, seed in [
        (PreparationCache(tmp_path, "data"), settings, 0),
        (PreparationCache(tmp_path, "data"), settings, 1),
        (PreparationCache(tmp_path, "other"), settings, 0),
        (PreparationCache(tmp_path, "data"), replace(settings, learning_rate=0.5), 0),
    ]:
        cache.dynamics(TRANSITIONS, wanted, seed)
        assert fits.take() == ["fit_dynamics"]
    cache = PreparationCache(tmp_path, "data")
    cache.dynamics(TRANSITIONS, settings, 0)
    assert fits.take() == []
    monkeypatch.setattr(preparation, "code_that_computes", lambda what: "other")
    cache.dynamics(TRANSITIONS, settings, 0)
    assert fits.take() == ["fit_dynamics"]


def test_a_damaged_fit_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    fits, cache = Fits(monkeypatch), PreparationCache(tmp_path, "data")
    cache.dynamics(TRANSITIONS, SETTINGS.dynamics, 0)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:50])
    cache.dynamics(TRANSITIONS, SETTINGS.dynamics, 0)
    assert fits.take() == ["fit_dynamics"] * 2


def test_streams_of_seeds_and_purposes_share_nothing():
    drawn = {
        tuple(torch.rand(3, generator=stream(seed, purpose)).tolist())
        for seed in (0, 1, 2)
        for purpose in ("clones", "dynamics")
    }
    assert len(drawn) == 6
    assert torch.rand(1, generator=stream(0, "a")) == torch.rand(1, generator=stream(0, "a"))


def test_the_zoo_goes_on_beyond_the_budget_where_the_method_would_stop(tmp_path: Path):
    """The method's budget of KL is zero: its path through the model would end before its first step."""
    cache = PreparationCache(tmp_path, "data")
    ready = prepare(STEPS, never, SETTINGS.cloning, SETTINGS.value.discount, SETTINGS.dynamics, 0, cache)
    value, _ = cache.value(ready.transitions, ready.scale, SETTINGS.value, 0)
    critics = cache.critics(ready.transitions, ready.scale, SETTINGS.critics, 0)
    stopped = replace(SETTINGS, improvement=replace(SETTINGS.improvement, kl_budget=0.0))
    wanted = ZooSettings(
        perturbations=(0.1,), path_iterations=4, path_stride=2, published_updates=(1,), published_rates=(1e-3,)
    )
    zoo = make_zoo(ready, value, critics, stopped, wanted, stream(0, "zoo"))
    assert [policy.family for policy in zoo] == ["clones", "clones", "perturbed", "ensemble", "ensemble", "published"]
    path = [policy.actor for policy in zoo if policy.family == "ensemble"]
    weights = [next(actor.mean_network.parameters()) for actor in (ready.clones.best, *path)]
    assert not torch.equal(weights[0], weights[1]) and not torch.equal(weights[1], weights[2])
