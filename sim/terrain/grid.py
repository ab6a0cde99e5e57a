"""The tiles of all kinds and levels in one height field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from sim.terrain.height_field import HeightField, Pad
from sim.terrain.pieces import PIECES
from sim.terrain.settings import TerrainSettings


@dataclass(frozen=True, eq=False)
class TerrainGrid:
    """Levels lie along x, kinds along y; the first tile's centre is half a tile from the origin.

    Attributes:
        settings: what it was made of.
        field: all heights, the border included.
        centre_m: (levels, kinds, 2), x and y of each tile's centre [m].
    """

    settings: TerrainSettings
    field: HeightField
    centre_m: torch.Tensor


def build_grid(settings: TerrainSettings, seed: int) -> TerrainGrid:
    """The same settings and seed give the same ground."""
    random = np.random.default_rng(seed)
    cells = round(settings.tile_m / settings.spacing_m)
    border = round(settings.border_m / settings.spacing_m)
    kinds = len(settings.kinds)
    heights = np.zeros((settings.levels * cells + 2 * border + 1, kinds * cells + 2 * border + 1))
    # Without the last node, which is the first of the next tile.
    along = np.arange(cells) * settings.spacing_m - 0.5 * settings.tile_m
    x, y = np.meshgrid(along, along, indexing="ij")
    for level in range(settings.levels):
        for column, kind in enumerate(settings.kinds):
            first_x, first_y = border + level * cells, border + column * cells
            piece = PIECES[kind](x, y, (level + 1) / settings.levels, settings, random)
            heights[first_x : first_x + cells, first_y : first_y + cells] = piece
    origin = -border * settings.spacing_m
    middle_x = (torch.arange(settings.levels) + 0.5) * settings.tile_m
    middle_y = (torch.arange(kinds) + 0.5) * settings.tile_m
    centres = torch.stack(torch.meshgrid(middle_x, middle_y, indexing="ij"), dim=-1)
    length = settings.levels * settings.tile_m
    pads = [
        Pad((0.0, column * settings.tile_m), (length, (column + 1) * settings.tile_m))
        for column, level in enumerate(settings.level_ground)
        if level
    ]
    field = HeightField(heights, settings.spacing_m, (origin, origin), pads)
    return TerrainGrid(settings, field, centres)
