"""Terrain on the Isaac Gym engine, on MuJoCo, against the mujoco engine on the same terrain.

Allowed on a slope of 10 degrees and on rough tiles, in every step from the fall of a centimetre on: `TRUNK_M` and
`JOINT_RAD`; contact forces sum to the weight within `FORCE_N` once robots rest. `pytest -s` prints what was measured,
and docs/isaac_gym.md has both.
"""

import math

import mujoco
import numpy as np
import pytest
import torch

from robot_configs.robot import GRAVITY_M_S2
from sim.engines.isaacgym import IsaacGymEngine
from sim.engines.isaacgym_scene import GROUND_FRICTION
from sim.engines.mujoco import MujocoEngine
from sim.engines.protocol import Engine
from sim.isaacgym_shim.scene_calls import SceneCalls
from sim.terrain.grid import TerrainGrid, build_grid
from sim.terrain.height_field import HeightField
from sim.terrain.settings import TerrainSettings
from tests.sim.engines.bench import ROBOTS, ROWS, largest_differences, parameters

torch.set_num_threads(1)
TRUNK_M, JOINT_RAD, FORCE_N = 0.006, 0.03, 0.5
SLOPE_RAD = math.radians(10.0)
START_M = 0.30  # as the task resets


@pytest.fixture(scope="module")
def slope() -> HeightField:
    """Rising along x over 6 m, zero in its middle, which lies at (7, -4)."""
    along = np.arange(61) * 0.1 - 3.0
    return HeightField(np.repeat(math.tan(SLOPE_RAD) * along[:, None], 61, axis=1), 0.1, (4.0, -7.0))


@pytest.fixture(scope="module")
def tiles() -> TerrainGrid:
    """Rough ground of four levels; the last has bumps of 6 cm."""
    settings = TerrainSettings(kinds=("rough", "flat"), levels=4, tile_m=3.0, border_m=1.0, platform_m=0.1)
    return build_grid(settings, seed=2)


def both(robot, terrain):
    """The two engines, on the same ground."""
    engines: tuple[Engine, Engine] = (
        IsaacGymEngine(robot, ROBOTS, terrain=terrain),
        MujocoEngine(robot, ROBOTS, 1, terrain),
    )
    for one in engines:
        one.set_parameters(parameters())
    return engines


def stand_on(engine: Engine, ground: torch.Tensor, pitch_rad: float, joints: torch.Tensor) -> None:
    """Place robots above points of the ground (R, 3), nose down by `pitch_rad`."""
    half = 0.5 * pitch_rad
    orientation = torch.tensor([math.cos(half), 0.0, math.sin(half), 0.0]).repeat(ROBOTS, 1)
    engine.reset(ROWS, ground + torch.tensor([0.0, 0.0, START_M]), orientation, joints)


def landed_alike(engines: tuple[Engine, Engine], joints: torch.Tensor, steps: int) -> None:
    trunk, joint = 0.0, 0.0
    for _ in range(steps):
        for one in engines:
            one.step(joints, 1)
        differences = largest_differences(*engines)
        trunk = max(trunk, differences["position_trunk_in_world"])
        joint = max(joint, differences["joint_position"])
    print(f"{steps} steps: {trunk:.4f} m, {joint:.4f} rad")
    assert trunk < TRUNK_M
    assert joint < JOINT_RAD


