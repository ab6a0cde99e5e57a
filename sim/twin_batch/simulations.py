"""N MuJoCo simulations of one condition on mjbatch, one row a robot, whether or not they share their ground."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence

import numpy as np
from mjbatch import Batch

from robot_configs.robot import RobotModel
from robot_configs.twin_conditions import TwinCondition
from sim.divergence import diverged, divergence
from sim.twin.foot_drag import FootDrag
from sim.twin.world import build_model, roll_terrain

_GROUNDS = 8  # bumps are a matter of the model, and each needs its own: 0.6 MB, and a round of the thread pool a step
_DERIVED = ("sensordata", "site_xpos", "geom_xpos")


@dataclass(frozen=True, eq=False)
class _Ground:
    """Robots `rows` that walk on one ground, and mjbatch's live views of them by MuJoCo's names."""

    rows: slice
    batch: Batch
    views: dict[str, np.ndarray]


class Simulations:
    """Physics of N robots on the twin's model.

    Args:
        generators: one a robot. On rough ground each draws bumps, as the twin does first of all, and robots are put
            together on the ground of the first of them: at most 8 grounds a batch.
        threads: of mjbatch; 0 takes every core. The result does not depend on it.
    """

    def __init__(
        self, condition: TwinCondition, robot: RobotModel, generators: Sequence[np.random.Generator], threads: int = 0
    ) -> None:
        self.model = build_model(condition, robot)
        self._joints = len(robot.joint_names)
        self._drag = FootDrag(self.model, robot)
        count = len(generators)
        size = count if self.model.nhfield == 0 else -(-count // _GROUNDS)
        self._grounds: list[_Ground] = []
        for first in range(0, count, size):
            rows = slice(first, min(first + size, count))
            roll_terrain(self.model, generators[first])
            batch = Batch(self.model, rows.stop - rows.start, threads)
            names = ("state", "qpos", "qvel", "ctrl", "qacc_warmstart", *_DERIVED)
            self._grounds.append(_Ground(rows, batch, {name: batch.bind(name) for name in names}))
            for generator in generators[first + 1 : rows.stop]:
                roll_terrain(self.model, generator)
        shared = np.concatenate([np.full(one.rows.stop - one.rows.start, i) for i, one in enumerate(self._grounds)])
        self.grounds: np.ndarray = np.arange(count) if self.model.nhfield == 0 else shared
        """(N,) number of the ground under each robot; even ground is nothing that robots have in common."""
        self.qpos = np.empty((count, self.model.nq))
        """(N, 19) after the last step, of MuJoCo: position, orientation w x y z, joints; a copy."""
        self.qvel = np.empty((count, self.model.nv))
        """(N, 18) after the last step, of MuJoCo: linear in the world, angular in the trunk, joints; a copy."""
        self._read()

    def step(self, torque: np.ndarray, rows: Optional[np.ndarray] = None) -> None:
        """One physics step under joint torques (N, 12) [Nm], of all robots or of the mask `rows` (N,) bool.

        Raises:
            DivergedPhysicsError: robots move as nothing can.
        """
        for ground in self._grounds:
            ground.views["ctrl"][:, : self._joints] = torque[ground.rows]
            self._drag.apply(ground.views["ctrl"], ground.views["geom_xpos"])
            ground.batch.step(ids=None if rows is None else np.ascontiguousarray(rows[ground.rows]))
        self._read()
        lost = diverged(self.qvel)
        if lost.any():
            raise divergence(f"the robots {', '.join(map(str, np.flatnonzero(lost)))} of {self.qvel.shape[0]}")

    def place(self, rows: np.ndarray, qpos: np.ndarray) -> None:
        """Put robots `rows` (R,), ascending, into a pose (R, 19), at rest."""
        for ground, chosen, local in self._shares(rows):
            ground.batch.reset(ids=local)
            ground.views["qpos"][local] = qpos[chosen]
            ground.views["qvel"][local] = 0.0
            ground.batch.forward(ids=local)
            # The solver's first guess for the next step must not tell of what was computed along the way.
            ground.views["qacc_warmstart"][local] = 0.0
        self._read()

    def push(self, row: int, velocity_change: np.ndarray) -> None:
        """Add (3,) [m/s], world frame, to a trunk's velocity."""
        for ground, _, local in self._shares(np.array([row])):
            ground.views["qvel"][local, :3] += velocity_change
        self._read()

    def save(self) -> np.ndarray:
        """Everything that the future depends on, (N, S)."""
        return np.concatenate([ground.views["state"] for ground in self._grounds])

    def restore(self, rows: np.ndarray, saved: np.ndarray) -> None:
        """Put robots `rows` (R,), ascending, back to where they were in `saved` (N, S)."""
        for ground, chosen, local in self._shares(rows):
            ground.views["state"][local] = saved[rows[chosen]]
            if self._drag.acts:
                # The drag reads where the feet are, which is no part of the state; computing it changes the state.
                ground.batch.forward(ids=local)
                ground.views["state"][local] = saved[rows[chosen]]
        self._read()

    def sensor(self, name: str, width: int) -> np.ndarray:
        """Readings (N, width) from the MuJoCo sensor `name` on; derived, see `derived`."""
        first = int(self.model.sensor(name).adr[0])
        return self.derived("sensordata")[:, first : first + width]

    def derived(self, name: str) -> np.ndarray:
        """(N, ...) of `sensordata`, `site_xpos` or `geom_xpos`: of the state that the last step started from."""
        return np.concatenate([ground.views[name] for ground in self._grounds])

    def _shares(self, rows: np.ndarray) -> list[tuple[_Ground, np.ndarray, np.ndarray]]:
        """For each ground that any of `rows` is on: it, their places in `rows`, and their numbers in its batch."""
        shares = []
        for ground in self._grounds:
            chosen = np.flatnonzero((rows >= ground.rows.start) & (rows < ground.rows.stop))
            if len(chosen):
                shares.append((ground, chosen, (rows[chosen] - ground.rows.start).astype(np.int32)))
        return shares

    def _read(self) -> None:
        for ground in self._grounds:
            self.qpos[ground.rows], self.qvel[ground.rows] = ground.views["qpos"], ground.views["qvel"]
