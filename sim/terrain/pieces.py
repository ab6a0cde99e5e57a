"""One tile of each kind of ground, as heights over its own square.

A piece is a function of x and y (n, n) [m] from the tile's centre, the difficulty in [0, 1], the settings and a random
generator; it returns heights (n, n) [m]. At the tile's edge it is at height zero but for bumps, so that tiles meet.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Callable, Dict

import numpy as np

if TYPE_CHECKING:  # the settings, in turn, take their kinds from `PIECES`
    from sim.terrain.settings import TerrainSettings

Piece = Callable[[np.ndarray, np.ndarray, float, "TerrainSettings", np.random.Generator], np.ndarray]


def _from_edge(x: np.ndarray, y: np.ndarray, settings: TerrainSettings) -> np.ndarray:
    """Distance [m] from the tile's edge towards the platform, where it ends to grow: a pyramid's outline."""
    from_centre = np.maximum(np.abs(x), np.abs(y))
    half = 0.5 * settings.tile_m
    return np.clip(half - from_centre, 0.0, half - settings.platform_m)


def flat(
    x: np.ndarray, y: np.ndarray, difficulty: float, settings: TerrainSettings, random: np.random.Generator
) -> np.ndarray:
    """Level ground."""
    return np.zeros_like(x)


def rough(
    x: np.ndarray, y: np.ndarray, difficulty: float, settings: TerrainSettings, random: np.random.Generator
) -> np.ndarray:
    """Bumps, uniform up to the level's height; the platform is level."""
    count = max(2, math.ceil(settings.tile_m / settings.rough_spacing_m) + 1)
    bumps = random.uniform(0.0, settings.rough_height_m * difficulty, (count, count))
    coarse = np.linspace(-0.5 * settings.tile_m, 0.5 * settings.tile_m, count)
    along_x = np.stack([np.interp(x[:, 0], coarse, column) for column in bumps.T], axis=1)
    heights = np.stack([np.interp(y[0], coarse, row) for row in along_x])
    return np.where(np.maximum(np.abs(x), np.abs(y)) <= settings.platform_m, 0.0, heights)


def slope_up(
    x: np.ndarray, y: np.ndarray, difficulty: float, settings: TerrainSettings, random: np.random.Generator
) -> np.ndarray:
    """A pyramid with a platform on top."""
    return math.tan(settings.slope_rad * difficulty) * _from_edge(x, y, settings)


def slope_down(
    x: np.ndarray, y: np.ndarray, difficulty: float, settings: TerrainSettings, random: np.random.Generator
) -> np.ndarray:
    """A pit with its platform at the bottom: robots that start there climb."""
    return -slope_up(x, y, difficulty, settings, random)


def steps_up(
    x: np.ndarray, y: np.ndarray, difficulty: float, settings: TerrainSettings, random: np.random.Generator
) -> np.ndarray:
    """Stairs from all sides up to the platform."""
    # A hair more than the quotient: it must not fall below a whole number by rounding.
    step = np.floor(_from_edge(x, y, settings) / settings.step_width_m + 1e-6)
    return settings.step_height_m * difficulty * step


def steps_down(
    x: np.ndarray, y: np.ndarray, difficulty: float, settings: TerrainSettings, random: np.random.Generator
) -> np.ndarray:
    """Stairs from all sides down to the platform."""
    return -steps_up(x, y, difficulty, settings, random)


def gaps(
    x: np.ndarray, y: np.ndarray, difficulty: float, settings: TerrainSettings, random: np.random.Generator
) -> np.ndarray:
    """Square trenches around the platform, deeper with every level and wider where the field can show it.

    Their walls take one cell each, so that the narrowest trench has one node at its bottom.
    """
    outwards = np.rint((np.maximum(np.abs(x), np.abs(y)) - settings.platform_m) / settings.spacing_m)
    period = round(settings.gap_distance_m / settings.spacing_m)
    bottom = max(1, round(settings.gap_width_m * difficulty / settings.spacing_m) - 1)
    trench = (outwards > 0) & (np.mod(outwards, period) >= period - bottom)
    return np.where(trench, -settings.gap_depth_m * difficulty, 0.0)


PIECES: Dict[str, Piece] = {
    "flat": flat,
    "rough": rough,
    "slope_up": slope_up,
    "slope_down": slope_down,
    "steps_up": steps_up,
    "steps_down": steps_down,
    "gaps": gaps,
}
