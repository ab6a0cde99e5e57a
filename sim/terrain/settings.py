"""What terrain there is, how hard it gets, and how robots come from one level to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Tuple

from robot_configs.errors import Go1Error
from sim.terrain.pieces import PIECES

KINDS = tuple(PIECES)


_AT_LEAST_ZERO = ("platform_m", "rough_height_m", "slope_rad", "step_height_m", "gap_width_m", "gap_depth_m")


class TerrainError(Go1Error):
    """Terrain that can not be made as asked."""


@dataclass(frozen=True)
class TerrainSettings:
    """A grid of square tiles: one column a kind, one row a level from nearly flat to the hardest.

    Attributes:
        kinds: of `KINDS`; one may occur several times, to be met more often.
        levels: rows of the grid.
        tile_m: edge of a tile. border_m: level ground around the grid.
        spacing_m: between two heights; tile_m, border_m and gap_distance_m are whole multiples of it.
        platform_m: half edge of the level square in the middle of every tile, where robots start.
        rough_height_m: largest height of the bumps at the hardest level; they are rough_spacing_m apart.
        slope_rad: inclination at the hardest level.
        step_height_m: rise of a step at the hardest level; each is step_width_m deep.
        gap_width_m, gap_depth_m: of a trench at the hardest level, from brim to brim; one every gap_distance_m.
        promoted_above, demoted_below: mean tracking of an episode, 1 is perfect, that moves a robot one level up or
            down; a fall always moves it down. From the last level robots come to a random one.
    """

    kinds: Tuple[str, ...] = KINDS
    levels: int = 6
    tile_m: float = 8.0
    border_m: float = 6.0
    spacing_m: float = 0.1
    platform_m: float = 0.6
    rough_height_m: float = 0.06
    rough_spacing_m: float = 0.2
    slope_rad: float = 0.30
    step_height_m: float = 0.10
    step_width_m: float = 0.4
    gap_width_m: float = 0.3
    gap_depth_m: float = 0.3
    gap_distance_m: float = 1.0
    promoted_above: float = 0.7
    demoted_below: float = 0.4

    @property
    def level_ground(self) -> Tuple[bool, ...]:
        """For each kind, whether its tiles are level, and may be soft."""
        return tuple(kind == "flat" for kind in self.kinds)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.kinds) - set(KINDS))
        if unknown or not self.kinds:
            raise TerrainError(f"kinds among {', '.join(KINDS)}", ", ".join(unknown) or "none", "Correct `kinds`.")
        lengths = (self.tile_m, self.spacing_m, self.rough_spacing_m, self.step_width_m, self.gap_distance_m)
        if min(lengths) <= 0.0 or self.levels < 1 or 2.0 * self.platform_m >= self.tile_m:
            raise TerrainError("lengths above zero and a platform within its tile", repr(self), "Correct them.")
        self._check_spacing()
        for name in (*_AT_LEAST_ZERO, "border_m"):
            if not getattr(self, name) >= 0.0:
                raise TerrainError(f"{name} of at least zero", f"{getattr(self, name):g}", "Correct it.")
        if not self.demoted_below < self.promoted_above:
            found = f"{self.demoted_below:g} and {self.promoted_above:g}"
            raise TerrainError("demoted_below < promoted_above", found, "Let a robot stay somewhere.")

    def _check_spacing(self) -> None:
        """The grid is laid in whole cells: what is no multiple of one would come out longer or shorter than it says."""
        for name in ("tile_m", "border_m", "gap_distance_m"):
            cells = getattr(self, name) / self.spacing_m
            if not abs(cells - round(cells)) < 1e-6:
                found = f"{getattr(self, name):g} / {self.spacing_m:g} = {cells:g}"
                raise TerrainError(f"{name} in whole multiples of spacing_m", found, "Change one of the two.")
