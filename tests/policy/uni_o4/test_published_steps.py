"""Step for step through the published improvement: what is left of clip and rate, the gate, the advantage."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from policy.networks import GaussianActor
from policy.objective import clipped_surrogate
from policy.uni_o4 import published
from policy.uni_o4.candidates import Improvement
from policy.uni_o4.critics import Critics
from policy.uni_o4.ensemble_rollouts import ModelWorld
from policy.uni_o4.evaluation import EvaluationSet, EvaluationSettings, Interval, PolicyScore
from policy.uni_o4.published import PublishedSettings, improve_published
from tests.policy.uni_o4.point_mass import DirectObserver, linear_actor, log_episodes
from tests.policy.uni_o4.test_ensemble_rollouts import Drift
from tests.policy.uni_o4.test_published import Wanted, Zero, critics

torch.set_num_threads(1)
SHORT = EvaluationSettings(starts=20, horizon=2, resamples=100)


def improved(settings: PublishedSettings, judges: Critics) -> Improvement:
    """One member on a few logged steps, in a world in which it only drifts."""
    transitions = log_episodes(linear_actor(-0.3, -0.3, 0.5), 4, 10, torch.Generator().manual_seed(0))
    world = ModelWorld(Drift(), DirectObserver(), lambda state: state[:, 0] > 1e9)
    member, generator = linear_actor(-0.3, -0.3, 0.5), torch.Generator().manual_seed(1)
    return improve_published([member], judges, world, transitions, settings, generator)


def test_mistake_08_every_step_is_made_with_what_is_left_of_clip_and_rate(monkeypatch: pytest.MonkeyPatch):
    """Four updates: the whole, then three, two and one fourth of it."""
    clips: list[float] = []
    rates: list[float] = []
    step = torch.optim.Adam.step

    def surrogate(*arguments: Any) -> Any:
        clips.append(arguments[3])
        return clipped_surrogate(*arguments)

    def noted(optimizer: torch.optim.Adam, *arguments: Any) -> Any:
        rates.append(optimizer.param_groups[0]["lr"])
        return step(optimizer, *arguments)

    monkeypatch.setattr(published, "clipped_surrogate", surrogate)
    monkeypatch.setattr(torch.optim.Adam, "step", noted)
    settings = PublishedSettings(updates=4, gate_interval=4, clip=0.2, learning_rate=1e-3, evaluation=SHORT)
    improved(settings, critics())
    assert clips == pytest.approx([0.2, 0.15, 0.1, 0.05])
    assert rates == pytest.approx([1e-3, 7.5e-4, 5e-4, 2.5e-4])


def test_mistake_08_a_policy_must_beat_the_best_so_far_and_not_only_the_start(monkeypatch: pytest.MonkeyPatch):
    """Scores 0 at the start, then 2, then 1: the one of 2 is kept, although 1 is more than 0 too."""
    scores, judged = iter([2.0, 1.0]), []

    def scripted(actor: GaussianActor, world: ModelWorld, judges: Critics, fixed: EvaluationSet) -> PolicyScore:
        weight = next(actor.mean_network.parameters()).detach().clone()
        moved = not torch.equal(weight, torch.tensor([[-0.3, -0.3]]))
        if moved:
            judged.append(weight)
        score = next(scores) if moved else 0.0
        return PolicyScore(torch.full((len(fixed.starts),), score), Interval(score, score, score))

    monkeypatch.setattr(published, "am_q", scripted)
    found = improved(PublishedSettings(updates=2, gate_interval=1, learning_rate=0.1, evaluation=SHORT), critics())
    assert [candidate.score.mean for candidate in found.candidates] == [0.0, 2.0]
    middle, last = judged
    kept = next(found.best.actor.mean_network.parameters())
    assert torch.equal(kept, middle) and not torch.equal(kept, last)


class Ten(nn.Module):
    def forward(self, observation: Tensor) -> Tensor:
        return torch.full(observation.shape[:-1], 10.0)


def test_only_what_is_better_than_the_rest_of_the_batch_counts():
    """V is 0 or 10 everywhere: no action became better or worse by it."""
    settings = PublishedSettings(updates=3, gate_interval=3, gate="always", learning_rate=0.1, evaluation=SHORT)
    zero, ten = (
        improved(settings, Critics(Wanted(), Wanted(), value)).best.actor  # type: ignore[arg-type]
        for value in (Zero(), Ten())
    )
    for one, other in zip(zero.parameters(), ten.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0.0)
