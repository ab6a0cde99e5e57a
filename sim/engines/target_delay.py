"""Joint targets on their way to the motors, for engines that have no such delay of their own."""

from __future__ import annotations

import torch

from sim.engines.protocol import MAX_DELAY_SUBSTEPS


class TargetDelay:
    """Each robot's targets act its own number of physics steps after they were given.

        given in step      0   1   2   3   4
        acts, delay 2      -   -   0   1   2        -: the pose of the reset

    Args:
        num_envs: robots N.
        device: of the targets.
    """

    def __init__(self, num_envs: int, device: torch.device) -> None:
        self._given = torch.zeros(MAX_DELAY_SUBSTEPS + 1, num_envs, 12, device=device)
        self._robots = torch.arange(num_envs, device=device)
        self._delay = torch.zeros(num_envs, dtype=torch.long, device=device)
        self._place = 0

    def set_delay(self, delay_substeps: torch.Tensor) -> None:
        """(N,) whole physics steps, at most `MAX_DELAY_SUBSTEPS`."""
        self._delay = delay_substeps.to(self._delay)

    def restart(self, rows: torch.Tensor, joints: torch.Tensor) -> None:
        """As though the robots `rows` (R,) had been given `joints` (R, 12) [rad] for ever."""
        self._given[:, rows] = joints

    def give(self, joint_target: torch.Tensor) -> torch.Tensor:
        """Take the targets (N, 12) of this physics step; returns those that act in it."""
        length = len(self._given)
        self._place = (self._place + 1) % length
        self._given[self._place] = joint_target
        return self._given[(self._place - self._delay) % length, self._robots]
