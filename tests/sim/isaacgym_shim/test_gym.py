"""The gym's door: what is refused says which call it was."""

from typing import Any

import numpy as np
import pytest
import torch

from sim.engines.isaacgym import ROBOT_URDF
from sim.isaacgym_shim import gymapi, gymtorch, gymutil, terrain_utils, torch_utils
from sim.isaacgym_shim.errors import IsaacGymShimError, UnsupportedCallError
from tests.sim.isaacgym_shim.conftest import asset_options, simulation_parameters

GYM = gymapi.acquire_gym()


@pytest.fixture
def sim():
    return GYM.create_sim(0, -1, gymapi.SIM_PHYSX, simulation_parameters())


@pytest.fixture
def asset(sim):
    return GYM.load_asset(sim, str(ROBOT_URDF.parent), ROBOT_URDF.name, asset_options())


def environment(sim):
    return GYM.create_env(sim, gymapi.Vec3(), gymapi.Vec3(), 1)


def test_an_unsupported_call_is_named():
    with pytest.raises(UnsupportedCallError, match="found gym.create_camera_sensor"):
        GYM.create_camera_sensor(None, None)
    with pytest.raises(UnsupportedCallError, match="gymapi.KEY_ESCAPE"):
        gymapi.KEY_ESCAPE  # noqa: B018 - the look-up is what fails
    with pytest.raises(UnsupportedCallError, match="gymutil.draw_lines"):
        gymutil.draw_lines(None)
    assert not hasattr(GYM, "create_camera_sensor")


@pytest.mark.parametrize("module", [gymapi, gymtorch, gymutil, terrain_utils, torch_utils])
def test_an_unsupported_name_of_a_module_is_named(module):
    name = module.__name__.rsplit(".", 1)[1]
    with pytest.raises(UnsupportedCallError, match=f"found {name}.quat_diff_rad.*unset GO1_ISAACGYM_SHIM"):
        module.quat_diff_rad  # noqa: B018 - the look-up is what fails
    with pytest.raises(ImportError, match="cannot import name 'quat_diff_rad'"):
        exec(f"from {module.__name__} import quat_diff_rad")
    assert not hasattr(module, "__wrapped__"), "Python's own questions get Python's own answer"


def test_a_viewer_is_refused_with_the_way_out(sim):
    with pytest.raises(UnsupportedCallError, match="--headless"):
        GYM.create_viewer(sim, gymapi.CameraProperties())


@pytest.mark.parametrize(
    ("change", "message"),
    [({"use_gpu_pipeline": True}, "--sim_device cpu"), ({"up_axis": gymapi.UP_AXIS_Y}, "UP_AXIS_Z")],
)
def test_simulations_that_can_not_run_here_are_refused(change, message):
    params = simulation_parameters()
    for name, value in change.items():
        setattr(params, name, value)
    with pytest.raises(UnsupportedCallError, match=message):
        GYM.create_sim(0, -1, gymapi.SIM_PHYSX, params)


def test_flex_is_refused():
    with pytest.raises(UnsupportedCallError, match="SIM_FLEX"):
        GYM.create_sim(0, -1, gymapi.SIM_FLEX, simulation_parameters())


def test_parameters_have_no_unknown_names():
    """Isaac Gym's objects refuse a misspelt name, and so do these."""
    for made in (gymapi.SimParams(), gymapi.AssetOptions(), gymapi.PlaneParams(), gymapi.RigidShapeProperties()):
        with pytest.raises(AttributeError):
            setattr(made, "fricton", 1.0)  # noqa: B010 - mypy sees the misspelling too


def test_numbers_are_kept_as_numbers():
    """Programs assign elements of tensors and arrays; Isaac Gym takes the number, whatever the shape around it."""
    coefficients = torch.full((3, 1, 1), 0.75)
    shape: Any = gymapi.RigidShapeProperties()
    params: Any = gymapi.SimParams()
    point: Any = gymapi.Vec3()
    shape.friction = coefficients[1]
    params.dt, params.substeps = np.array([[0.005]]), np.int64(2)
    params.physx.default_buffer_size_multiplier = 5
    coefficients[:] = 0.0
    found = (shape.friction, params.dt, params.substeps, params.physx.default_buffer_size_multiplier)
    assert found == (0.75, 0.005, 2, 5.0)
    assert [type(value) for value in found] == [float, float, int, float]
    point.x = torch.tensor(-25.0)
    assert type(point.x) is float


@pytest.mark.parametrize("value", ["rough", None, torch.ones(2), [1.0]])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(IsaacGymShimError, match="a number for RigidShapeProperties.friction"):
        gymapi.RigidShapeProperties().friction = value
    with pytest.raises(IsaacGymShimError, match="a whole number for SimParams.substeps"):
        setattr(gymapi.SimParams(), "substeps", 1.5)  # noqa: B010 - mypy sees it too


@pytest.mark.parametrize(
    ("name", "value"), [("restitution", 0.3), ("rolling_friction", 0.1), ("torsion_friction", 0.1), ("filter", 2)]
)
def test_surfaces_that_can_not_be_honoured_are_refused(sim, asset, name, value):
    env = environment(sim)
    actor = GYM.create_actor(env, asset, gymapi.Transform(), "go1", 0, 1)
    shapes = GYM.get_actor_rigid_shape_properties(env, actor)
    setattr(shapes[3], name, value)
    with pytest.raises(UnsupportedCallError, match=f"RigidShapeProperties.{name} = {value}.*Leave {name} at 0"):
        GYM.set_actor_rigid_shape_properties(env, actor, shapes)
    with pytest.raises(UnsupportedCallError, match=f"RigidShapeProperties.{name} = {value}"):
        GYM.set_asset_rigid_shape_properties(asset, shapes)


