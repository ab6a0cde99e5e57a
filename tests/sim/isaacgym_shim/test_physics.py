"""What moves: drives, contact, friction and properties, against mechanics by hand and against the mujoco engine."""

import mujoco
import numpy as np
import pytest
import torch

from robot_configs.robot import GRAVITY_M_S2, MODEL_XML, load_robot
from sim.engines.mujoco import MujocoEngine
from sim.engines.protocol import PhysicsParameters
from sim.isaacgym_shim import gymapi
from sim.isaacgym_shim.errors import IsaacGymShimError
from sim.isaacgym_shim.gymtorch import unwrap_tensor
from tests.sim.isaacgym_shim.conftest import floor

STIFFNESS, DAMPING, PASSIVE_DAMPING = 30.0, 0.75, 0.05


def position_drive(robot):
    """A customisation: the gains and the armature of the mujoco engine's joints."""

    def customize(_, env):
        gym = gymapi.acquire_gym()
        properties = gym.get_actor_dof_properties(env, 0)
        names = gym.get_actor_dof_names(env, 0)
        properties["stiffness"], properties["damping"] = STIFFNESS, DAMPING + PASSIVE_DAMPING
        properties["friction"] = 0.0
        properties["armature"] = robot.armature[[robot.joint_names.index(name) for name in names]]
        gym.set_actor_dof_properties(env, 0, properties)

    return customize


def without_friction(_, env):
    gym = gymapi.acquire_gym()
    properties = gym.get_actor_dof_properties(env, 0)
    properties["friction"] = 0.0
    gym.set_actor_dof_properties(env, 0, properties)


def put(scene, joints, height_m):
    """Joints (12,) in Isaac Gym's order, trunk level at a height."""
    scene.root[:] = torch.tensor([0.0, 0.0, height_m, 0.0, 0.0, 0.0, 1.0] + [0.0] * 6)
    scene.dof[..., 0], scene.dof[..., 1] = joints, 0.0
    scene.gym.set_actor_root_state_tensor(scene.sim, unwrap_tensor(scene.root))
    scene.gym.set_dof_state_tensor(scene.sim, unwrap_tensor(scene.dof))


def target(scene, joints):
    values = joints.repeat(scene.count, 1).contiguous()
    scene.gym.set_dof_position_target_tensor(scene.sim, unwrap_tensor(values))


@pytest.mark.parametrize(
    ("height_m", "steps", "offset_rad", "tolerance_rad"), [(5.0, 100, 0.2, 2e-4), (0.3, 250, 0.0, 0.03)]
)
def test_a_position_drive_moves_like_the_mujoco_engine(go1_scene, height_m, steps, offset_rad, tolerance_rad):
    """In the air to float32; on the ground within 0.03 rad: contacts are solved in another order, not to the end."""
    robot = load_robot()
    scene = go1_scene([height_m], floor(0.8), position_drive(robot), gymapi.DOF_MODE_POS)
    order = [robot.joint_names.index(name) for name in scene.sim.running.asset.dof_names]
    stand = torch.tensor(robot.stand_position, dtype=torch.float32)
    put(scene, stand[order], height_m)
    target(scene, (stand + offset_rad)[order])
    scene.simulate(steps)

    engine = MujocoEngine(robot, 1, 1)
    engine.set_parameters(PhysicsParameters.nominal(1, 0.9, [STIFFNESS] * 12, [DAMPING] * 12))
    level = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    engine.reset(torch.tensor([0]), torch.tensor([[0.0, 0.0, height_m]]), level, stand[None])
    engine.step((stand + offset_rad)[None], steps)
    expected = engine.state()
    torch.testing.assert_close(scene.dof[:, :, 0], expected.joint_position[:, order], atol=tolerance_rad, rtol=0)
    torch.testing.assert_close(
        scene.root[:, 2], expected.position_trunk_in_world[:, 2], atol=0.25 * tolerance_rad, rtol=0
    )


def test_an_effort_drives_one_step(go1_scene):
    """Without friction, double the torque is double the speed after one step; then nothing drives any more."""
    scene = go1_scene([5.0, 5.0, 5.0], customize=without_friction)
    efforts = torch.zeros(3, 12)
    efforts[1, 3], efforts[2, 3] = 1.0, 2.0
    scene.gym.set_dof_actuation_force_tensor(scene.sim, unwrap_tensor(efforts))
    scene.simulate(1)
    speed = scene.dof[:, 3, 1] - scene.dof[0, 3, 1]
    assert speed[1] > 0.01
    assert float(speed[2] / speed[1]) == pytest.approx(2.0, rel=0.02)
    before = scene.dof[2, 3, 1].clone()
    scene.simulate(1)
    assert float(scene.dof[2, 3, 1] - before) == pytest.approx(0.0, abs=0.15 * float(speed[2])), "no effort any more"


