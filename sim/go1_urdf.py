"""Writes robot_configs/go1.urdf from go1.xml: Isaac Gym reads URDF more faithfully than MJCF.

python -m sim.go1_urdf --out robot_configs/go1.urdf

Masses, inertias, limits and collision shapes are those of the MuJoCo model, speeds those of go1.yaml. The feet are
links of their own, on fixed joints marked dont_collapse, for Isaac Gym reports contact forces by link; their mass is
taken out of the calves', for PhysX makes nothing good of a link that weighs nothing.
"""

from __future__ import annotations

import argparse
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import mujoco
import numpy as np

from robot_configs.robot import MODEL_XML, RobotModel, load_robot
from sim.isaacgym_shim.urdf import Inertia

HEADER = "<!-- Written by `python -m sim.go1_urdf` from go1.xml, which names the sources. Do not edit. -->\n"
SHAPES = {mujoco.mjtGeom.mjGEOM_SPHERE: "sphere", mujoco.mjtGeom.mjGEOM_BOX: "box"}


def go1_urdf(robot: RobotModel) -> str:
    """The robot of go1.xml as URDF text."""
    spec = mujoco.MjSpec.from_file(str(MODEL_XML))
    model = spec.compile()
    urdf = ElementTree.Element("robot", name=robot.name)
    feet = {f"{foot}_calf": _foot_inertia(spec.body(f"{foot}_calf")) for foot in robot.foot_names}
    for body in range(1, model.nbody):
        inertia, name = _inertia(model, body), model.body(body).name
        link = _add_link(urdf, name, inertia.joined_with(_negative(feet[name])) if name in feet else inertia)
        for geom in range(model.ngeom):
            if model.geom_bodyid[geom] == body and model.geom_contype[geom] and not _is_foot(model, geom):
                _add_collision(link, model, geom, model.geom_pos[geom])
        if model.body_parentid[body] != 0:
            _add_joint(urdf, model, body, robot)
    for foot in robot.foot_names:
        _add_foot(urdf, model, f"{foot}_foot", feet[f"{foot}_calf"])
    ElementTree.indent(urdf)
    return HEADER + ElementTree.tostring(urdf, encoding="unicode") + "\n"


def _foot_inertia(calf: mujoco.MjsBody) -> Inertia:
    """Of the uniform sphere that is the foot's mass in go1.xml, in the calf's frame."""
    spheres = [g for g in calf.geoms if g.type == mujoco.mjtGeom.mjGEOM_SPHERE and g.mass > 0.0]
    (sphere,) = spheres
    return Inertia(sphere.mass, sphere.pos.copy(), 0.4 * sphere.mass * sphere.size[0] ** 2 * np.eye(3))


def _negative(inertia: Inertia) -> Inertia:
    """What taken together with a body leaves it without this part."""
    return Inertia(-inertia.mass, inertia.center, -inertia.matrix)


def _inertia(model: mujoco.MjModel, body: int) -> Inertia:
    """A body's, in its own axes: the compiled model keeps principal ones."""
    axes = np.zeros(9)
    mujoco.mju_quat2Mat(axes, model.body_iquat[body])
    rotation = axes.reshape(3, 3)
    matrix = rotation @ np.diag(model.body_inertia[body]) @ rotation.T
    return Inertia(float(model.body_mass[body]), model.body_ipos[body], matrix)


def _add_link(urdf: ElementTree.Element, name: str, inertia: Inertia) -> ElementTree.Element:
    link = ElementTree.SubElement(urdf, "link", name=name)
    inertial = ElementTree.SubElement(link, "inertial")
    ElementTree.SubElement(inertial, "origin", xyz=_text(inertia.center))
    ElementTree.SubElement(inertial, "mass", value=_text([inertia.mass]))
    entries = {f"i{'xyz'[a]}{'xyz'[b]}": _text([inertia.matrix[a, b]]) for a in range(3) for b in range(a, 3)}
    ElementTree.SubElement(inertial, "inertia", entries)
    return link


def _add_collision(link: ElementTree.Element, model: mujoco.MjModel, geom: int, position: np.ndarray) -> None:
    collision = ElementTree.SubElement(link, "collision")
    ElementTree.SubElement(collision, "origin", xyz=_text(position))
    geometry = ElementTree.SubElement(collision, "geometry")
    size = model.geom_size[geom]
    if SHAPES[mujoco.mjtGeom(model.geom_type[geom])] == "sphere":
        ElementTree.SubElement(geometry, "sphere", radius=_text(size[:1]))
    else:
        ElementTree.SubElement(geometry, "box", size=_text(2.0 * size))


def _add_joint(urdf: ElementTree.Element, model: mujoco.MjModel, body: int, robot: RobotModel) -> None:
    index = model.body_jntadr[body]
    name, dof = model.joint(index).name, model.jnt_dofadr[index]
    wire = robot.joint_names.index(name)
    joint = ElementTree.SubElement(urdf, "joint", name=name, type="revolute")
    ElementTree.SubElement(joint, "origin", xyz=_text(model.body_pos[body]))
    ElementTree.SubElement(joint, "parent", link=model.body(model.body_parentid[body]).name)
    ElementTree.SubElement(joint, "child", link=model.body(body).name)
    ElementTree.SubElement(joint, "axis", xyz=_text(model.jnt_axis[index]))
    lower, upper = model.jnt_range[index]
    limits = {
        "lower": lower,
        "upper": upper,
        "effort": robot.torque_limit[wire],
        "velocity": robot.velocity_limit[wire],
    }
    ElementTree.SubElement(joint, "limit", {key: _text([value]) for key, value in limits.items()})
    losses = {"damping": model.dof_damping[dof], "friction": model.dof_frictionloss[dof]}
    ElementTree.SubElement(joint, "dynamics", {key: _text([value]) for key, value in losses.items()})


def _add_foot(urdf: ElementTree.Element, model: mujoco.MjModel, name: str, inertia: Inertia) -> None:
    geom = model.geom(name).id
    link = _add_link(urdf, name, Inertia(inertia.mass, inertia.center - model.geom_pos[geom], inertia.matrix))
    _add_collision(link, model, geom, np.zeros(3))
    joint = ElementTree.SubElement(urdf, "joint", name=name, type="fixed", dont_collapse="true")
    ElementTree.SubElement(joint, "origin", xyz=_text(model.geom_pos[geom]))
    ElementTree.SubElement(joint, "parent", link=model.body(model.geom_bodyid[geom]).name)
    ElementTree.SubElement(joint, "child", link=name)


def _is_foot(model: mujoco.MjModel, geom: int) -> bool:
    return model.geom(geom).name.endswith("_foot")


def _text(numbers: np.ndarray | list[float]) -> str:
    return " ".join(f"{number:.9g}" for number in np.asarray(numbers, dtype=float) + 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.parse_args().out.write_text(go1_urdf(load_robot()), encoding="utf-8")


if __name__ == "__main__":
    main()
