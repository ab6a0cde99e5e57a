"""Disagreement of members by hand, its limit from the logs, and branches that end beyond it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from policy.uni_o4.disagreement import DisagreementLimit, disagreement
from policy.uni_o4.dynamics import DynamicsPrediction
from policy.uni_o4.ensemble_rollouts import ModelWorld, ask_everyone, roll_out
from tests.policy.uni_o4.conftest import Study
from tests.policy.uni_o4.point_mass import DirectObserver
from tests.policy.uni_o4.test_ensemble_rollouts import draw, pushing_actor, starts_at

torch.set_num_threads(1)
SCALE = torch.tensor([2.0, 0.5])


class TwoOpinions:
    """Two members: both move by the action; beyond a position of 2 the second one thinks one metre further."""

    members = 2

    def predict(self, features: Tensor, physical: Tensor) -> DynamicsPrediction:
        position = physical[..., :1] + features[..., 4:5]
        further = (position[1:] > 2.0).float()
        position = torch.cat([position[:1], position[1:] + further])
        outcome = torch.cat([position, physical[..., 1:], torch.ones_like(position)], dim=-1)
        return DynamicsPrediction(outcome, torch.zeros_like(outcome), torch.zeros(outcome.shape[:-1]))


def test_disagreement_by_hand():
    # position: 1 and 3, std sqrt(2); speed: 0 and 1, std sqrt(1/2); the reward's 7 and 9 do not count
    outcome = torch.tensor([[[1.0, 0.0, 7.0]], [[3.0, 1.0, 9.0]]])
    expected = ((2.0 / 4.0 + 0.5 / 0.25) / 2.0) ** 0.5
    assert disagreement(outcome, SCALE).item() == pytest.approx(expected)


def test_a_branch_ends_where_the_members_part_and_earns_nothing_behind():
    halts = DisagreementLimit(torch.ones(2), 0.4)  # apart: std 0.71 of the position, 0.5 over both columns
    world = ModelWorld(TwoOpinions(), DirectObserver(), lambda state: state[:, 0] > 1e9, halts=halts)
    rollout = roll_out(world, pushing_actor(1.0), starts_at([0.0, -9.0]), draw(5, 2), exploration=0.0)
    assert rollout.terminated[:, 0].tolist() == [False, False, True, False, False]
    assert rollout.alive[:, 0].tolist() == [True, True, True, False, False]
    assert not rollout.terminated[:, 1].any()
    assert (rollout.reward * rollout.alive).sum(0).tolist() == [3.0, 5.0]


def test_asking_every_member_moves_a_branch_by_the_one_it_is_dealt_to(study: Study):
    """With a limit that nothing reaches, the world is the same with and without it."""
    free = ModelWorld(study.world.model, study.world.observer, study.world.fell)
    limited = ModelWorld(
        study.world.model, study.world.observer, study.world.fell, halts=DisagreementLimit(torch.ones(2), 1e9)
    )
    positions = torch.linspace(-1.0, 1.0, 7).tolist()
    one, two = (roll_out(world, study.behavior, starts_at(positions), draw(6, 7)) for world in (free, limited))
    torch.testing.assert_close(one.physical, two.physical)
    torch.testing.assert_close(one.reward, two.reward)


@pytest.mark.parametrize("quantile", (0.5, 0.9))
def test_the_limit_is_kept_by_its_share_of_the_logged_steps(study: Study, quantile: float):
    limit = DisagreementLimit.of_logs(
        study.world.model, torch.ones(2), study.transitions, quantile, torch.Generator().manual_seed(0)
    )
    starts = study.transitions
    features = torch.cat([starts.observation, starts.physical, starts.action], dim=1)
    everyone = ask_everyone(study.world.model, features, starts.physical)
    assert float((~limit(everyone.outcome)).float().mean()) == pytest.approx(quantile, abs=0.01)
