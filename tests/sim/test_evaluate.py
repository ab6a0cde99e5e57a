"""Measuring a bundle through the wire: arithmetic by hand, repeatable episodes, what the shipped policy is held to."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch

from deploy.onboard.clock import VirtualClock
from deploy.onboard.link import PacketLink
from deploy.onboard.runner import RunSettings, run_session
from deploy.onboard.schedule import SessionSettings
from policy.bundle import read_bundle
from policy.rewards import RewardWeights
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.evaluate import (
    EpisodeResult,
    Evaluation,
    EvaluationError,
    bootstrap_interval,
    evaluate_bundle,
    evaluate_episode,
    paired_difference,
    seeded,
)
from sim.twin.body import TwinBody
from sim.twin.transport import TwinTransport

torch.set_num_threads(1)

FORWARD = "vx=0.6,vy=0,yaw=0.3"


def episode(seed: int = 0, **changed) -> EpisodeResult:
    values = {
        "seed": seed,
        "steps": 500,
        "episode_return": 100.0,
        "linear_error_m_s": 0.1,
        "yaw_error_rad_s": 0.2,
        "forward_speed_m_s": 0.5,
        "commanded_forward_speed_m_s": 0.6,
        "fell": False,
        "ending": "truncated",
        "power_w": 20.0,
        "distance_m": 5.0,
    }
    return EpisodeResult(**{**values, **changed})


def evaluation(*episodes: EpisodeResult, **changed) -> Evaluation:
    whole = Evaluation("f" * 64, "nominal", 10.0, "random:hold_s=4", episodes)
    return dataclasses.replace(whole, **changed)


# ---- Arithmetic ------------------------------------------------------------------------------------------------------


def test_the_bootstrap_of_two_values_by_hand():
    """The mean of two draws from {0, 1} is 0, 1/2, 1 with probabilities 1/4, 1/2, 1/4."""
    values = np.array([0.0, 1.0])
    assert bootstrap_interval(values) == (0.0, 1.0)
    assert bootstrap_interval(values, level=0.4) == (0.5, 0.5)  # the quantiles at 0.3 and 0.7


def test_the_bootstrap_of_many_values_is_the_normal_interval():
    values = np.random.default_rng(1).normal(5.0, 2.0, 400)
    low, high = bootstrap_interval(values)
    half_width = 1.96 * values.std() / 20.0
    assert low == pytest.approx(values.mean() - half_width, abs=0.03)
    assert high == pytest.approx(values.mean() + half_width, abs=0.03)


def test_equal_values_leave_no_doubt():
    assert bootstrap_interval(np.full(7, 3.0)) == (3.0, 3.0)


def test_the_summary_by_hand():
    """Two episodes of 500 and 100 steps at 50 Hz are 12 s, with one fall: 5 falls a minute."""
    both = evaluation(episode(0), episode(1, steps=100, episode_return=40.0, fell=True, linear_error_m_s=0.4))
    summary = both.summary()
    assert both.minutes_walked == pytest.approx(0.2)
    assert summary["falls"] == 1
    assert summary["falls_per_minute"] == pytest.approx(5.0)
    assert summary["return_mean"] == 70.0
    assert summary["return_ci95"] == (40.0, 100.0)
    assert summary["velocity_error"] == {"linear_m_s": pytest.approx(0.25), "yaw_rad_s": pytest.approx(0.2)}
    assert [one["episode_return"] for one in both.to_dict()["per_episode"]] == [100.0, 40.0]


def test_the_cost_of_transport_by_hand():
    """20 W over 10 s and over 2 s, 5 m and 1 m: 240 J for 6 m."""
    both = evaluation(episode(0), episode(1, steps=100, distance_m=1.0))
    assert both.cost_of_transport == pytest.approx(240.0 / (load_robot().total_mass_kg * 9.81 * 6.0))


def test_a_robot_that_stood_has_no_cost_of_transport():
    standing = evaluation(episode(0, distance_m=0.05), episode(1, distance_m=0.0))
    assert standing.cost_of_transport is None
    assert json.loads(json.dumps(standing.to_dict(), allow_nan=False))["cost_of_transport"] is None


def test_a_paired_difference_by_hand():
    before = evaluation(episode(0, episode_return=10.0), episode(1, episode_return=200.0))
    after = evaluation(episode(0, episode_return=13.0), episode(1, episode_return=203.0))
    assert paired_difference(before, after) == {"mean": 3.0, "ci95": (3.0, 3.0)}
    assert paired_difference(after, before)["mean"] == -3.0


@pytest.mark.parametrize(
    "other",
    [
        evaluation(episode(0), episode(2)),
        evaluation(episode(1), episode(0)),
        evaluation(episode(0)),
        evaluation(episode(0), episode(1), condition="mattress"),
        evaluation(episode(0), episode(1), episode_s=5.0),
        evaluation(episode(0), episode(1), commands=FORWARD),
    ],
    ids=["seeds", "order", "number", "condition", "duration", "commands"],
)
def test_only_the_same_episodes_are_paired(other):
    with pytest.raises(EvaluationError, match="same episodes"):
        paired_difference(evaluation(episode(0), episode(1)), other)


def test_only_random_commands_without_a_seed_get_the_episodes():
    assert seeded("random:hold_s=4", 7) == "random:hold_s=4,seed=7"
    assert seeded("random:hold_s=4,seed=1", 7) == "random:hold_s=4,seed=1"
    assert seeded(FORWARD, 7) == FORWARD


def test_no_episodes_are_no_evaluation(shipped):
    with pytest.raises(EvaluationError, match="at least one episode"):
        evaluate_bundle(shipped, "nominal", 0)


# ---- Episodes --------------------------------------------------------------------------------------------------------


class Witness:
    """Takes down what happened beside the evaluation, from the same body."""

    def __init__(self, body: TwinBody) -> None:
        self.body = body
        self.commands: list[np.ndarray] = []
        self.actions: list[np.ndarray] = []
        self.truths: list = []

    def on_policy_step(self, step) -> None:
        self.commands.append(step.command[:3].copy())
        self.actions.append(step.output.action.copy())
        self.truths.append(self.body.truth)

    def on_episode_end(self, summary) -> None:
        self.truths.append(self.body.truth)


def witness(bundle, condition: str, seed: int, episode_s: float, commands: str) -> Witness:
    body = TwinBody(load_condition(condition), seed)
    seen = Witness(body)
    settings = RunSettings(commands, SessionSettings(episode_s=episode_s, episodes=1), 0.0, seed, lockstep=True)
    run_session(
        read_bundle(bundle), load_robot(), PacketLink(TwinTransport(body)), VirtualClock(), settings, observers=[seen]
    )
    return seen


@dataclasses.dataclass
class Score:
    """Means and sum over an episode's steps, in numpy and term by term."""

    linear: float = 0.0
    yaw: float = 0.0
    power: float = 0.0
    distance: float = 0.0
    total: float = 0.0


