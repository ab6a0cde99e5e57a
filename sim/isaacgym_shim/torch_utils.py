"""`isaacgym.torch_utils`: batched rotations (quaternions x y z w), random numbers and small helpers.

Programs import everything from here by `*`, so that `__all__` is part of the interface.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from sim.isaacgym_shim.errors import refuse_name

__all__ = [
    "copysign",
    "get_axis_params",
    "get_basis_vector",
    "get_euler_xyz",
    "normalize",
    "normalize_angle",
    "quat_apply",
    "quat_axis",
    "quat_conjugate",
    "quat_from_angle_axis",
    "quat_from_euler_xyz",
    "quat_mul",
    "quat_rotate",
    "quat_rotate_inverse",
    "quat_unit",
    "scale",
    "tensor_clamp",
    "tf_apply",
    "tf_combine",
    "tf_inverse",
    "tf_vector",
    "to_torch",
    "torch_rand_float",
    "torch_random_dir_2",
    "unscale",
]


def to_torch(
    x: Any, dtype: torch.dtype = torch.float, device: str | torch.device = "cuda:0", requires_grad: bool = False
) -> Tensor:
    """Numbers as a tensor; the device's default is Isaac Gym's, so that callers name theirs."""
    return torch.tensor(x, dtype=dtype, device=device, requires_grad=requires_grad)


def quat_mul(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton product (..., 4): rotation b first, then a."""
    if a.shape != b.shape:
        raise ValueError(f"expected quaternions of one shape; found {tuple(a.shape)} and {tuple(b.shape)}")
    u, v, s, t = a[..., :3], b[..., :3], a[..., 3:], b[..., 3:]
    vector = s * v + t * u + torch.cross(u, v, dim=-1)
    return torch.cat([vector, s * t - (u * v).sum(-1, keepdim=True)], dim=-1)


def normalize(x: Tensor, eps: float = 1e-9) -> Tensor:
    """Vectors (..., n) of length one; those shorter than eps stay short."""
    return x / x.norm(dim=-1, keepdim=True).clamp(min=eps)


def quat_unit(a: Tensor) -> Tensor:
    return normalize(a)


def quat_conjugate(a: Tensor) -> Tensor:
    return torch.cat([-a[..., :3], a[..., 3:]], dim=-1)


def quat_apply(a: Tensor, b: Tensor) -> Tensor:
    """Rotate vectors b (..., 3) by quaternions a, of as many rows or a view of them; the result has b's shape."""
    quaternion, vector = a.reshape(-1, 4), b.reshape(-1, 3)
    return _rotate(quaternion, vector).view(b.shape)


def quat_rotate(q: Tensor, v: Tensor) -> Tensor:
    """Rotate (N, 3) by (N, 4)."""
    return _rotate(q, v)


def quat_rotate_inverse(q: Tensor, v: Tensor) -> Tensor:
    """Rotate (N, 3) by the inverses of (N, 4): world vectors into the frames that the quaternions turn."""
    return _rotate(quat_conjugate(q), v)


def _rotate(quaternion: Tensor, vector: Tensor) -> Tensor:
    u, w = quaternion[..., :3], quaternion[..., 3:]
    return vector + 2.0 * torch.cross(u, torch.cross(u, vector, dim=-1) + w * vector, dim=-1)


def quat_axis(q: Tensor, axis: int = 0) -> Tensor:
    """Where quaternions (N, 4) turn a base axis to."""
    return _rotate(q, torch.eye(3, dtype=q.dtype, device=q.device)[axis].expand(len(q), 3))


def quat_from_angle_axis(angle: Tensor, axis: Tensor) -> Tensor:
    """Quaternions (N, 4) of angles (N,) [rad] about axes (N, 3) of any length."""
    half = (angle / 2.0).unsqueeze(-1)
    return quat_unit(torch.cat([normalize(axis) * half.sin(), half.cos()], dim=-1))


def quat_from_euler_xyz(roll: Tensor, pitch: Tensor, yaw: Tensor) -> Tensor:
    """Turned about x, then the world's y, then the world's z [rad]."""
    axes = torch.eye(3, dtype=roll.dtype, device=roll.device)

    def about(angle: Tensor, axis: int) -> Tensor:
        half = (angle / 2.0).unsqueeze(-1)
        return torch.cat([half.sin() * axes[axis], half.cos()], dim=-1)

    return quat_mul(about(yaw, 2), quat_mul(about(pitch, 1), about(roll, 0)))


def get_euler_xyz(q: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Roll, pitch and yaw (N,), each from 0 to 2 pi, as in Isaac Gym."""
    x, y, z, w = q.unbind(-1)
    roll = torch.atan2(2.0 * (w * x + y * z), 1.0 - 2.0 * (x * x + y * y))
    pitch = torch.asin((2.0 * (w * y - z * x)).clamp(-1.0, 1.0))
    yaw = torch.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
    turn = 2.0 * math.pi
    return roll % turn, pitch % turn, yaw % turn


def normalize_angle(x: Tensor) -> Tensor:
    """The same angle between -pi and pi."""
    return torch.atan2(torch.sin(x), torch.cos(x))


def tf_inverse(q: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    back = quat_conjugate(q)
    return back, -quat_apply(back, t)


def tf_apply(q: Tensor, t: Tensor, v: Tensor) -> Tensor:
    return quat_apply(q, v) + t


def tf_vector(q: Tensor, v: Tensor) -> Tensor:
    return quat_apply(q, v)


def tf_combine(q1: Tensor, t1: Tensor, q2: Tensor, t2: Tensor) -> tuple[Tensor, Tensor]:
    """The second transform, seen through the first."""
    return quat_mul(q1, q2), tf_apply(q1, t1, t2)


def get_basis_vector(q: Tensor, v: Tensor) -> Tensor:
    return quat_rotate(q, v)


def get_axis_params(
    value: float, axis_idx: int, x_value: float = 0.0, dtype: type = float, n_dims: int = 3
) -> list[float]:
    """A vector with `value` on one axis, and `x_value` on the first."""
    if not 0 <= axis_idx < n_dims:
        raise ValueError(f"expected an axis below {n_dims}; found {axis_idx}")
    vector = [0.0] * n_dims
    vector[0] = x_value
    vector[axis_idx] = value
    return np.array(vector, dtype=dtype).tolist()


def torch_rand_float(lower: Any, upper: Any, shape: Sequence[int], device: str | torch.device) -> Tensor:
    """Uniform numbers of a shape."""
    return (upper - lower) * torch.rand(*shape, device=device) + lower


def torch_random_dir_2(shape: Sequence[int], device: str | torch.device) -> Tensor:
    """Random unit vectors of the plane; `shape` is that of their angles."""
    angle = torch_rand_float(-math.pi, math.pi, shape, device).squeeze(-1)
    return torch.stack([angle.cos(), angle.sin()], dim=-1)


def tensor_clamp(t: Tensor, min_t: Tensor, max_t: Tensor) -> Tensor:
    return torch.maximum(torch.minimum(t, max_t), min_t)


def scale(x: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """From [-1, 1] to [lower, upper]."""
    return 0.5 * (x + 1.0) * (upper - lower) + lower


def unscale(x: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """From [lower, upper] to [-1, 1]."""
    return (2.0 * x - upper - lower) / (upper - lower)


def copysign(a: float, b: Tensor) -> Tensor:
    """|a| with the signs of b."""
    return torch.copysign(torch.full_like(b, a), b)


def __getattr__(name: str) -> NoReturn:
    refuse_name("torch_utils", name)
