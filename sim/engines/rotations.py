"""Rotations of batched vectors by quaternions trunk-in-world, w x y z."""

from __future__ import annotations

import torch


def trunk_to_world(orientation: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """Rotate trunk vectors (..., 3) into the world by (..., 4): v' = v + 2 u x (u x v + w v)."""
    w, u = orientation[..., :1], orientation[..., 1:]
    return vector + 2.0 * torch.cross(u, torch.cross(u, vector, dim=-1) + w * vector, dim=-1)


def world_to_trunk(orientation: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
    """Rotate world vectors (..., 3) into trunk frames (..., 4): the same with the conjugate's u."""
    return trunk_to_world(torch.cat([orientation[..., :1], -orientation[..., 1:]], dim=-1), vector)
