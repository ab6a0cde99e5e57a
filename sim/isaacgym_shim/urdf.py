"""Reads a URDF into a tree of links, fixed joints merged where Isaac Gym would merge them."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from sim.isaacgym_shim.errors import IsaacGymShimError, UnsupportedCallError

MOVING_JOINTS = ("revolute", "continuous", "prismatic")


@dataclass(frozen=True, eq=False)
class Pose:
    """A frame in its parent's: position (3,) [m] and rotation matrix (3, 3)."""

    position: np.ndarray
    rotation: np.ndarray

    def of(self, inner: Pose) -> Pose:
        """A pose given in this frame, in this frame's parent."""
        return Pose(self.position + self.rotation @ inner.position, self.rotation @ inner.rotation)


@dataclass(frozen=True, eq=False)
class Inertia:
    """Mass [kg], centre of mass (3,) [m] and inertia about it (3, 3) [kg m^2], in the link's frame."""

    mass: float
    center: np.ndarray
    matrix: np.ndarray

    def seen_from(self, pose: Pose) -> Inertia:
        """The same body in the frame that `pose` is given in."""
        center = pose.position + pose.rotation @ self.center
        return Inertia(self.mass, center, pose.rotation @ self.matrix @ pose.rotation.T)

    def joined_with(self, other: Inertia) -> Inertia:
        """Both bodies as one; inertias move to the common centre by Steiner's theorem."""
        mass = self.mass + other.mass
        center = (self.mass * self.center + other.mass * other.center) / mass
        return Inertia(mass, center, self._about(center) + other._about(center))

    def _about(self, point: np.ndarray) -> np.ndarray:
        arm = self.center - point
        return self.matrix + self.mass * (arm @ arm * np.eye(3) - np.outer(arm, arm))


@dataclass(frozen=True, eq=False)
class Shape:
    """A collision shape; `size` as URDF has it: box edges, sphere (radius,), cylinder (radius, length), mesh scale."""

    kind: str
    size: tuple[float, ...]
    pose: Pose
    file: str = ""


@dataclass(frozen=True)
class Joint:
    """What a joint's element says; limits in rad or m, effort in Nm or N, velocity in rad/s or m/s."""

    name: str
    kind: str
    axis: tuple[float, ...]
    lower: float
    upper: float
    effort: float
    velocity: float
    damping: float
    friction: float
    may_collapse: bool


@dataclass(eq=False)
class Link:
    """A link with the joint that carries it (None at the root), its frame in its parent's, and its children."""

    name: str
    pose: Pose
    joint: Joint | None
    inertia: Inertia | None
    shapes: list[Shape]
    children: list[Link] = field(default_factory=list)

    @property
    def merges(self) -> bool:
        return self.joint is not None and self.joint.kind == "fixed" and self.joint.may_collapse


def read_urdf(path: Path, collapse_fixed_joints: bool) -> Link:
    """The root link of a URDF.

    Siblings are sorted by name: Isaac Gym numbers bodies and degrees of freedom depth first with siblings in
    alphabetical order, which is why its Go1 has its legs as FL, FR, RL, RR whatever the file's order.
    """
    robot = ElementTree.parse(path).getroot()
    joints = {_child(joint, "child").get("link", ""): joint for joint in robot.findall("joint")}
    parents = {name: _child(joint, "parent").get("link", "") for name, joint in joints.items()}
    links = {link.get("name", ""): _link(link, joints.get(link.get("name", ""))) for link in robot.findall("link")}
    roots = [name for name in links if name not in parents]
    if len(roots) != 1:
        raise IsaacGymShimError(f"one root link in {path}", f"{len(roots)}: {roots}", "Join the links to one tree.")
    for name in sorted(parents):
        links[parents[name]].children.append(links[name])
    root = links[roots[0]]
    return _collapsed(root) if collapse_fixed_joints else root


def _link(element: ElementTree.Element, joint: ElementTree.Element | None) -> Link:
    pose = _pose(joint) if joint is not None else Pose(np.zeros(3), np.eye(3))
    shapes = [_shape(collision) for collision in element.findall("collision")]
    return Link(element.get("name", ""), pose, _joint(joint), _inertia(element.find("inertial")), shapes)


