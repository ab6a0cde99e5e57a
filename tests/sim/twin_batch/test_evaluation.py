"""Measuring without the wire: what it scores, what it says of itself, and that it agrees with the wire."""

import json
import math

import numpy as np
import pytest

from cli.main import main
from policy.bundle import read_bundle
from robot_configs.robot import load_robot
from robot_configs.twin_ground import TwinConditionError
from sim.evaluate import EpisodeResult, evaluate_bundle, paired_difference
from sim.twin_batch.coverage import LEFT_OUT
from sim.twin_batch.errors import TwinBatchError
from sim.twin_batch.evaluation import BatchEvaluation, _Scores, evaluate_bundle_batched
from sim.twin_batch.twins import BatchTruth
from sim.twin_batch.walk import WalkStep

STANDING = "vx=0,vy=0,yaw=0"


def test_standing_still_by_hand(shipped):
    """Half a second of standing: 25 steps near the 1.5 of a perfect one, hardly any speed, no fall."""
    evaluation = evaluate_bundle_batched(shipped, "nominal", 2, seed=1, episode_s=0.5, commands=STANDING, threads=1)
    for index, episode in enumerate(evaluation.episodes):
        assert episode.seed == 100_000 + index
        assert (episode.steps, episode.fell, episode.ending) == (25, False, "truncated")
        assert 1.2 * 25 < episode.episode_return < 1.5 * 25
        assert episode.linear_error_m_s < 0.15 and episode.commanded_forward_speed_m_s == 0.0
        assert episode.distance_m < 0.1
    assert evaluation.bundle_sha256 == read_bundle(shipped).sha256


def test_a_fall_ends_an_episode(falling):
    """The same policy falls on both robots; the reward of the fall, -10, is in, and nothing after it."""
    evaluation = evaluate_bundle_batched(falling, "nominal", 2, episode_s=3.0, commands=STANDING, threads=1)
    assert all(episode.fell and episode.ending == "terminated" for episode in evaluation.episodes)
    assert all(10 < episode.steps < 100 for episode in evaluation.episodes)
    assert evaluation.summary()["falls"] == 2
    best = max(1.5 * episode.steps - 10.0 for episode in evaluation.episodes)
    assert max(evaluation.returns) < best


def walked(speed: float, fell: list[bool]) -> WalkStep:
    """Two level robots that go forward at this speed, are told to stand, and brake nothing."""
    zeros = np.zeros((2, 3))
    truth = BatchTruth(
        position_trunk_in_world=zeros,
        orientation_trunk_in_world=np.array([[1.0, 0.0, 0.0, 0.0]] * 2),
        linear_velocity_trunk_in_trunk=np.array([[speed, 0.0, 0.0]] * 2),
        angular_velocity_trunk_in_trunk=zeros,
        joint_position=np.zeros((2, 12)),
        joint_velocity=np.zeros((2, 12)),
        joint_torque=np.zeros((2, 12)),
        mechanical_power_w=np.array([20.0, 40.0]),
    )
    outputs = {"action": np.zeros((2, 12), np.float32)}
    return WalkStep(
        {}, zeros.astype(np.float32), np.zeros((2, 12)), outputs, truth, truth, np.zeros((2, 12)), np.array(fell)
    )


def test_the_scores_of_two_robots_by_hand():
    """A standing robot's reward is 1.5; at 0.5 m/s, one width, 1 / e + 0.5. The first falls in its second step."""
    scores = _Scores(load_robot(), 2)
    for speed, fell in ((0.0, [False, False]), (0.5, [True, False]), (0.5, [False, False])):
        scores.add(walked(speed, fell))
    first, second = scores.results((8, 9))
    slow = math.exp(-1.0) + 0.5
    assert (first.seed, first.steps, first.fell, first.ending) == (8, 2, True, "terminated")
    assert (second.seed, second.steps, second.fell, second.ending) == (9, 3, False, "truncated")
    assert first.episode_return == pytest.approx(1.5 + slow - 10.0, abs=1e-5)
    assert second.episode_return == pytest.approx(1.5 + 2.0 * slow, abs=1e-5)
    assert first.linear_error_m_s == first.forward_speed_m_s == pytest.approx(0.25)
    assert second.linear_error_m_s == pytest.approx(1.0 / 3.0)
    assert (first.power_w, second.power_w) == (20.0, 40.0)
    assert second.distance_m == pytest.approx(1.0 / 50.0)


