"""go1.yaml is the one copy: it must be complete, strict, and tell the same robot as the compiled go1.xml."""

import copy

import mujoco
import numpy as np
import pytest
import yaml

from robot_configs.kinematics import foot_jacobian_in_trunk, foot_position_in_trunk
from robot_configs.robot import CONFIG_DIR, MODEL_XML, RobotConfigError, load_robot


@pytest.fixture(scope="module")
def robot():
    return load_robot()


@pytest.fixture(scope="module")
def model():
    return mujoco.MjModel.from_xml_path(str(MODEL_XML))


def write(tmp_path, change):
    document = yaml.safe_load((CONFIG_DIR / "go1.yaml").read_text())
    document = copy.deepcopy(document)
    change(document)
    path = tmp_path / "robot.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def test_wire_order(robot):
    assert robot.joint_names[:4] == ("FR_hip", "FR_thigh", "FR_calf", "FL_hip")
    assert robot.foot_names == ("FR", "FL", "RR", "RL")


def test_compiled_model_is_the_same_robot(robot, model):
    hinges = [mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_JOINT, i) for i in range(1, model.njnt)]
    actuators = [mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_ACTUATOR, i) for i in range(model.nu)]
    assert tuple(hinges) == robot.joint_names == tuple(actuators)
    np.testing.assert_allclose(model.actuator_forcerange[:, 1], robot.torque_limit)
    np.testing.assert_allclose(model.dof_armature[6:], robot.armature)
    assert np.all(model.jnt_range[1:, 0] <= robot.joint_lower) and np.all(model.jnt_range[1:, 1] >= robot.joint_upper)
    assert model.body_subtreemass[0] == pytest.approx(robot.total_mass_kg, abs=0.002)
    trunk = model.body("trunk").id
    np.testing.assert_allclose(sorted(model.body_inertia[trunk]), [0.0168, 0.0630, 0.0717])
    np.testing.assert_allclose(model.site("imu").pos, robot.geometry.imu_in_trunk)
    assert model.geom("FR_foot").size[0] == robot.geometry.foot_radius


def test_kinematics_are_those_of_the_model(robot, model):
    data = mujoco.MjData(model)
    generator = np.random.default_rng(0)
    for _ in range(20):
        q = generator.uniform(robot.joint_lower, robot.joint_upper)
        data.qpos[:] = np.concatenate([[0, 0, 0, 1, 0, 0, 0], q])
        mujoco.mj_forward(model, data)
        feet = np.stack([data.site(f"{name}_foot").xpos for name in robot.foot_names])
        np.testing.assert_allclose(foot_position_in_trunk(robot, q), feet, atol=1e-9)
        for leg, name in enumerate(robot.foot_names):
            jacobian = np.zeros((3, model.nv))
            mujoco.mj_jacSite(model, data, jacobian, None, model.site(f"{name}_foot").id)
            np.testing.assert_allclose(
                foot_jacobian_in_trunk(robot, q)[leg], jacobian[:, 6 + 3 * leg : 9 + 3 * leg], atol=1e-9
            )


def test_poses_and_gains_are_reachable_and_representable_on_the_wire(robot):
    for pose in (robot.stand_position, robot.sit_position):
        assert np.all(pose >= robot.joint_lower) and np.all(pose <= robot.joint_upper)
    for gains in (robot.stand, robot.damp):
        assert (gains.stiffness * 32) % 1 == 0 and (gains.damping * 16) % 1 == 0
        assert gains.stiffness <= robot.max_stiffness and gains.damping <= robot.max_damping


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda d: d["gains"].pop("damp"), "damp"),
        (lambda d: d["gains"].update(springiness=1), "springiness"),
        (lambda d: d["rates"].update(control_hz=60), "divisible"),
        (lambda d: d["joint_types"]["hip"].update(torque_limit_nm=-1), "torque_limit_nm"),
        (lambda d: d["joint_types"]["calf"].update(upper_rad=-3.0), "upper_rad"),
        (lambda d: d["safety"].update(tilt_limit_rad="steep"), "tilt_limit_rad"),
        (lambda d: d["poses"].update(stand=[0, 1]), "stand"),
    ],
)
def test_bad_descriptions_are_refused_with_the_key_named(tmp_path, change, named):
    with pytest.raises(RobotConfigError, match=named):
        load_robot(write(tmp_path, change))


def test_hash_changes_with_content(tmp_path, robot):
    changed = load_robot(write(tmp_path, lambda d: d["rates"].update(link_hz=250)))
    assert changed.sha256 != robot.sha256 and load_robot().sha256 == robot.sha256