def test_an_effort_reaches_no_joint_without_its_mode(go1_scene):
    scene = go1_scene([5.0], drive=gymapi.DOF_MODE_NONE)
    scene.gym.set_dof_actuation_force_tensor(scene.sim, unwrap_tensor(torch.full((1, 12), 5.0)))
    scene.simulate(1)
    assert scene.dof[0, :, 1].abs().max() < 1e-3


def test_a_velocity_drive_turns_its_joint_at_its_speed(go1_scene):
    def customize(_, env):
        gym = gymapi.acquire_gym()
        properties = gym.get_actor_dof_properties(env, 0)
        properties["damping"], properties["friction"] = 5.0, 0.0
        gym.set_actor_dof_properties(env, 0, properties)

    scene = go1_scene([5.0], customize=customize, drive=gymapi.DOF_MODE_VEL)
    speeds = torch.zeros(1, 12)
    speeds[0, 1] = 1.0
    scene.gym.set_dof_velocity_target_tensor(scene.sim, unwrap_tensor(speeds))
    scene.simulate(50)
    assert float(scene.dof[0, 1, 1]) == pytest.approx(1.0, abs=0.02)


def test_a_drive_is_bounded_by_its_effort(go1_scene):
    """10^4 Nm/rad times 1 rad is far beyond 23.7 Nm: the drive's force tensor shows the bound."""

    def customize(_, env):
        gym = gymapi.acquire_gym()
        properties = gym.get_actor_dof_properties(env, 0)
        properties["stiffness"] = 1e4
        gym.set_actor_dof_properties(env, 0, properties)

    scene = go1_scene([5.0], customize=customize, drive=gymapi.DOF_MODE_POS)
    target(scene, scene.dof[0, :, 0] + 1.0)
    scene.simulate(1)
    scene.gym.refresh_dof_force_tensor(scene.sim)
    force = scene.sim.running.dof_force
    torch.testing.assert_close(force, torch.tensor([23.7, 23.7, 35.55]).repeat(4))


def test_contact_forces_carry_the_weight(go1_scene):
    robot = load_robot()
    scene = go1_scene([0.3, 0.3], floor(), position_drive(robot), gymapi.DOF_MODE_POS)
    order = [robot.joint_names.index(name) for name in scene.sim.running.asset.dof_names]
    stand = torch.tensor(robot.stand_position, dtype=torch.float32)[order]
    put(scene, stand, 0.3)
    target(scene, stand)
    scene.simulate(500)
    total = scene.contact.sum(dim=1)
    weight = torch.tensor([0.0, 0.0, robot.total_mass_kg * GRAVITY_M_S2]).repeat(2, 1)
    torch.testing.assert_close(total, weight, atol=0.6, rtol=0)
    feet = [name.endswith("_foot") for name in scene.sim.running.asset.body_names]
    assert (scene.contact[:, feet, 2] > 5.0).all(), "every foot stands"
    assert scene.contact[:, ~np.array(feet)].abs().max() == 0


def test_friction_is_the_mean_of_shape_and_ground(ball_scene):
    """A sliding ball is held back by mu times what presses it down: shape 1.0 on ground 0.2 is mu = 0.6."""
    scene = ball_scene([(0.0, 0.0, 0.0998)], lambda gym, sim: gym.add_ground(sim, floor(0.2)))
    scene.simulate(50)
    scene.root[0, 7] = 3.0
    scene.gym.set_actor_root_state_tensor(scene.sim, unwrap_tensor(scene.root))
    scene.simulate(1)
    along, _, normal = scene.contact[0, 0].tolist()
    assert normal > 10.0
    assert along / normal == pytest.approx(-0.6, rel=1e-4)


def test_each_robot_has_its_own_mass_before_and_after_prepare(ball_scene):
    scene = ball_scene([(0.0, 0.0, 0.1)] * 2, lambda gym, sim: gym.add_ground(sim, floor()))
    bodies = scene.gym.get_actor_rigid_body_properties(scene.envs[1], 0)
    bodies[0].mass = 5.0
    scene.gym.set_actor_rigid_body_properties(scene.envs[1], 0, bodies, recomputeInertia=True)
    scene.simulate(250)
    torch.testing.assert_close(scene.contact[:, 0, 2], torch.tensor([2.0, 5.0]) * GRAVITY_M_S2, atol=0.05, rtol=0)
    inertia = scene.gym.get_actor_rigid_body_properties(scene.envs[1], 0)[0].inertia.x.x
    assert inertia == pytest.approx(0.02 * 2.5)
    np.testing.assert_allclose(scene.sim.running._field["body_inertia"][:, 1, 0], [0.02, 0.05], rtol=1e-6)