def _joint(element: ElementTree.Element | None) -> Joint | None:
    if element is None:
        return None
    kind, name = element.get("type", ""), element.get("name", "")
    if kind not in (*MOVING_JOINTS, "fixed"):
        raise UnsupportedCallError(f"the {kind} joint {name}", f"The shim has {', '.join(MOVING_JOINTS)} and fixed.")
    axis, limit, dynamics = (element.find(tag) for tag in ("axis", "limit", "dynamics"))

    def number(source: ElementTree.Element | None, key: str, default: float) -> float:
        return default if source is None else float(source.get(key, default))

    bounded = kind in ("revolute", "prismatic")
    return Joint(
        name=name,
        kind=kind,
        axis=_numbers(axis.get("xyz", "1 0 0")) if axis is not None else (1.0, 0.0, 0.0),
        lower=number(limit, "lower", 0.0) if bounded else -np.inf,
        upper=number(limit, "upper", 0.0) if bounded else np.inf,
        effort=number(limit, "effort", np.inf),
        velocity=number(limit, "velocity", np.inf),
        damping=number(dynamics, "damping", 0.0),
        friction=number(dynamics, "friction", 0.0),
        may_collapse=element.get("dont_collapse", "false") != "true",
    )


def _inertia(element: ElementTree.Element | None) -> Inertia | None:
    if element is None:
        return None
    pose = _pose(element)
    entry = {key: float(value) for key, value in _child(element, "inertia").attrib.items()}
    matrix = np.array([[entry["i" + "".join(sorted(a + b))] for b in "xyz"] for a in "xyz"])
    mass = float(_child(element, "mass").get("value", "nan"))
    return Inertia(mass, np.zeros(3), matrix).seen_from(pose)


def _shape(element: ElementTree.Element) -> Shape:
    geometry = _child(element, "geometry")[0]
    pose, kind = _pose(element), geometry.tag
    if kind == "box":
        return Shape(kind, _numbers(geometry.get("size", "")), pose)
    if kind == "sphere":
        return Shape(kind, (float(geometry.get("radius", "nan")),), pose)
    if kind in ("cylinder", "capsule"):
        return Shape(kind, (float(geometry.get("radius", "nan")), float(geometry.get("length", "nan"))), pose)
    if kind == "mesh":
        return Shape(kind, _numbers(geometry.get("scale", "1 1 1")), pose, geometry.get("filename", ""))
    raise UnsupportedCallError(f"the collision geometry <{kind}>", "Use box, sphere, cylinder, capsule or mesh.")


def _pose(element: ElementTree.Element) -> Pose:
    origin = element.find("origin")
    if origin is None:
        return Pose(np.zeros(3), np.eye(3))
    position, angles = _numbers(origin.get("xyz", "0 0 0")), _numbers(origin.get("rpy", "0 0 0"))
    return Pose(np.array(position), rotation_of_roll_pitch_yaw(angles))


def rotation_of_roll_pitch_yaw(angles: tuple[float, ...]) -> np.ndarray:
    """(3, 3) from URDF's fixed-axis angles [rad]: about x, then y, then z."""
    (cr, cp, cy), (sr, sp, sy) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def _collapsed(link: Link) -> Link:
    """The tree without the links that fixed joints hold, unless their joint says dont_collapse="true"."""
    children: list[Link] = []
    for child in map(_collapsed, link.children):
        if not child.merges:
            children.append(child)
            continue
        link.shapes += [replace(shape, pose=child.pose.of(shape.pose)) for shape in child.shapes]
        if child.inertia is not None:
            moved = child.inertia.seen_from(child.pose)
            link.inertia = moved if link.inertia is None else link.inertia.joined_with(moved)
        for grandchild in child.children:
            grandchild.pose = child.pose.of(grandchild.pose)
            children.append(grandchild)
    link.children = sorted(children, key=lambda child: child.name)
    return link


def _child(element: ElementTree.Element, tag: str) -> ElementTree.Element:
    child = element.find(tag)
    if child is None:
        place = f"<{element.tag} name={element.get('name')!r}>"
        raise IsaacGymShimError(f"a <{tag}> in {place}", "none", "Complete the URDF.")
    return child


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(float(word) for word in text.split())
