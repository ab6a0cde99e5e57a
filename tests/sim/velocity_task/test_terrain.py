"""The velocity task on terrain: heights are above the ground, a tile's edge ends an episode, levels follow it."""

import dataclasses

import numpy as np
import pytest
import torch

from policy.rewards import REWARD_TERMS
from sim.engines.mujoco import MujocoEngine
from sim.terrain.grid import TerrainGrid, build_grid
from sim.terrain.ground import TerrainGround
from sim.terrain.settings import TerrainSettings
from sim.velocity_settings import VelocityTaskSettings
from sim.velocity_task import START_HEIGHT_M, VelocityTask
from tests.sim.velocity_task.bench import NO_ACTION, QUIET, ROBOTS

torch.set_num_threads(1)
TERRAIN = TerrainSettings(kinds=("steps_up", "flat"), levels=2)


@pytest.fixture(scope="module")
def grid() -> TerrainGrid:
    return build_grid(TERRAIN, seed=1)


def make(robot, graph, engine, grid, episode_s: float = 20.0) -> VelocityTask:
    settings = VelocityTaskSettings(ROBOTS, 3, episode_s, randomization=QUIET, terrain=TERRAIN)
    return VelocityTask(settings, robot, graph, engine, grid)


def on(task: VelocityTask, height_m: float) -> dict[str, torch.Tensor]:
    """Each robot at the middle of its tile, its trunk and feet so high above the ground there."""
    position = task.ground.start(torch.arange(ROBOTS))
    feet = position[:, None].repeat(1, 4, 1)
    position[:, 2] += height_m
    feet[:, :, 2] += height_m - 0.27
    return {"position_trunk_in_world": position, "foot_position_in_world": feet}


def test_heights_are_above_the_ground(robot, graph, engine, grid):
    task = make(robot, graph, engine, grid)
    engine.change(**on(task, 0.31))
    _, _, done, _ = task.step(NO_ACTION)
    assert not done.any()
    torch.testing.assert_close(task.privileged[:, 9], torch.full((ROBOTS,), 0.2), atol=1e-5, rtol=0)
    torch.testing.assert_close(task.privileged[:, 10:14], torch.full((ROBOTS, 4), 0.4), atol=1e-5, rtol=0)


def test_a_trunk_on_the_stairs_has_fallen_however_high_they_are(robot, graph, engine, grid):
    task = make(robot, graph, engine, grid)
    engine.change(**on(task, 0.11))
    assert float(engine.now.position_trunk_in_world[0, 2]) > task.settings.fall_height_m + 0.1
    _, _, done, extras = task.step(NO_ACTION)
    assert done.all()
    assert not extras["time_outs"].any(), "a fall is no time-out"


def test_the_edge_of_its_tile_ends_an_episode_as_a_time_out(robot, graph, engine, grid):
    """Robot 1 stands 10 cm beyond the edge, on the next level's ground; robot 3 as far within it."""
    task = make(robot, graph, engine, grid)
    assert isinstance(task.ground, TerrainGround)
    task.ground.level[:], task.ground.kind[:] = 0, 0
    position = on(task, 0.3)["position_trunk_in_world"]
    position[1, 0], position[1, 2] = 8.1, 0.3
    position[3, 0], position[3, 2] = 7.9, 0.3
    engine.change(position_trunk_in_world=position)
    _, _, done, extras = task.step(NO_ACTION)
    assert done.tolist() == [False, True, False, False]
    assert extras["time_outs"].tolist() == [0.0, 1.0, 0.0, 0.0]


def test_good_episodes_climb_and_falls_descend(robot, graph, engine, grid):
    """A perfect step tracks with 1; rsl_rl's random episode lengths at the start do not dilute it."""
    task = make(robot, graph, engine, grid, episode_s=0.2)
    assert isinstance(task.ground, TerrainGround)
    task.ground.level[:] = torch.tensor([0, 0, 1, 1])
    task.command[:] = 0.0
    column = REWARD_TERMS.index("track_linear_velocity")
    task.episode_length_buf[:] = 8
    state = on(task, 0.3)
    engine.change(**state)
    task.step(NO_ACTION)
    assert task.episode_terms[:, column].tolist() == pytest.approx([1.0] * ROBOTS)
    state["position_trunk_in_world"][3, 2] -= 0.25
    engine.change(**state)
    _, _, done, _ = task.step(NO_ACTION)
    assert done.all()
    assert task.ground.level[0] == task.ground.level[1] == 1
    assert task.ground.level[3] == 0, "it fell"
    assert task.steps_walked.tolist() == [0.0] * ROBOTS


def test_episodes_start_on_the_tiles(robot, graph, grid):
    field = grid.field
    task = make(robot, graph, MujocoEngine(robot, ROBOTS, 1, field), grid)
    start = task.ground.start(torch.arange(ROBOTS))
    position = task.state.position_trunk_in_world
    torch.testing.assert_close(position[:, :2], start[:, :2], atol=0.01, rtol=0)
    assert (position[:, 2] - start[:, 2] - START_HEIGHT_M).abs().max() < 0.01
    for _ in range(10):
        _, _, done, extras = task.step(NO_ACTION)
    assert not done.any()
    assert {"/level/steps_up", "/level/flat"} <= set(extras["log"])


def test_settings_name_the_terrain(robot):
    written = dataclasses.asdict(VelocityTaskSettings(terrain=TERRAIN))
    assert written["terrain"]["kinds"] == ("steps_up", "flat")
    assert np.isfinite(written["terrain"]["slope_rad"])


def test_only_level_ground_is_soft(robot, graph, engine, grid):
    soft = dataclasses.replace(QUIET, ground_time_constant_s=(0.05, 0.05))
    settings = VelocityTaskSettings(ROBOTS, randomization=soft, terrain=TERRAIN)
    task = VelocityTask(settings, robot, graph, engine, grid)
    may_be = task.ground.may_be_soft()
    assert may_be.any() and not may_be.all()
    softness = task.physics.ground_time_constant_s
    assert softness[may_be].tolist() == pytest.approx([0.05] * int(may_be.sum()))
    assert softness[~may_be].tolist() == pytest.approx([0.02] * int((~may_be).sum()))