def test_the_interval_is_over_grounds_where_robots_share_them():
    """Two grounds, 100 on one and 200 on the other: four of each are no more than one of each."""
    walks = [
        EpisodeResult(seed, 500, 100.0 * (1 + seed // 4), 0.1, 0.1, 0.5, 0.5, False, "truncated", 20.0, 5.0)
        for seed in range(8)
    ]
    shared = BatchEvaluation("sha", "rough", 10.0, "random:", tuple(walks), (0, 0, 0, 0, 1, 1, 1, 1)).to_dict()
    own = BatchEvaluation("sha", "nominal", 10.0, "random:", tuple(walks), tuple(range(8))).to_dict()
    assert shared["return_ci95"] == (100.0, 200.0) and shared["distinct_grounds"] == 2
    assert own["return_ci95"] == pytest.approx((112.5, 187.5), abs=13.0) and own["distinct_grounds"] == 8
    assert shared["grounds"] == [0, 0, 0, 0, 1, 1, 1, 1]


def test_an_episode_does_not_depend_on_its_neighbours_or_on_threads(shipped):
    alone = evaluate_bundle_batched(shipped, "mattress", 1, seed=2, episode_s=0.6, threads=1)
    together = evaluate_bundle_batched(shipped, "mattress", 3, seed=2, episode_s=0.6, threads=2)
    # torch's matrix products may round differently for one row and for three.
    assert together.returns[0] == pytest.approx(alone.returns[0], rel=1e-3)
    assert (
        together.episodes == evaluate_bundle_batched(shipped, "mattress", 3, seed=2, episode_s=0.6, threads=1).episodes
    )


def test_the_command_line_says_that_it_left_out_the_wire(shipped, capsys):
    words = ["sim", "eval", str(shipped), "--condition", "nominal", "--episodes", "1", "--episode-s", "0.1"]
    assert main([*words, "--commands", STANDING, "--batched", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["through_the_wire"] is False
    assert result["left_out"] == list(LEFT_OUT)
    assert result["per_episode"][0]["steps"] == 5


def test_the_first_second_is_the_wires(shipped):
    """Same robot, same commands; only the noise between policy steps differs, which a gait hardly feels."""
    batch = evaluate_bundle_batched(shipped, "nominal", 2, seed=1, episode_s=1.0, threads=1)
    wire = evaluate_bundle(shipped, "nominal", 2, seed=1, episode_s=1.0, workers=1)
    assert [a.commanded_forward_speed_m_s for a in batch.episodes] == pytest.approx(
        [b.commanded_forward_speed_m_s for b in wire.episodes], abs=1e-6
    )
    np.testing.assert_allclose(batch.returns, wire.returns, rtol=0.05)
    for mine, theirs in zip(batch.episodes, wire.episodes, strict=True):
        assert mine.steps == theirs.steps
        assert mine.linear_error_m_s == pytest.approx(theirs.linear_error_m_s, abs=0.05)
        assert mine.power_w == pytest.approx(theirs.power_w, rel=0.25)


@pytest.mark.slow
@pytest.mark.parametrize(("condition", "return_within"), [("nominal", 12.0), ("mattress", 35.0), ("rough", 20.0)])
def test_batch_and_wire_agree_on_twelve_walks(shipped, condition, return_within):
    """Ten seconds, paired: the mean difference within a few percent of the return of about 640 (mattress: 370)."""
    batch = evaluate_bundle_batched(shipped, condition, 12, seed=1)
    wire = evaluate_bundle(shipped, condition, 12, seed=1)
    assert abs(paired_difference(wire, batch)["mean"]) < return_within
    mine, theirs = batch.summary(), wire.summary()
    assert mine["velocity_error"]["linear_m_s"] == pytest.approx(theirs["velocity_error"]["linear_m_s"], abs=0.05)
    assert abs(mine["falls"] - theirs["falls"]) <= 2


def test_no_episodes_and_no_such_condition_are_refused(shipped):
    with pytest.raises(TwinBatchError, match="at least one episode"):
        evaluate_bundle_batched(shipped, "nominal", 0)
    with pytest.raises(TwinConditionError):
        evaluate_bundle_batched(shipped, "moon", 1)
