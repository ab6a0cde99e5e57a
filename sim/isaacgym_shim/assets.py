"""Assets: a robot's description, read into MuJoCo's editable form, with Isaac Gym's tables beside it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np

from sim.isaacgym_shim.errors import IsaacGymShimError, UnsupportedCallError
from sim.isaacgym_shim.parameters import DOF_PROPERTIES, AssetOptions, RigidBodyProperties, RigidShapeProperties
from sim.isaacgym_shim.urdf import Joint, Link, Shape, read_urdf
from sim.isaacgym_shim.value_types import Mat33, Vec3

# Isaac Gym marks "no limit" with the largest number of its type; so do we, for a structured array has no inf to spare.
UNLIMITED = float(np.finfo(np.float32).max)
# Options that would change the motion, at the only values that MuJoCo follows.
ONLY_OPTIONS = {
    "angular_damping": 0.0,
    "linear_damping": 0.0,
    "fix_base_link": False,
    "override_com": False,
    "override_inertia": False,
    "vhacd_enabled": False,
    "convex_decomposition_from_submeshes": False,
    "enable_gyroscopic_forces": True,
    "use_physx_armature": True,
}
URDF_GEOMS = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
    "mesh": mujoco.mjtGeom.mjGEOM_MESH,
}


@dataclass(eq=False)
class Asset:
    """What actors are made of.

    Attributes:
        spec: the robot alone, without ground, actuators, sensors, joint friction, damping or armature.
        body_names, dof_names: in Isaac Gym's order, which is also that of `spec`'s joints.
        shape_names: MuJoCo's geoms that collide, grouped by body; `shape_ranges`: (start, count) of each body.
        dof_properties: (D,) of DOF_PROPERTIES.
    """

    spec: mujoco.MjSpec
    options: AssetOptions
    body_names: tuple[str, ...]
    dof_names: tuple[str, ...]
    shape_names: tuple[str, ...]
    shape_ranges: tuple[tuple[int, int], ...]
    dof_properties: np.ndarray
    body_properties: list[RigidBodyProperties]
    shape_properties: list[RigidShapeProperties]


def load_asset(path: Path, options: AssetOptions) -> Asset:
    """Read a URDF or an MJCF file.

    Raises:
        UnsupportedCallError: an option that would change the motion in a way MuJoCo can not follow.
    """
    _refuse(options)
    if not path.is_file():
        raise IsaacGymShimError(f"an asset at {path}", "no such file", "Check asset_root and asset_file.")
    if path.suffix == ".urdf":
        root = read_urdf(path, options.collapse_fixed_joints)
        joints: dict[str, Joint] = {}
        spec = _spec_of_urdf(root, path.parent, options, joints)
        limits = {name: (joint.effort, joint.velocity) for name, joint in joints.items()}
    else:
        spec, limits = _spec_of_mjcf(path)
    if options.disable_gravity:
        for body in spec.bodies[1:]:
            body.gravcomp = 1.0
    return _tabulated(spec, options, limits)


def _refuse(options: AssetOptions) -> None:
    for name, only in ONLY_OPTIONS.items():
        if getattr(options, name) != only:
            raise UnsupportedCallError(f"AssetOptions.{name} = {getattr(options, name)}", f"Set {name} to {only}.")


def _spec_of_urdf(root: Link, folder: Path, options: AssetOptions, joints: dict[str, Joint]) -> mujoco.MjSpec:
    """MuJoCo's form of the tree; moving joints are noted in `joints`."""
    spec = mujoco.MjSpec()
    spec.compiler.degree = False

    def add(parent: mujoco.MjsBody, link: Link) -> None:
        body = parent.add_body(name=link.name, pos=link.pose.position, quat=_quaternion(link.pose.rotation))
        if link.inertia is not None:
            i = link.inertia.matrix
            body.mass, body.ipos, body.explicitinertial = link.inertia.mass, link.inertia.center, True
            body.fullinertia = [i[0, 0], i[1, 1], i[2, 2], i[0, 1], i[0, 2], i[1, 2]]
        if link.joint is None:
            body.add_freejoint(name=link.name)
        elif link.joint.kind != "fixed":
            joints[link.joint.name] = link.joint
            _add_joint(body, link.joint)
        for number, shape in enumerate(link.shapes):
            _add_shape(spec, body, f"{link.name}:{number}", shape, folder, options)
        for child in link.children:
            add(body, child)

    add(spec.worldbody, root)
    return spec


def _add_joint(body: mujoco.MjsBody, joint: Joint) -> None:
    slides = joint.kind == "prismatic"
    limited = bool(np.isfinite(joint.lower))
    body.add_joint(
        name=joint.name,
        type=mujoco.mjtJoint.mjJNT_SLIDE if slides else mujoco.mjtJoint.mjJNT_HINGE,
        axis=joint.axis,
        limited=mujoco.mjtLimited.mjLIMITED_TRUE if limited else mujoco.mjtLimited.mjLIMITED_FALSE,
        range=[joint.lower, joint.upper] if limited else [0.0, 0.0],
        damping=[joint.damping, 0.0, 0.0],
        frictionloss=joint.friction,
    )