def score(seen: Witness) -> Score:
    """Score each action by the truth after it; a fall is not known here."""
    robot, weights, result = load_robot(), RewardWeights(), Score()
    steps = len(seen.commands)
    last_action = np.zeros(12)  # as the policy's own memory has it after standing up
    for command, action, truth in zip(seen.commands, seen.actions, seen.truths[1:], strict=True):
        velocity, rate = truth.linear_velocity_trunk_in_trunk, truth.angular_velocity_trunk_in_trunk
        w, x, y, z = truth.orientation_trunk_in_world
        linear_error, yaw_error = velocity[:2] - command[:2], rate[2] - command[2]
        result.linear += float(np.linalg.norm(linear_error)) / steps
        result.yaw += abs(yaw_error) / steps
        result.power += truth.mechanical_power_w / steps
        result.distance += math.hypot(velocity[0], velocity[1]) / 50.0
        result.total += math.exp(-linear_error @ linear_error / 0.25) + 0.5 * math.exp(-(yaw_error**2) / 0.25)
        result.total += weights.tilt * (4 * (x * z - w * y) ** 2 + 4 * (y * z + w * x) ** 2)
        result.total += weights.vertical_velocity * velocity[2] ** 2 + weights.roll_pitch_rate * (rate[:2] @ rate[:2])
        result.total += weights.torque * np.sum((truth.joint_torque / robot.torque_limit) ** 2)
        result.total += weights.action_change * np.sum((action - last_action) ** 2)
        last_action = action
    return result


