"""What the velocity task asks of the ground: where to start, how high it is, who has left it, who moves on."""

from __future__ import annotations

from typing import Mapping, Protocol

import torch

from sim.terrain.grid import TerrainGrid


class Ground(Protocol):
    """The ground under N robots."""

    def may_be_soft(self) -> torch.Tensor:
        """Under which robots: (N,) bool, or a single one for all."""

    def start(self, rows: torch.Tensor) -> torch.Tensor:
        """Where the robots `rows` (R,) begin: (R, 3), a point on the ground [m]."""

    def height_at(self, place: torch.Tensor) -> torch.Tensor:
        """Height (...) [m] under (..., 3) [m], world frame."""

    def left(self, position: torch.Tensor) -> torch.Tensor:
        """(N,) bool, which robots at (N, 3) [m] have left the ground that they are to walk on."""

    def episodes_end(self, rows: torch.Tensor, fell: torch.Tensor, tracking: torch.Tensor) -> None:
        """Episodes of the robots `rows` (R,) are over: (R,) bool and mean tracking (R,), 1 is perfect."""

    def log(self) -> dict[str, torch.Tensor]:
        """What a curve may show."""

    def snapshot(self) -> dict[str, torch.Tensor]:
        """Copies of what has changed since the beginning."""

    def restore(self, snapshot: Mapping[str, torch.Tensor]) -> None:
        """Be as at the `snapshot` of such a ground."""


class FlatGround:
    """An endless plane at height zero."""

    def may_be_soft(self) -> torch.Tensor:
        return torch.tensor(True)

    def start(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(rows), 3)

    def height_at(self, place: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(place[..., 0])

    def left(self, position: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(position), dtype=torch.bool)

    def episodes_end(self, rows: torch.Tensor, fell: torch.Tensor, tracking: torch.Tensor) -> None:
        """Nothing changes."""

    def log(self) -> dict[str, torch.Tensor]:
        return {}

    def snapshot(self) -> dict[str, torch.Tensor]:
        return {}

    def restore(self, snapshot: Mapping[str, torch.Tensor]) -> None:
        """Nothing has changed."""


class TerrainGround:
    """A grid of tiles with a curriculum: each robot keeps its kind of ground and works its way up the levels.

    Who walks off its tile has left, for what it would track there says nothing of its own kind and level. legged_gym
    lets robots walk on, and promotes those that got further than half a tile; at the commands of the velocity task a
    seventh of all steps would then be on somebody else's ground.

    Attributes:
        level, kind: (N,) row and column of each robot's tile. Kinds are dealt out in turn; all robots start in the
            lower half of the levels.
    """

    def __init__(self, grid: TerrainGrid, num_envs: int, generator: torch.Generator) -> None:
        self._grid, self._generator = grid, generator
        levels, kinds = grid.centre_m.shape[:2]
        self.kind = torch.arange(num_envs) % kinds
        self.level = torch.randint(0, max(1, levels // 2), (num_envs,), generator=generator)

    def may_be_soft(self) -> torch.Tensor:
        return torch.tensor(self._grid.settings.level_ground)[self.kind]

    def start(self, rows: torch.Tensor) -> torch.Tensor:
        place = self._grid.centre_m[self.level[rows], self.kind[rows]]
        return torch.cat([place, self.height_at(place)[:, None]], dim=1)

    def height_at(self, place: torch.Tensor) -> torch.Tensor:
        return self._grid.field.height_at(place)

    def left(self, position: torch.Tensor) -> torch.Tensor:
        from_centre = position[:, :2] - self._grid.centre_m[self.level, self.kind]
        return (from_centre.abs() > 0.5 * self._grid.settings.tile_m).any(dim=1)

    def episodes_end(self, rows: torch.Tensor, fell: torch.Tensor, tracking: torch.Tensor) -> None:
        settings = self._grid.settings
        up = ~fell & (tracking >= settings.promoted_above)
        down = fell | (tracking < settings.demoted_below)
        level = (self.level[rows] + up.long() - down.long()).clamp(min=0)
        # Who has mastered the last level goes anywhere, so that nothing is unlearned.
        anywhere = torch.randint(0, settings.levels, (len(rows),), generator=self._generator)
        self.level[rows] = torch.where(level >= settings.levels, anywhere, level)

    def log(self) -> dict[str, torch.Tensor]:
        """Mean level of the robots on each kind of ground."""
        log: dict[str, torch.Tensor] = {}
        for kind in dict.fromkeys(self._grid.settings.kinds):
            columns = [column for column, name in enumerate(self._grid.settings.kinds) if name == kind]
            there = torch.isin(self.kind, torch.tensor(columns))
            if there.any():
                log[f"/level/{kind}"] = self.level[there].float().mean()
        return log

    def snapshot(self) -> dict[str, torch.Tensor]:
        return {"level": self.level.clone()}

    def restore(self, snapshot: Mapping[str, torch.Tensor]) -> None:
        self.level = snapshot["level"].clone()
