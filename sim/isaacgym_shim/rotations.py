"""Batched quaternion algebra between MuJoCo's order (w x y z) and Isaac Gym's (x y z w); NumPy, any leading shape."""

from __future__ import annotations

import numpy as np


def to_xyzw(quaternion: np.ndarray) -> np.ndarray:
    """(..., 4) w x y z to x y z w."""
    return np.roll(quaternion, -1, axis=-1)


def to_wxyz(quaternion: np.ndarray) -> np.ndarray:
    """(..., 4) x y z w to w x y z."""
    return np.roll(quaternion, 1, axis=-1)


def rotate(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Body vectors (..., 3) in world axes; quaternion (..., 4) w x y z: v + 2 u x (u x v + w v)."""
    w, u = quaternion[..., :1], quaternion[..., 1:]
    return vector + 2.0 * np.cross(u, np.cross(u, vector) + w * vector)


def rotate_inverse(quaternion: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """World vectors (..., 3) in body axes."""
    w, u = quaternion[..., :1], -quaternion[..., 1:]
    return vector + 2.0 * np.cross(u, np.cross(u, vector) + w * vector)