def test_robots_stand_on_a_slope_alike_and_their_feet_carry_the_weight(robot, shim, slope, stand):
    """Facing up the slope; what holds them on it is friction: 0.8 is more than tan 10 degrees."""
    engines = both(robot, slope)
    start = torch.tensor([[6.0, -5.0], [7.0, -4.0], [8.0, -3.0], [6.5, -3.5]])
    ground = torch.cat([start, slope.height_at(start)[:, None]], dim=1)
    for one in engines:
        stand_on(one, ground, -SLOPE_RAD, stand)
    landed_alike(engines, stand, 250)
    state = engines[0].state()
    feet = state.foot_position_in_world
    above = (feet[..., 2] - slope.height_at(feet)) * math.cos(SLOPE_RAD) - robot.geometry.foot_radius
    assert above.abs().max() < 0.006, "soles are on the slope, and sunk into MuJoCo's by millimetres"
    assert (feet[..., 2].amax(1) - feet[..., 2].amin(1)).min() > 0.05, "front feet stand higher than rear ones"
    for one in engines:
        one.step(stand, 125)
    forces = []
    for _ in range(50):
        engines[0].step(stand, 1)
        forces.append(engines[0].contact_forces.sum(1))
    total = torch.stack(forces).mean(0)
    weight = torch.tensor([0.0, 0.0, robot.total_mass_kg * GRAVITY_M_S2]).expand(ROBOTS, 3)
    print(f"at rest on the slope: {float((total - weight).abs().max()):.2f} N from the weight")
    torch.testing.assert_close(total, weight, atol=FORCE_N, rtol=0)


def test_robots_land_on_rough_tiles_alike(robot, shim, tiles, stand):
    """A robot on each level, away from the level platform in its middle."""
    engines = both(robot, tiles.field)
    places = tiles.centre_m[:, 0] + torch.tensor([0.7, 0.4])
    ground = torch.cat([places, tiles.field.height_at(places)[:, None] + 0.02], dim=1)
    for one in engines:
        stand_on(one, ground, 0.0, stand)
    landed_alike(engines, stand, 150)
    assert engines[0].contact_forces[:, :, 2].sum(1).min() > 60.0, "they stand"


def test_the_mesh_is_the_ground_that_the_task_sees(robot, shim, tiles):
    """Rays onto the engine's ground, between its nodes, on either side of each cell's diagonal."""
    engine = IsaacGymEngine(robot, 1, terrain=tiles.field)
    engine.state()
    model = engine._sim.running._model
    data = mujoco.MjData(model)
    data.qpos[:3] = [100.0, 100.0, 5.0]
    mujoco.mj_forward(model, data)
    random, down = np.random.default_rng(1), np.array([0.0, 0.0, -1.0])
    for x, y in random.uniform([-0.9, -0.9], [12.9, 6.9], (200, 2)):
        hit = mujoco.mj_ray(model, data, np.array([x, y, 2.0]), down, None, 1, -1, np.zeros(1, np.int32), None)
        assert 2.0 - hit == pytest.approx(float(tiles.field.height_at(torch.tensor([x, y]))), abs=2e-5), (x, y)


def test_isaac_gym_is_given_the_triangles_as_its_signature_wants_them(robot, shim, slope, monkeypatch):
    """Flat float32 and uint32 with their counts, as isaacgym-stubs has it, and ground without friction of its own."""
    calls: list[tuple] = []
    monkeypatch.setattr(SceneCalls, "add_triangle_mesh", lambda _, *given: calls.append(given))
    IsaacGymEngine(robot, 1, terrain=slope)
    ((_, vertices, triangles, params),) = calls
    assert (vertices.dtype, vertices.shape) == (np.float32, (61 * 61 * 3,))
    assert (triangles.dtype, triangles.shape) == (np.uint32, (60 * 60 * 2 * 3,))
    assert (params.nb_vertices, params.nb_triangles) == (61 * 61, 60 * 60 * 2)
    assert params.static_friction == params.dynamic_friction == GROUND_FRICTION
    assert vertices.flags.c_contiguous and triangles.flags.c_contiguous


def test_robots_wait_above_the_ground_for_their_first_reset(robot, shim, slope):
    """Not within it, where PhysX would throw them out."""
    engine = IsaacGymEngine(robot, 2, terrain=slope)
    position = engine.state().position_trunk_in_world
    torch.testing.assert_close(position[:, :2], torch.tensor([[7.0, -4.0]] * 2), atol=1e-5, rtol=0)
    assert (position[:, 2] > float(slope.heights_m.max()) + 0.5).all()