def _add_shape(
    spec: mujoco.MjSpec, body: mujoco.MjsBody, name: str, shape: Shape, folder: Path, options: AssetOptions
) -> None:
    kind = "capsule" if shape.kind == "cylinder" and options.replace_cylinder_with_capsule else shape.kind
    geom = body.add_geom(name=name, type=URDF_GEOMS[kind], pos=shape.pose.position, density=options.density)
    geom.quat = _quaternion(shape.pose.rotation)
    if kind == "mesh":
        file = folder / shape.file
        if file.suffix.lower() not in (".stl", ".obj"):
            raise UnsupportedCallError(f"the mesh {shape.file}", "Give .stl or .obj, or a primitive shape.")
        spec.add_mesh(name=name, file=str(file.resolve()), scale=shape.size)
        geom.meshname = name
    elif kind == "box":
        geom.size = np.array(shape.size) / 2.0
    elif kind == "sphere":
        geom.size = [shape.size[0], 0.0, 0.0]
    else:
        geom.size = [shape.size[0], shape.size[1] / 2.0, 0.0]


def _spec_of_mjcf(path: Path) -> tuple[mujoco.MjSpec, dict[str, tuple[float, float]]]:
    """The file's robot without its world; effort limits are those of its actuators."""
    spec = mujoco.MjSpec.from_file(str(path))
    model = spec.compile()
    limits = {}
    for index in range(model.nu):
        joint = model.joint(model.actuator_trnid[index, 0]).name
        limited = bool(model.actuator_forcelimited[index])
        limits[joint] = (float(model.actuator_forcerange[index, 1]) if limited else np.inf, np.inf)
    for element in (*spec.actuators, *spec.sensors, *spec.keys, *spec.worldbody.geoms, *spec.worldbody.lights):
        spec.delete(element)
    roots = spec.worldbody.bodies
    if len(roots) != 1 or [joint.type for joint in roots[0].joints] != [mujoco.mjtJoint.mjJNT_FREE]:
        raise IsaacGymShimError(
            f"one body with a free joint below the worldbody of {path}",
            f"{[body.name for body in roots]}",
            "Describe one floating robot.",
        )
    return spec, limits


def _tabulated(spec: mujoco.MjSpec, options: AssetOptions, limits: dict[str, tuple[float, float]]) -> Asset:
    """Tables of the compiled robot; what its joints dissipate moves from `spec` into the table, where actors set it."""
    for number, geom in enumerate(spec.geoms):
        geom.name = geom.name or f"geom:{number}"
    model = spec.compile()
    joints = range(1, model.njnt)
    properties = np.zeros(len(joints), DOF_PROPERTIES)
    for row, joint in enumerate(joints):
        dof = model.jnt_dofadr[joint]
        effort, velocity = limits.get(model.joint(joint).name, (np.inf, np.inf))
        limited = bool(model.jnt_limited[joint])
        lower, upper = model.jnt_range[joint] if limited else (-UNLIMITED, UNLIMITED)
        damping, friction = model.dof_damping[dof], model.dof_frictionloss[dof]
        armature = model.dof_armature[dof] + options.armature
        properties[row] = (
            *(limited, lower, upper, int(options.default_dof_drive_mode), 0.0, damping),
            *(min(velocity, UNLIMITED), min(effort, UNLIMITED), friction, armature),
        )
    for joint_spec in spec.joints:
        if joint_spec.type != mujoco.mjtJoint.mjJNT_FREE:
            joint_spec.damping, joint_spec.frictionloss, joint_spec.armature = [0.0, 0.0, 0.0], 0.0, 0.0
    colliding = [g for g in range(model.ngeom) if model.geom_contype[g] or model.geom_conaffinity[g]]
    counts = [sum(model.geom_bodyid[g] == body for g in colliding) for body in range(1, model.nbody)]
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(int)
    return Asset(
        spec=spec,
        options=copy.copy(options),
        body_names=tuple(model.body(body).name for body in range(1, model.nbody)),
        dof_names=tuple(model.joint(joint).name for joint in joints),
        shape_names=tuple(model.geom(geom).name for geom in colliding),
        shape_ranges=tuple(zip(starts.tolist(), counts, strict=True)),
        dof_properties=properties,
        body_properties=[_body_properties(model, body) for body in range(1, model.nbody)],
        shape_properties=[RigidShapeProperties(friction=float(model.geom_friction[g, 0])) for g in colliding],
    )


def _body_properties(model: mujoco.MjModel, body: int) -> RigidBodyProperties:
    axes = np.zeros(9)
    mujoco.mju_quat2Mat(axes, model.body_iquat[body])
    rotation = axes.reshape(3, 3)
    inertia = rotation @ np.diag(model.body_inertia[body]) @ rotation.T
    mass = float(model.body_mass[body])
    inverse = np.linalg.inv(inertia) if mass > 0.0 else np.zeros((3, 3))
    return RigidBodyProperties(
        mass=mass,
        com=Vec3(*model.body_ipos[body]),
        inertia=Mat33(*(Vec3(*row) for row in inertia)),
        invMass=1.0 / mass if mass > 0.0 else 0.0,
        invInertia=Mat33(*(Vec3(*row) for row in inverse)),
    )


def _quaternion(rotation: np.ndarray) -> np.ndarray:
    """MuJoCo's w x y z."""
    quaternion = np.zeros(4)
    mujoco.mju_mat2Quat(quaternion, rotation.flatten())
    return quaternion
