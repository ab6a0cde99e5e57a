"""Assets: Isaac Gym's tables of the Go1, from URDF and from MJCF."""

import mujoco
import numpy as np
import pytest

from robot_configs.robot import MODEL_XML, load_robot
from sim.engines.isaacgym import ROBOT_URDF
from sim.isaacgym_shim.assets import load_asset
from sim.isaacgym_shim.enumerations import DofDriveMode
from sim.isaacgym_shim.errors import IsaacGymShimError, UnsupportedCallError
from sim.isaacgym_shim.parameters import AssetOptions
from tests.sim.isaacgym_shim.conftest import asset_options


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return mujoco.MjModel.from_xml_path(str(MODEL_XML))


@pytest.fixture(scope="module")
def asset():
    options = asset_options()
    options.default_dof_drive_mode = int(DofDriveMode.DOF_MODE_EFFORT)
    return load_asset(ROBOT_URDF, options)


def test_joints_have_isaac_gyms_order(asset):
    legs = ("FL", "FR", "RL", "RR")
    assert asset.dof_names == tuple(f"{leg}_{part}" for leg in legs for part in ("hip", "thigh", "calf"))


def test_bodies_are_depth_first_and_feet_are_bodies(asset):
    assert asset.body_names[:6] == ("trunk", "FL_hip", "FL_thigh", "FL_calf", "FL_foot", "FR_hip")
    assert len(asset.body_names) == 1 + 4 * 4


def test_the_urdf_weighs_what_the_model_weighs(asset, model):
    assert sum(body.mass for body in asset.body_properties) == pytest.approx(float(model.body_mass.sum()), rel=1e-6)
    trunk = asset.body_properties[0]
    np.testing.assert_allclose(np.diag(trunk.inertia.array()), [0.0168, 0.0630, 0.0717], rtol=1e-6)


def test_joint_properties_are_the_robots(asset, model):
    robot = load_robot()
    for name, properties in zip(asset.dof_names, asset.dof_properties, strict=True):
        wire = robot.joint_names.index(name)
        lower, upper = model.joint(name).range
        found = [float(properties[key]) for key in ("lower", "upper", "effort", "velocity", "damping", "friction")]
        expected = [lower, upper, robot.torque_limit[wire], robot.velocity_limit[wire], 0.05, 0.2]
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        assert properties["driveMode"] == DofDriveMode.DOF_MODE_EFFORT
        assert bool(properties["hasLimits"])


def test_shapes_are_counted_by_body(asset):
    """The trunk's box, a knee's sphere on each thigh, a foot's sphere on each foot."""
    shapes = dict(zip(asset.body_names, asset.shape_ranges, strict=True))
    assert shapes["trunk"] == (0, 1)
    assert shapes["FL_hip"][1] == 0
    assert [shapes[f"FR_{part}"] for part in ("thigh", "calf", "foot")] == [(3, 1), (4, 0), (4, 1)]
    assert len(asset.shape_properties) == 9


def test_mjcf_is_read_too(model):
    asset = load_asset(MODEL_XML, asset_options())
    assert asset.dof_names == load_robot().joint_names, "an MJCF keeps its own order"
    assert sum(body.mass for body in asset.body_properties) == pytest.approx(float(model.body_mass.sum()))
    np.testing.assert_allclose(asset.dof_properties["effort"], load_robot().torque_limit, rtol=1e-6)
    np.testing.assert_allclose(asset.dof_properties["armature"], load_robot().armature, rtol=1e-6)


def test_the_options_armature_is_added():
    options = asset_options()
    options.armature = 0.01
    np.testing.assert_allclose(load_asset(ROBOT_URDF, options).dof_properties["armature"], 0.01, rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fix_base_link", True),
        ("override_com", True),
        ("override_inertia", True),
        ("vhacd_enabled", True),
        ("convex_decomposition_from_submeshes", True),
        ("enable_gyroscopic_forces", False),
        ("use_physx_armature", False),
    ],
)
def test_options_that_can_not_be_honoured_are_refused(name, value):
    options = asset_options()
    setattr(options, name, value)
    with pytest.raises(UnsupportedCallError, match=f"AssetOptions.{name} = {value}.*Set {name} to {not value}"):
        load_asset(ROBOT_URDF, options)


def test_damping_of_bodies_is_refused_even_as_the_default():
    with pytest.raises(UnsupportedCallError, match="AssetOptions.angular_damping = 0.5"):
        load_asset(ROBOT_URDF, AssetOptions())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(IsaacGymShimError, match="no such file"):
        load_asset(tmp_path / "none.urdf", asset_options())
