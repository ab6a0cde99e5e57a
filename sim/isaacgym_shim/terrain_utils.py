"""`isaacgym.terrain_utils`: pieces of terrain as integer height fields, and their conversion into a triangle mesh.

Random terrain comes from NumPy's global generator, which is the one that programs written for Isaac Gym seed.
"""
# ruff: noqa: NPY002

from __future__ import annotations

from typing import NoReturn

import numpy as np

from sim.isaacgym_shim.errors import refuse_name


class SubTerrain:
    """A rectangle of ground.

    Attributes:
        height_field_raw: (width, length) int16, in units of `vertical_scale` [m]; `horizontal_scale` [m] from sample
            to sample.
    """

    def __init__(
        self,
        terrain_name: str = "terrain",
        width: int = 256,
        length: int = 256,
        vertical_scale: float = 1.0,
        horizontal_scale: float = 1.0,
    ) -> None:
        self.terrain_name = terrain_name
        self.width = width
        self.length = length
        self.vertical_scale = vertical_scale
        self.horizontal_scale = horizontal_scale
        self.height_field_raw = np.zeros((width, length), dtype=np.int16)

    def units(self, height_m: float) -> int:
        """A height in units of the samples; not part of Isaac Gym."""
        return int(height_m / self.vertical_scale)

    def samples(self, distance_m: float) -> int:
        """A distance in samples; not part of Isaac Gym."""
        return int(distance_m / self.horizontal_scale)

    def flatten_middle(self, size_m: float, height: int) -> None:
        """A square platform in the middle; not part of Isaac Gym."""
        half = self.samples(size_m / 2.0)
        middle = np.s_[
            self.width // 2 - half : self.width // 2 + half, self.length // 2 - half : self.length // 2 + half
        ]
        self.height_field_raw[middle] = height


def random_uniform_terrain(
    terrain: SubTerrain, min_height: float, max_height: float, step: float = 1.0, downsampled_scale: float | None = None
) -> SubTerrain:
    """Add heights drawn uniformly, in multiples of `step`, on a coarser grid [m] with planes between its samples."""
    coarse_m = terrain.horizontal_scale if downsampled_scale is None else downsampled_scale
    levels = np.arange(terrain.units(min_height), terrain.units(max_height) + 1, max(1, terrain.units(step)))
    extent = np.array(terrain.height_field_raw.shape) * terrain.horizontal_scale
    coarse = np.random.choice(levels, tuple(np.maximum(2, (extent / coarse_m).astype(int))))
    fine_x, fine_y = (
        np.linspace(0.0, coarse.shape[axis] - 1.0, terrain.height_field_raw.shape[axis]) for axis in (0, 1)
    )
    along_x = np.stack([np.interp(fine_x, np.arange(len(column)), column) for column in coarse.T], axis=1)
    fine = np.stack([np.interp(fine_y, np.arange(len(row)), row) for row in along_x])
    terrain.height_field_raw += np.rint(fine).astype(np.int16)
    return terrain


def sloped_terrain(terrain: SubTerrain, slope: float = 1.0) -> SubTerrain:
    """Add a plane that rises along x."""
    rise = slope * terrain.horizontal_scale / terrain.vertical_scale
    terrain.height_field_raw += np.rint(rise * np.arange(terrain.width))[:, None].astype(np.int16)
    return terrain


