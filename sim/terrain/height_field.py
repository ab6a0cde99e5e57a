"""Heights over a regular grid, between its nodes the two triangles that MuJoCo makes of each cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence, Tuple

import numpy as np
import torch


@dataclass(frozen=True)
class Pad:
    """A level rectangle of the ground that may be soft, sides along x and y.

    Attributes:
        first_m, last_m: (x, y) of two opposite corners, both on nodes.
        height_m: of all nodes between and on them.
    """

    first_m: Tuple[float, float]
    last_m: Tuple[float, float]
    height_m: float = 0.0


class HeightField:
    """Ground as a function of place; beyond the edge, the height of the edge.

    Attributes:
        heights_m: (X, Y) [m], read-only.
        spacing_m: between two nodes, along x and along y [m].
        origin_m: (x, y) of the first node [m].
        pads: where the ground is no field but a level block, which may be soft (`sim.engines.mujoco_model`).
    """

    def __init__(
        self, heights_m: np.ndarray, spacing_m: float, origin_m: Tuple[float, float], pads: Sequence[Pad] = ()
    ) -> None:
        self.heights_m = np.array(heights_m, dtype=np.float32)
        self.heights_m.setflags(write=False)
        self.spacing_m, self.origin_m, self.pads = spacing_m, origin_m, tuple(pads)
        self._heights = torch.tensor(heights_m, dtype=torch.float32)

    @property
    def far_corner_m(self) -> Tuple[float, float]:
        """(x, y) of the last node [m]."""
        columns, rows = self.heights_m.shape
        return (
            self.origin_m[0] + (columns - 1) * self.spacing_m,
            self.origin_m[1] + (rows - 1) * self.spacing_m,
        )

    def inside(self, pad: Pad) -> Tuple[slice, slice]:
        """The nodes within a pad and not on its border."""
        first, last = self._node(pad.first_m), self._node(pad.last_m)
        return slice(first[0] + 1, last[0]), slice(first[1] + 1, last[1])

    def _node(self, place_m: Tuple[float, float]) -> Tuple[int, int]:
        x, y = place_m
        return round((x - self.origin_m[0]) / self.spacing_m), round((y - self.origin_m[1]) / self.spacing_m)

    def triangles(self) -> Tuple[np.ndarray, np.ndarray]:
        """The ground as a mesh: vertices (V, 3) [m] in the world, float32, and triangles (T, 3), uint32.

        Node (x, y) is vertex x * Y + y; triangles are those of `height_at`, anticlockwise seen from above.
        """
        columns, rows = self.heights_m.shape
        x = self.origin_m[0] + np.arange(columns) * self.spacing_m
        y = self.origin_m[1] + np.arange(rows) * self.spacing_m
        vertices = np.stack([*np.meshgrid(x, y, indexing="ij"), self.heights_m], axis=-1).reshape(-1, 3)
        node = np.arange(columns * rows, dtype=np.uint32).reshape(columns, rows)
        here, right = node[:-1, :-1].ravel(), node[1:, :-1].ravel()
        up, far = node[:-1, 1:].ravel(), node[1:, 1:].ravel()
        triangles = np.concatenate([np.stack([here, right, far], axis=1), np.stack([here, far, up], axis=1)])
        return vertices.astype(np.float32), triangles

    def height_at(self, place: torch.Tensor) -> torch.Tensor:
        """Height (...) [m] under places (..., 2 or more: x, y) [m] in the world.

        MuJoCo cuts a cell along the diagonal between its nodes of small x, small y and of large x, large y.
        """
        columns, rows = self._heights.shape
        x = ((place[..., 0] - self.origin_m[0]) / self.spacing_m).clamp(0.0, columns - 1.0)
        y = ((place[..., 1] - self.origin_m[1]) / self.spacing_m).clamp(0.0, rows - 1.0)
        column, row = x.long().clamp(max=columns - 2), y.long().clamp(max=rows - 2)
        u, v = x - column, y - row
        here, right = self._heights[column, row], self._heights[column + 1, row]
        up, far = self._heights[column, row + 1], self._heights[column + 1, row + 1]
        below_diagonal = here + u * (right - here) + v * (far - right)
        above_diagonal = here + v * (up - here) + u * (far - up)
        return torch.where(u >= v, below_diagonal, above_diagonal)