def mat33(matrix):
    return gymapi.Mat33(*(gymapi.Vec3(*row) for row in matrix))


def test_an_inertia_in_turned_axes_keeps_its_angular_momentum(ball_scene):
    """I w of a tumbling body is constant in the world, with I turned along with it, and with no other I."""
    scene = ball_scene([(0.0, 0.0, 1.0)])
    inertia = np.array([[0.05, 0.01, 0.0], [0.01, 0.03, -0.005], [0.0, -0.005, 0.02]])
    bodies = scene.gym.get_actor_rigid_body_properties(scene.envs[0], 0)
    bodies[0].inertia = mat33(inertia)
    scene.gym.set_actor_rigid_body_properties(scene.envs[0], 0, bodies)
    scene.simulate(1)
    scene.root[0, 10:13] = torch.tensor([3.0, 1.0, -2.0])
    scene.gym.set_actor_root_state_tensor(scene.sim, unwrap_tensor(scene.root))

    def momentum():
        rotation = np.zeros(9)
        mujoco.mju_quat2Mat(rotation, scene.root[0, [6, 3, 4, 5]].double().numpy())
        turned = rotation.reshape(3, 3)
        return turned @ inertia @ turned.T @ scene.root[0, 10:13].double().numpy()

    before, spin = momentum(), scene.root[0, 10:13].clone()
    scene.simulate(100)
    np.testing.assert_allclose(momentum(), before, atol=0.02 * float(np.linalg.norm(before)))
    assert (scene.root[0, 10:13] - spin).norm() > 0.5, "it tumbles"


@pytest.mark.parametrize(
    "wrong", [np.diag([0.02, 0.02, -0.01]), [[0.02, 0.01, 0.0], [0.0, 0.02, 0.0], [0.0, 0.0, 0.02]]]
)
def test_an_inertia_that_no_body_has_is_refused(ball_scene, wrong):
    scene = ball_scene([(0.0, 0.0, 1.0)])
    bodies = scene.gym.get_actor_rigid_body_properties(scene.envs[0], 0)
    bodies[0].inertia = mat33(wrong)
    with pytest.raises(IsaacGymShimError, match="inertia of ball"):
        scene.gym.set_actor_rigid_body_properties(scene.envs[0], 0, bodies)


def test_substeps_divide_the_step(ball_file):
    """Semi-implicit Euler falls g dt^2 n (n + 1) / 2 in n substeps of dt."""
    gym = gymapi.acquire_gym()
    params = gymapi.SimParams()
    params.dt, params.substeps, params.up_axis = 0.02, 4, gymapi.UP_AXIS_Z
    params.gravity = gymapi.Vec3(0.0, 0.0, -10.0)
    sim = gym.create_sim(0, -1, gymapi.SIM_PHYSX, params)
    options = gymapi.AssetOptions()
    options.angular_damping = 0.0
    asset = gym.load_asset(sim, str(ball_file.parent), ball_file.name, options)
    gym.create_actor(gym.create_env(sim, gymapi.Vec3(), gymapi.Vec3(), 1), asset, gymapi.Transform(), "ball", 0, 0)
    gym.prepare_sim(sim)
    gym.simulate(sim)
    gym.refresh_actor_root_state_tensor(sim)
    assert float(sim.running.root_state[0, 2]) == pytest.approx(-10.0 * 0.005**2 * 10, rel=1e-5)
    assert (gym.get_frame_count(sim), gym.get_sim_time(sim)) == (1, 0.02)


def test_the_solver_is_that_of_the_mujoco_engine(go1_scene):
    expected, found = mujoco.MjModel.from_xml_path(str(MODEL_XML)).opt, go1_scene([1.0]).sim.running._model.opt
    for name in ("timestep", "integrator", "cone", "solver", "iterations"):
        assert getattr(found, name) == getattr(expected, name), name


def test_a_robot_that_diverges_is_not_put_back_to_its_start(go1_scene):
    scene = go1_scene([0.5, 0.5])
    scene.sim.running._qvel[1, 2] = np.nan
    scene.simulate(2)
    assert torch.isfinite(scene.root[0]).all() and torch.isnan(scene.root[1, 9])