def test_an_episode_is_scored_by_the_truth_after_each_action(shipped):
    result = evaluate_episode(read_bundle(shipped), load_condition("nominal"), 3, 1.0, FORWARD)
    seen = witness(shipped, "nominal", 3, 1.0, FORWARD)
    expected = score(seen)
    assert result.steps == len(seen.commands) == 50
    assert result.linear_error_m_s == pytest.approx(expected.linear, rel=1e-5)
    assert result.yaw_error_rad_s == pytest.approx(expected.yaw, rel=1e-5)
    assert result.power_w == pytest.approx(expected.power, rel=1e-5)
    assert result.distance_m == pytest.approx(expected.distance, rel=1e-5)
    assert result.episode_return == pytest.approx(expected.total, abs=0.01)
    assert not result.fell


def test_an_episode_is_the_same_whatever_the_policy(shipped, falling):
    """Robot, noise and commands belong to the seed: up to the first action two policies live the same life."""
    good, bad = (
        witness(bundle, "rough", 5, 0.1, "random:hold_s=4,stand_fraction=0.1,seed=5") for bundle in (shipped, falling)
    )
    np.testing.assert_array_equal(good.commands[0], bad.commands[0])
    for name in ("position_trunk_in_world", "orientation_trunk_in_world", "joint_position", "joint_velocity"):
        np.testing.assert_array_equal(getattr(good.truths[0], name), getattr(bad.truths[0], name))
    assert np.abs(good.truths[3].joint_position - bad.truths[3].joint_position).max() > 0.1


def test_a_fall_ends_the_episode_and_is_counted(falling):
    measured = evaluate_bundle(falling, "nominal", 1, 0, 3.0, FORWARD, workers=1)
    (only,) = measured.episodes
    assert only.fell
    assert only.ending == "terminated"
    assert only.steps < 100, "it lay on its side well before the 3 s were over"
    assert measured.summary()["falls"] == 1
    assert measured.summary()["falls_per_minute"] == pytest.approx(60 * 50 / only.steps)
    without_the_fall = score(witness(falling, "nominal", 0, 3.0, FORWARD)).total
    assert only.episode_return == pytest.approx(without_the_fall + RewardWeights().fall, abs=0.01)


def test_the_result_depends_on_the_seed_and_on_nothing_else(shipped):
    calls: list[tuple[int, int]] = []
    alone = evaluate_bundle(
        shipped, "mattress", 2, 1, 0.6, workers=1, progress=lambda done, total: calls.append((done, total))
    )
    assert calls == [(1, 2), (2, 2)]
    side_by_side = evaluate_bundle(shipped, "mattress", 2, 1, 0.6, workers=2)
    assert side_by_side == alone
    assert [one.seed for one in alone.episodes] == [100_000, 100_001]
    assert alone.episodes[0].episode_return != alone.episodes[1].episode_return


# ---- The shipped policy ----------------------------------------------------------------------------------------------


def test_the_shipped_policy_walks(shipped):
    measured = evaluate_bundle(shipped, "nominal", 3, 0, 5.0, workers=1)
    summary = measured.summary()
    assert summary["falls"] == 0
    assert summary["velocity_error"]["linear_m_s"] <= 0.25
    assert summary["velocity_error"]["yaw_rad_s"] <= 0.35
    fastest = max(measured.episodes, key=lambda one: abs(one.commanded_forward_speed_m_s))
    assert fastest.forward_speed_m_s == pytest.approx(fastest.commanded_forward_speed_m_s, abs=0.3)


@pytest.mark.slow
def test_the_shipped_policy_walks_well_on_nominal_and_worse_on_the_mattress(shipped):
    """The promise for the whole command range, 20 episodes of 10 s; and the gap that fine-tuning is for."""
    nominal, mattress = (evaluate_bundle(shipped, condition, 20, 0, 10.0) for condition in ("nominal", "mattress"))
    summary = nominal.summary()
    assert summary["falls"] == 0
    assert summary["velocity_error"]["linear_m_s"] <= 0.25
    assert summary["velocity_error"]["yaw_rad_s"] <= 0.35
    lost = nominal.returns - mattress.returns
    assert bootstrap_interval(lost)[0] > 0.05 * nominal.returns.mean()
