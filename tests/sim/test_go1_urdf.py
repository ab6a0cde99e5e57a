"""The committed URDF is what go1.xml says."""

import mujoco
import numpy as np

from robot_configs.robot import MODEL_XML, load_robot
from sim.engines.isaacgym import ROBOT_URDF
from sim.go1_urdf import go1_urdf
from sim.isaacgym_shim.urdf import read_urdf


def test_the_file_is_up_to_date():
    """Otherwise: python -m sim.go1_urdf --out robot_configs/go1.urdf"""
    assert ROBOT_URDF.read_text(encoding="utf-8") == go1_urdf(load_robot())


def test_calf_and_foot_together_are_the_models_calf():
    """Taking the foot out of the calf and putting it back gives the same body."""
    model = mujoco.MjModel.from_xml_path(str(MODEL_XML))
    trunk = read_urdf(ROBOT_URDF, collapse_fixed_joints=False)
    (hip,) = (link for link in trunk.children if link.name == "RL_hip")
    (thigh,) = hip.children
    (calf,) = thigh.children
    (foot,) = calf.children
    assert calf.inertia is not None
    assert foot.inertia is not None
    whole = calf.inertia.joined_with(foot.inertia.seen_from(foot.pose))
    body = model.body("RL_calf").id
    assert np.isclose(whole.mass, model.body_mass[body])
    np.testing.assert_allclose(whole.center, model.body_ipos[body], atol=1e-8)
    np.testing.assert_allclose(np.sort(np.linalg.eigvalsh(whole.matrix)), np.sort(model.body_inertia[body]), rtol=1e-5)
