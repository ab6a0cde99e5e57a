"""Vectors, quaternions and transforms of gymapi; a quaternion is x y z w, here as in all of Isaac Gym."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from sim.isaacgym_shim.numeric_fields import NumericFields


@dataclass(slots=True)
class Vec3(NumericFields):
    """Three numbers."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0

    def __add__(self, other: Vec3) -> Vec3:
        return Vec3(self.x + other.x, self.y + other.y, self.z + other.z)

    def __sub__(self, other: Vec3) -> Vec3:
        return Vec3(self.x - other.x, self.y - other.y, self.z - other.z)

    def __neg__(self) -> Vec3:
        return Vec3(-self.x, -self.y, -self.z)

    def __mul__(self, factor: float) -> Vec3:
        return Vec3(self.x * factor, self.y * factor, self.z * factor)

    def __truediv__(self, divisor: float) -> Vec3:
        return Vec3(self.x / divisor, self.y / divisor, self.z / divisor)

    def dot(self, other: Vec3) -> float:
        return self.x * other.x + self.y * other.y + self.z * other.z

    def cross(self, other: Vec3) -> Vec3:
        return Vec3(
            self.y * other.z - self.z * other.y,
            self.z * other.x - self.x * other.z,
            self.x * other.y - self.y * other.x,
        )

    def length_sq(self) -> float:
        return self.dot(self)

    def length(self) -> float:
        return math.sqrt(self.length_sq())

    def normalize(self) -> Vec3:
        return self / self.length()

    def array(self) -> np.ndarray:
        """(3,) float64; not part of Isaac Gym."""
        return np.array([self.x, self.y, self.z])


@dataclass(slots=True)
class Quat(NumericFields):
    """A rotation, x y z w."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    w: float = 1.0

    @staticmethod
    def from_axis_angle(axis: Vec3, angle_rad: float) -> Quat:
        unit, sine = axis.normalize(), math.sin(angle_rad / 2.0)
        return Quat(unit.x * sine, unit.y * sine, unit.z * sine, math.cos(angle_rad / 2.0))

    def __mul__(self, other: Quat) -> Quat:
        """Hamilton's product: the other rotation first, then this one."""
        u, v = Vec3(self.x, self.y, self.z), Vec3(other.x, other.y, other.z)
        vector = v * self.w + u * other.w + u.cross(v)
        return Quat(vector.x, vector.y, vector.z, self.w * other.w - u.dot(v))

    def inverse(self) -> Quat:
        return Quat(-self.x, -self.y, -self.z, self.w)

    def normalize(self) -> Quat:
        norm = math.sqrt(self.x**2 + self.y**2 + self.z**2 + self.w**2)
        return Quat(self.x / norm, self.y / norm, self.z / norm, self.w / norm)

    def rotate(self, vector: Vec3) -> Vec3:
        """v' = v + 2 u x (u x v + w v)."""
        u = Vec3(self.x, self.y, self.z)
        return vector + u.cross(u.cross(vector) + vector * self.w) * 2.0


@dataclass(slots=True)
class Transform:
    """A pose: position [m] and rotation."""

    p: Vec3 = field(default_factory=Vec3)
    r: Quat = field(default_factory=Quat)

    def transform_point(self, point: Vec3) -> Vec3:
        return self.r.rotate(point) + self.p

    def transform_vector(self, vector: Vec3) -> Vec3:
        return self.r.rotate(vector)

    def __mul__(self, other: Transform) -> Transform:
        """The other pose, seen through this one."""
        return Transform(self.transform_point(other.p), self.r * other.r)

    def inverse(self) -> Transform:
        back = self.r.inverse()
        return Transform(-back.rotate(self.p), back)


@dataclass(slots=True)
class Mat33:
    """A matrix by its rows."""

    x: Vec3 = field(default_factory=Vec3)
    y: Vec3 = field(default_factory=Vec3)
    z: Vec3 = field(default_factory=Vec3)

    def array(self) -> np.ndarray:
        """(3, 3) float64; not part of Isaac Gym."""
        return np.stack([self.x.array(), self.y.array(), self.z.array()])
