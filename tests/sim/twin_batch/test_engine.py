"""The twin's physics as a training engine, and PPO carried on upon it."""

import dataclasses
import math

import numpy as np
import pytest
import torch

import sim.twin_batch.oracle as oracle_module
from policy.bundle import read_bundle
from policy.export import load_graph
from policy.graph import PolicyGraph
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import TwinCondition, load_condition
from sim.evaluate import EpisodeResult
from sim.randomization import draw_physics
from sim.twin_batch.engine import TwinEngine, condition_randomization
from sim.twin_batch.errors import TwinBatchError
from sim.twin_batch.oracle import OracleSettings, _Looks, train_oracle
from sim.twin_batch.twins import TwinBatch

ROBOT = load_robot()
STAND = torch.tensor(ROBOT.stand_position, dtype=torch.float32)


WALK = EpisodeResult(1, 500, 100.0, 0.1, 0.1, 0.5, 0.5, False, "truncated", 20.0, 5.0)


def engine(condition: str, shipped, count: int = 2) -> TwinEngine:
    loaded = load_condition(condition)
    made = TwinEngine(loaded, ROBOT, count, threads=1)
    contract = read_bundle(shipped).contract
    made.set_parameters(draw_physics(condition_randomization(loaded), contract, count, torch.Generator()))
    rows = torch.arange(count)
    position, upright = torch.tensor([[0.0, 0.0, 0.3]]), torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    made.reset(rows, position.repeat(count, 1), upright.repeat(count, 1), STAND.repeat(count, 1))
    return made


def test_robots_stand_under_their_load(shipped):
    """Half a second on the policy's soft gains: upright, and the loaded robot sinks deeper than the bare one."""
    heights = []
    for condition in ("nominal", "payload"):
        made = engine(condition, shipped)
        made.step(STAND.repeat(2, 1), 500)
        state = made.state()
        assert (state.orientation_trunk_in_world[:, 0] > 0.99).all()
        # A quarter of the weight on each foot, against gravity: torques are what the motors deliver.
        assert (state.joint_torque[:, 2::3].abs() > 1.0).all()
        heights.append(state.position_trunk_in_world[:, 2].mean())
    assert heights[1] < heights[0] - 0.005


def test_a_target_acts_after_the_delay_of_the_condition(shipped):
    """6 ms on the weak motor: for six steps the robots do as if the target had not been given."""
    given, held = engine("weak_motor", shipped), engine("weak_motor", shipped)
    given.step(STAND.repeat(2, 1) + 0.3, 6)
    held.step(STAND.repeat(2, 1), 6)
    torch.testing.assert_close(given.state().joint_velocity, held.state().joint_velocity, rtol=0, atol=0)
    # What they hold until then is the pose they were put in: an angle off by 0.1 rad would cost 2 Nm.
    assert float(given.state().joint_torque.abs().max()) < 2.0
    given.step(STAND.repeat(2, 1) + 0.3, 1)
    held.step(STAND.repeat(2, 1), 1)
    assert (given.state().joint_torque != held.state().joint_torque).any()


def test_one_robot_is_reset_and_one_is_pushed(shipped):
    made = engine("nominal", shipped)
    made.step(STAND.repeat(2, 1) + 0.1, 30)
    before = made.state()
    made.reset(torch.tensor([1]), torch.tensor([[0.0, 0.0, 0.3]]), torch.tensor([[1.0, 0.0, 0.0, 0.0]]), STAND[None])
    made.push(torch.tensor([[0.2, -0.1, 0.0], [0.0, 0.0, 0.0]]))
    after = made.state()
    torch.testing.assert_close(after.joint_position[1], STAND)
    torch.testing.assert_close(after.joint_position[0], before.joint_position[0])
    change = after.linear_velocity_trunk_in_trunk - before.linear_velocity_trunk_in_trunk
    assert float(change[0].norm()) == pytest.approx(math.hypot(0.2, 0.1), abs=1e-5)
    assert not after.linear_velocity_trunk_in_trunk[1].any()


def sloping() -> TwinCondition:
    nominal = load_condition("nominal")
    return dataclasses.replace(nominal, ground=dataclasses.replace(nominal.ground, slope_rad=0.1))


def test_what_it_cannot_be_is_refused(shipped):
    with pytest.raises(TwinBatchError, match="slope_rad"):
        TwinEngine(sloping(), ROBOT, 1, threads=1)
    bare = TwinEngine(load_condition("nominal"), ROBOT, 1, threads=1)
    with pytest.raises(TwinBatchError, match="set_parameters"):
        bare.step(STAND[None], 1)
    icy = condition_randomization(load_condition("ice"))
    parameters = draw_physics(icy, read_bundle(shipped).contract, 1, torch.Generator())
    with pytest.raises(TwinBatchError, match="friction of 0.8"):
        bare.set_parameters(parameters)