def pyramid_sloped_terrain(terrain: SubTerrain, slope: float = 1.0, platform_size: float = 1.0) -> SubTerrain:
    """Add a pyramid, or for a negative slope its pit, cut off at the height of its platform's edge."""
    rise = int(slope * (terrain.horizontal_scale / terrain.vertical_scale) * (terrain.width / 2.0))
    share_x, share_y = (
        1.0 - np.abs(size // 2 - np.arange(size)) / (size // 2) for size in (terrain.width, terrain.length)
    )
    pyramid = (rise * np.outer(share_x, share_y)).astype(np.int16)
    half = terrain.samples(platform_size / 2.0)
    edge = pyramid[terrain.width // 2 - half, terrain.length // 2 - half]
    terrain.height_field_raw += np.clip(pyramid, min(edge, 0), max(edge, 0))
    return terrain


def wave_terrain(terrain: SubTerrain, num_waves: int = 1, amplitude: float = 1.0) -> SubTerrain:
    """Add sines along x and y of half the amplitude each."""
    half = int(0.5 * amplitude / terrain.vertical_scale)
    if num_waves > 0:
        period = terrain.length / num_waves
        x = np.sin(2.0 * np.pi * np.arange(terrain.width) / period)
        y = np.cos(2.0 * np.pi * np.arange(terrain.length) / period)
        terrain.height_field_raw += (half * (x[:, None] + y[None, :])).astype(np.int16)
    return terrain


def stairs_terrain(terrain: SubTerrain, step_width: float, step_height: float) -> SubTerrain:
    """Add stairs along x."""
    stair = np.arange(terrain.width) // max(1, terrain.samples(step_width)) + 1
    terrain.height_field_raw += (stair * terrain.units(step_height))[:, None].astype(np.int16)
    return terrain


def pyramid_stairs_terrain(
    terrain: SubTerrain, step_width: float, step_height: float, platform_size: float = 1.0
) -> SubTerrain:
    """Stairs from all four sides up, or for a negative height down, to a platform."""
    tread, rise, platform = terrain.samples(step_width), terrain.units(step_height), terrain.samples(platform_size)
    inset, height = 0, 0
    while min(terrain.width, terrain.length) - 2 * inset > platform:
        inset, height = inset + tread, height + rise
        terrain.height_field_raw[inset : terrain.width - inset, inset : terrain.length - inset] = height
    return terrain


def discrete_obstacles_terrain(
    terrain: SubTerrain, max_height: float, min_size: float, max_size: float, num_rects: int, platform_size: float = 1.0
) -> SubTerrain:
    """Blocks and pits of half and full height at random places, and a platform on ground level."""
    full, small, large = terrain.units(max_height), terrain.samples(min_size), terrain.samples(max_size)
    for _ in range(num_rects):
        width, length = (np.random.choice(np.arange(small, large, 4)) for _ in range(2))
        x = np.random.choice(np.arange(0, terrain.width - width, 4))
        y = np.random.choice(np.arange(0, terrain.length - length, 4))
        height = np.random.choice([-full, -full // 2, full // 2, full])
        terrain.height_field_raw[x : x + width, y : y + length] = height
    terrain.flatten_middle(platform_size, 0)
    return terrain


def stepping_stones_terrain(
    terrain: SubTerrain,
    stone_size: float,
    stone_distance: float,
    max_height: float,
    platform_size: float = 1.0,
    depth: float = -10.0,
) -> SubTerrain:
    """Square stones over a depth, rows shifted at random, and a platform."""
    size, gap = terrain.samples(stone_size), terrain.samples(stone_distance)
    highest = terrain.units(max_height)
    levels = np.arange(-highest - 1, highest, 1) if highest > 0 else np.array([0])
    terrain.height_field_raw[:] = terrain.units(depth)
    for x in range(0, terrain.width, size + gap):
        shift = np.random.randint(0, max(1, size))
        for y in range(-shift, terrain.length, size + gap):
            stone = np.s_[x : x + size, max(0, y) : max(0, y + size)]
            terrain.height_field_raw[stone] = np.random.choice(levels)
    terrain.flatten_middle(platform_size, 0)
    return terrain


def convert_heightfield_to_trimesh(
    height_field_raw: np.ndarray, horizontal_scale: float, vertical_scale: float, slope_threshold: float | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Two triangles a cell.

    Args:
        slope_threshold: where the ground is steeper, its lower vertex moves under the higher one: a vertical wall.

    Returns:
        Vertices (V, 3) float32 [m], sample (i, j) as number i * columns + j, and triangles (T, 3) uint32.
    """
    rows, columns = height_field_raw.shape
    x, y = np.meshgrid(
        np.arange(rows) * horizontal_scale, np.arange(columns) * horizontal_scale, indexing="ij", copy=True
    )
    heights = height_field_raw.astype(np.int64)
    if slope_threshold is not None:
        steep = slope_threshold * horizontal_scale / vertical_scale
        x += horizontal_scale * _towards_higher(heights, steep, axis=0)
        y += horizontal_scale * _towards_higher(heights, steep, axis=1)
    vertices = np.stack([x, y, heights * vertical_scale], axis=-1).reshape(-1, 3).astype(np.float32)
    corner = np.arange(rows * columns).reshape(rows, columns)
    low, right = corner[:-1, :-1].ravel(), corner[:-1, 1:].ravel()
    up, far = corner[1:, :-1].ravel(), corner[1:, 1:].ravel()
    triangles = np.concatenate([np.stack([low, far, right], 1), np.stack([low, up, far], 1)])
    return vertices, triangles.astype(np.uint32)


def _towards_higher(heights: np.ndarray, steep: float, axis: int) -> np.ndarray:
    """+1 or -1 where the next or the previous sample along an axis is higher by more than `steep`; 0 where both are."""
    rise = np.diff(heights, axis=axis) > steep
    fall = np.diff(heights, axis=axis) < -steep
    none = np.zeros_like(rise[:1] if axis == 0 else rise[:, :1])
    next_is_higher = np.concatenate([rise, none], axis=axis)
    previous_is_higher = np.concatenate([none, fall], axis=axis)
    return next_is_higher.astype(int) - previous_is_higher.astype(int)


def __getattr__(name: str) -> NoReturn:
    refuse_name("terrain_utils", name)
