"""URDF reading: merged links have the mass, centre and inertia that Steiner's theorem gives by hand."""

from pathlib import Path

import numpy as np
import pytest

from sim.isaacgym_shim.errors import IsaacGymShimError, UnsupportedCallError
from sim.isaacgym_shim.urdf import read_urdf, rotation_of_roll_pitch_yaw

LINK = """<link name="{}"><inertial><mass value="{}"/>
<inertia ixx="{i}" ixy="0" ixz="0" iyy="{i}" iyz="0" izz="{i}"/></inertial></link>"""
JOINT = """<joint name="{0}" type="{1}" {2}><parent link="{3}"/><child link="{4}"/>
<origin xyz="{5}" rpy="{6}"/><axis xyz="0 0 1"/><limit lower="-1" upper="2" effort="3" velocity="4"/></joint>"""


def write(tmp_path: Path, *parts: str) -> Path:
    path = tmp_path / "robot.urdf"
    path.write_text(f'<robot name="r">{"".join(parts)}</robot>')
    return path


def test_a_fixed_link_merges_into_its_parent(tmp_path):
    """3 kg at the origin and 1 kg at x = 0.4: together at x = 0.1, with 3 0.1^2 + 1 0.3^2 = 0.12 more about y and z."""
    head = JOINT.format("neck", "fixed", "", "body", "head", "0.4 0 0", "0 0 0")
    path = write(tmp_path, LINK.format("body", 3, i=0.5), LINK.format("head", 1, i=0.2), head)
    root = read_urdf(path, collapse_fixed_joints=True)
    assert root.children == []
    assert root.inertia is not None
    assert root.inertia.mass == pytest.approx(4.0)
    np.testing.assert_allclose(root.inertia.center, [0.1, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(root.inertia.matrix, np.diag([0.7, 0.82, 0.82]), atol=1e-12)


def test_links_stay_when_asked(tmp_path):
    parts = [LINK.format(name, 1, i=0.1) for name in ("body", "head", "foot")]
    parts.append(JOINT.format("neck", "fixed", "", "body", "head", "0 0 1", "0 0 0"))
    parts.append(JOINT.format("ankle", "fixed", 'dont_collapse="true"', "body", "foot", "0 0 -1", "0 0 0"))
    path = write(tmp_path, *parts)
    assert [child.name for child in read_urdf(path, collapse_fixed_joints=False).children] == ["foot", "head"]
    assert [child.name for child in read_urdf(path, collapse_fixed_joints=True).children] == ["foot"]


def test_what_hangs_on_a_merged_link_moves_with_it(tmp_path):
    """A link at x = 1 on one that is fixed at z = 2 and turned by a quarter about z: at y = 1, z = 2."""
    parts = [LINK.format(name, 1, i=0.1) for name in ("body", "mount", "arm")]
    parts.append(JOINT.format("weld", "fixed", "", "body", "mount", "0 0 2", "0 0 1.5707963267948966"))
    parts.append(JOINT.format("shoulder", "revolute", "", "mount", "arm", "1 0 0", "0 0 0"))
    (arm,) = read_urdf(write(tmp_path, *parts), collapse_fixed_joints=True).children
    np.testing.assert_allclose(arm.pose.position, [0.0, 1.0, 2.0], atol=1e-12)
    assert arm.joint is not None
    assert (arm.joint.lower, arm.joint.upper, arm.joint.effort, arm.joint.velocity) == (-1.0, 2.0, 3.0, 4.0)


def test_siblings_are_in_alphabetical_order(tmp_path):
    parts = [LINK.format(name, 1, i=0.1) for name in ("body", "RR", "FL", "FR")]
    parts += [JOINT.format(name, "revolute", "", "body", name, "0 0 0", "0 0 0") for name in ("RR", "FL", "FR")]
    root = read_urdf(write(tmp_path, *parts), collapse_fixed_joints=True)
    assert [child.name for child in root.children] == ["FL", "FR", "RR"]


def test_angles_turn_about_fixed_axes_x_first():
    """The x axis, rolled (nothing), pitched by a quarter to -z, yawed (nothing): stays -z."""
    rotation = rotation_of_roll_pitch_yaw((0.3, np.pi / 2, 0.7))
    np.testing.assert_allclose(rotation @ [1.0, 0.0, 0.0], [0.0, 0.0, -1.0], atol=1e-12)
    rotation = rotation_of_roll_pitch_yaw((np.pi / 2, 0.0, np.pi / 2))
    np.testing.assert_allclose(rotation @ [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], atol=1e-12)


def test_what_can_not_be_simulated_is_named(tmp_path):
    parts = [LINK.format(name, 1, i=0.1) for name in ("body", "wheel")]
    planar = JOINT.format("slide", "planar", "", "body", "wheel", "0 0 0", "0 0 0")
    with pytest.raises(UnsupportedCallError, match="the planar joint slide"):
        read_urdf(write(tmp_path, *parts, planar), collapse_fixed_joints=True)
    with pytest.raises(IsaacGymShimError, match="one root link.*2: .*body.*wheel"):
        read_urdf(write(tmp_path, *parts), collapse_fixed_joints=True)