def test_bodies_with_flags_are_refused(sim, asset):
    env = environment(sim)
    actor = GYM.create_actor(env, asset, gymapi.Transform(), "go1", 0, 1)
    bodies = GYM.get_actor_rigid_body_properties(env, actor)
    bodies[2].flags = 1
    with pytest.raises(UnsupportedCallError, match="RigidBodyProperties.flags = 1.*Leave flags at 0"):
        GYM.set_actor_rigid_body_properties(env, actor, bodies)


def test_joints_that_gain_or_lose_their_limits_are_refused(sim, asset):
    env = environment(sim)
    actor = GYM.create_actor(env, asset, gymapi.Transform(), "go1", 0, 1)
    joints = GYM.get_actor_dof_properties(env, actor)
    joints["hasLimits"][4] = False
    with pytest.raises(UnsupportedCallError, match="hasLimits = False of FR_thigh"):
        GYM.set_actor_dof_properties(env, actor, joints)


def test_environments_have_no_size(sim):
    with pytest.raises(UnsupportedCallError, match="create_env"):
        GYM.create_env(sim, gymapi.Vec3(-1.0, -1.0, 0.0), gymapi.Vec3(1.0, 1.0, 1.0), 1)


def test_robots_share_no_collision_group(sim, asset):
    environment(sim)
    with pytest.raises(UnsupportedCallError, match="collision group 0 in environment 1"):
        GYM.create_actor(environment(sim), asset, gymapi.Transform(), "go1", 0, 1)


def test_one_robot_an_environment(sim, asset):
    env = environment(sim)
    GYM.create_actor(env, asset, gymapi.Transform(), "go1", 0, 1)
    with pytest.raises(UnsupportedCallError, match="a second actor"):
        GYM.create_actor(env, asset, gymapi.Transform(), "go1", 0, 1)


def test_calls_out_of_order_are_refused(sim, asset):
    with pytest.raises(IsaacGymShimError, match="prepare_sim before"):
        GYM.simulate(sim)
    with pytest.raises(IsaacGymShimError, match="prepare_sim before fetch_results"):
        GYM.fetch_results(sim, True)
    with pytest.raises(IsaacGymShimError, match="an actor in every environment"):
        GYM.prepare_sim(sim)
    GYM.create_actor(environment(sim), asset, gymapi.Transform(), "go1", 0, 1)
    GYM.prepare_sim(sim)
    with pytest.raises(IsaacGymShimError, match="create_env before prepare_sim"):
        environment(sim)
    with pytest.raises(IsaacGymShimError, match="prepare_sim before prepare_sim"):
        GYM.prepare_sim(sim)


def test_tables_and_handles(sim, asset):
    env = environment(sim)
    actor = GYM.create_actor(env, asset, gymapi.Transform(), "go1", 0, 1)
    assert GYM.get_asset_dof_count(asset) == GYM.get_actor_dof_count(env, actor) == 12
    assert GYM.get_asset_rigid_body_count(asset) == GYM.get_actor_rigid_body_count(env, actor) == 17
    assert GYM.get_asset_rigid_shape_count(asset) == 9
    assert GYM.find_actor_rigid_body_handle(env, actor, "FL_foot") == 4
    assert GYM.find_asset_rigid_body_index(asset, "tail") == -1
    assert GYM.find_actor_dof_handle(env, actor, "FR_hip") == GYM.find_asset_dof_index(asset, "FR_hip") == 3
    assert GYM.get_actor_dof_names(env, actor) == GYM.get_asset_dof_names(asset)
    assert (GYM.get_env_count(sim), GYM.get_actor_count(env)) == (1, 1)
    assert GYM.get_actor_index(env, actor, gymapi.DOMAIN_SIM) == 0
    with pytest.raises(IsaacGymShimError, match="an actor handle below 1"):
        GYM.get_actor_dof_count(env, 1)


def test_what_is_got_is_a_copy(sim, asset):
    """A program may change what it got without effect, until it sets it."""
    env = environment(sim)
    actor = GYM.create_actor(env, asset, gymapi.Transform(), "go1", 0, 1)
    shapes = GYM.get_asset_rigid_shape_properties(asset)
    shapes[0].friction = 0.123
    joints = GYM.get_actor_dof_properties(env, actor)
    joints["effort"] = 0.5
    assert GYM.get_asset_rigid_shape_properties(asset)[0].friction == 1.0
    assert GYM.get_actor_dof_properties(env, actor)["effort"][0] > 20.0
    GYM.set_asset_rigid_shape_properties(asset, shapes)
    second = GYM.create_actor(environment(sim), asset, gymapi.Transform(), "go1", 1, 1)
    assert GYM.get_actor_rigid_shape_properties(env, actor)[0].friction == 1.0, "made before"
    assert GYM.get_actor_rigid_shape_properties(GYM.get_env(sim, 1), second)[0].friction == 0.123
    with pytest.raises(IsaacGymShimError, match="properties of 9 rigid shapes; found 8"):
        GYM.set_asset_rigid_shape_properties(asset, shapes[:-1])