def test_the_task_draws_the_condition_by_hand():
    """Uniform noise of half width sqrt(3) s has the deviation s; 0.002 and 0.005 rad of attitude add up to 0.0054."""
    drawn = condition_randomization(load_condition("rough"))
    assert drawn.friction == (0.7, 0.7) and drawn.delay_substeps == (0, 0)
    assert drawn.joint_position_noise_rad == pytest.approx(math.sqrt(3.0) * 0.002)
    assert drawn.gravity_noise == pytest.approx(math.sqrt(3.0) * math.sqrt(0.002**2 + 0.005**2))
    assert drawn.push_interval_s == 5.0
    assert condition_randomization(load_condition("nominal")).push_speed_m_s == 0.0


def test_pushes_of_the_task_are_as_strong_as_the_twins():
    """The task draws both axes within the largest speed: rms sqrt(2 / 3) of it has to be the twin's 0.4 m/s."""
    largest = condition_randomization(load_condition("rough")).push_speed_m_s
    axes = (torch.rand(100_000, 2, generator=torch.Generator().manual_seed(1)) * 2.0 - 1.0) * largest
    assert float(axes.norm(dim=1).square().mean().sqrt()) == pytest.approx(0.4, rel=0.01)


def test_training_goes_on_from_the_policy_it_is_given(shipped, tmp_path, monkeypatch):
    """Two iterations of eight robots: another policy, but hardly; its spread is the one that a log explores with."""
    start = load_graph(read_bundle(shipped))
    settings = OracleSettings(steps=2 * 24 * 8, robots=8, held_out_episodes=1, threads=1)
    rows: list[dict[str, float]] = []
    seen: list[PolicyGraph] = []

    def walk(graph: PolicyGraph, twins: TwinBatch, seeds: list[int]) -> tuple[EpisodeResult, ...]:
        seen.append(graph)
        return (dataclasses.replace(WALK, episode_return=100.0 + len(seen)),)

    monkeypatch.setattr(oracle_module, "walk_episodes", walk)
    oracle = train_oracle(start, load_condition("nominal"), tmp_path, settings, lambda i, n, row: rows.append(row))
    trained = oracle.graph
    assert oracle.looks == ((0, 101.0), (2, 102.0)) and trained is seen[-1]
    assert len(rows) == 2 and rows[0]["action_std"] == pytest.approx(0.3, abs=0.01)
    weights = [graph.actor.state_dict() for graph in (start, trained)]
    change = max(float((weights[0][name] - weights[1][name]).abs().max()) for name in weights[0])
    assert 1e-5 < change < 0.05
    torch.testing.assert_close(trained.actor.log_std, start.actor.log_std)
    assert trained.contract == start.contract
    assert (tmp_path / "settings.json").is_file() and (tmp_path / "curve.csv").is_file()
    assert np.isfinite(rows[-1]["reward_per_step"]) and rows[0]["reward_per_step"] > 0.3  # it walks from the start


def test_of_all_looks_the_best_is_kept_and_the_start_is_one_of_them(shipped, monkeypatch):
    """Returns 50, 80, 80, 60: the policy of the first 80, by weights that say which look they are of."""
    start = load_graph(read_bundle(shipped))
    looks = _Looks(start, load_condition("nominal"), OracleSettings(held_out_episodes=1, threads=1))
    returns = iter([50.0, 80.0, 80.0, 60.0])
    standing = []

    def walk(graph: PolicyGraph, twins: TwinBatch, seeds: list[int]) -> tuple[EpisodeResult, ...]:
        standing.append(twins.truth.position_trunk_in_world[0, 2])
        twins.step(ROBOT.sit_position[np.newaxis], np.full(12, 20.0), np.full(12, 0.5))
        return (dataclasses.replace(WALK, episode_return=next(returns)),)

    monkeypatch.setattr(oracle_module, "walk_episodes", walk)
    names = [name for name in start.actor.state_dict() if name.startswith("mean_network.")]
    for iteration in (0, 20, 40, 60):
        trained = {
            name.replace("mean_network.", "mlp."): torch.full_like(start.actor.state_dict()[name], float(iteration))
            for name in names
        }
        trained["distribution.log_std_param"] = start.actor.log_std + 1.0
        looks.look(iteration, trained)
    best = looks.best()
    assert (best.iteration, best.held_out_return) == (20, 80.0)
    assert best.looks == ((0, 50.0), (20, 80.0), (40, 80.0), (60, 60.0))
    assert float(best.graph.actor.state_dict()[names[0]].flatten()[0]) == 20.0
    torch.testing.assert_close(best.graph.actor.log_std, start.actor.log_std)
    assert len(set(standing)) == 1, "every look begins with a robot that stands"


@pytest.mark.parametrize("wrong", [{"robots": 0}, {"look_every": 0}, {"held_out_episodes": 0}])
def test_an_oracle_of_nothing_is_refused(wrong):
    with pytest.raises(TwinBatchError, match="at least 1"):
        OracleSettings(**wrong)
