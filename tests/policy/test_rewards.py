"""Rewards by hand; the mistakes of scaled commands and world-frame velocities can not come back."""

import dataclasses
import math

import pytest
import torch

from policy.rewards import REWARD_TERMS, RewardInputs, RewardWeights, velocity_reward


def perfect(count=2):
    zeros = torch.zeros(count, 12)
    return RewardInputs(
        command=torch.tensor([[1.0, 0.0, 0.5]]).repeat(count, 1),
        linear_velocity_trunk_in_trunk=torch.tensor([[1.0, 0.0, 0.0]]).repeat(count, 1),
        angular_velocity_trunk_in_trunk=torch.tensor([[0.0, 0.0, 0.5]]).repeat(count, 1),
        gravity_in_trunk=torch.tensor([[0.0, 0.0, -1.0]]).repeat(count, 1),
        joint_velocity=zeros,
        torque_fraction=zeros,
        action=zeros,
        last_action=zeros,
        fallen=torch.zeros(count, dtype=torch.bool),
    )


def test_a_perfect_step_earns_one_and_a_half():
    total, terms = velocity_reward(perfect(), RewardWeights())
    assert total.tolist() == [1.5, 1.5] and terms.shape == (2, len(REWARD_TERMS))


def test_terms_by_hand():
    weights = RewardWeights()
    step = dataclasses.replace(
        perfect(1),
        linear_velocity_trunk_in_trunk=torch.tensor([[0.7, 0.4, 0.2]]),
        angular_velocity_trunk_in_trunk=torch.tensor([[1.0, 0.0, 0.0]]),
        gravity_in_trunk=torch.tensor([[0.6, 0.0, -0.8]]),
        action=torch.ones(1, 12),
        fallen=torch.tensor([True]),
    )
    total, terms = velocity_reward(step, weights)
    by_hand = [
        math.exp(-(0.09 + 0.16) / 0.25),
        0.5 * math.exp(-0.25 / 0.25),
        -0.36 * 1.0,
        -0.5 * 0.04,
        -0.02,
        0.0,
        -0.005 * 12,
        0.0,
        -10.0,
    ]
    torch.testing.assert_close(terms[0], torch.tensor(by_hand))
    assert total.item() == pytest.approx(sum(by_hand), abs=1e-5)


def test_moving_joints_cost_only_while_standing_is_commanded():
    walking = dataclasses.replace(perfect(1), joint_velocity=torch.ones(1, 12))
    standing = dataclasses.replace(
        walking,
        command=torch.zeros(1, 3),
        linear_velocity_trunk_in_trunk=torch.zeros(1, 3),
        angular_velocity_trunk_in_trunk=torch.zeros(1, 3),
    )
    assert velocity_reward(walking, RewardWeights())[0].item() == pytest.approx(1.5)
    assert velocity_reward(standing, RewardWeights())[0].item() == pytest.approx(1.5 - 12 * 0.005)


def test_mistake_02_rewards_take_physical_units():
    """The published code compares 2.0 * vx and 0.25 * yaw with m/s and rad/s: here that costs reward."""
    scaled = dataclasses.replace(perfect(1), command=torch.tensor([[2.0, 0.0, 0.125]]))
    assert velocity_reward(scaled, RewardWeights())[0].item() < 0.8


def test_mistake_03_the_frame_is_in_the_name_and_matters():
    """Walking forward while facing +y of the world: the world-frame velocity would look like a full miss."""
    names = {field.name for field in dataclasses.fields(RewardInputs)}
    assert "linear_velocity_trunk_in_trunk" in names
    world = dataclasses.replace(perfect(1), linear_velocity_trunk_in_trunk=torch.tensor([[0.0, 1.0, 0.0]]))
    assert velocity_reward(world, RewardWeights())[1][0, 0].item() == pytest.approx(math.exp(-2.0 / 0.25))


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match="command"):
        dataclasses.replace(perfect(2), command=torch.zeros(2, 15))
