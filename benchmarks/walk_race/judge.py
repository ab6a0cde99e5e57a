"""Does a policy walk? Judged on the twin, physics that no training engine has, by its truth and not by any reward.

The mean tracking of the command is the share of the commanded motion that was made, over all steps t of all walks:

    linear = sum_t min(v_t . c_t / |c_t|, |c_t|) / sum_t |c_t|        v, c: horizontal velocity, trunk frame [m/s]
    yaw    = sum_t min(w_t sign(r_t), |r_t|) / sum_t |r_t|            w, r: rate about the trunk's z [rad/s]

v_t is the state after the action of step t, c_t the command that the policy was given at it, before its slew limit.
More than was asked for earns nothing, the other way counts against; steps without a command weigh nothing. Both have
to reach 0.8, and none of the walks may end in a fall.

The first of many policies that passes one set of walks may have been lucky on it: `JudgeSettings.fresh` are others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Callable, Sequence

import numpy as np

from policy.graph import PolicyGraph
from robot_configs.twin_conditions import load_condition
from sim.evaluate import DEFAULT_COMMANDS, seeded
from sim.twin_batch.twins import TwinBatch
from sim.twin_batch.walk import BatchWalk

REQUIRED_TRACKING = 0.8
_SCREEN_MARGIN = 0.1


@dataclass(frozen=True)
class JudgeSettings:
    """What a policy is asked for.

    Attributes:
        walks: of walk_s each; none may end in a fall.
        screen: so many of them are walked first. A policy that falls there has fallen; one that tracks 0.1 less than
            is required there is not walked any further.
        seed: walk i is that of `go1 sim eval --seed`: same robot, same commands.
    """

    walks: int = 100
    walk_s: float = 10.0
    screen: int = 20
    seed: int = 1
    condition: str = "nominal"
    commands: str = DEFAULT_COMMANDS

    def fresh(self) -> JudgeSettings:
        """As many walks of other robots under other commands, none of them spared by a screen."""
        return replace(self, seed=self.seed + 1, screen=self.walks)


@dataclass(frozen=True)
class Verdict:
    """What was seen; a policy that fell was not walked to the end.

    Attributes:
        walks: that the figures are of, of those asked for.
        falls: at the first step at which any robot fell.
        walked_s: how long they walked [s].
    """

    walks: int
    asked: int
    falls: int
    walked_s: float
    linear_tracking: float
    yaw_tracking: float
    linear_error_m_s: float
    yaw_error_rad_s: float

    @property
    def tracking(self) -> float:
        """The smaller of the two; NaN if either is, which Python's own `min` would not keep."""
        return float(np.minimum(self.linear_tracking, self.yaw_tracking))

    @property
    def walks_well(self) -> bool:
        """Whether this is what walking means here."""
        # Not `not tracking < required`: what is not a number meets nothing.
        return self.walks == self.asked and self.falls == 0 and self.tracking >= REQUIRED_TRACKING


class WalkScore:
    """Sums of what was commanded and of what was made, over steps of N robots."""

    def __init__(self) -> None:
        self._commanded, self._made, self._error = np.zeros(2), np.zeros(2), np.zeros(2)
        self._count = 0

    def add(self, command: np.ndarray, velocity: np.ndarray, yaw_rate: np.ndarray) -> None:
        """One step: commands (N, 3) [m/s, m/s, rad/s], velocities (N, 2) [m/s] and yaw rates (N,) [rad/s]."""
        speed = np.linalg.norm(command[:, :2], axis=1)
        moving = speed > 0.0
        along = np.zeros_like(speed)
        along[moving] = (velocity * command[:, :2]).sum(axis=1)[moving] / speed[moving]
        turn = np.abs(command[:, 2])
        self._commanded += [speed.sum(), turn.sum()]
        self._made += [np.minimum(along, speed).sum(), np.minimum(yaw_rate * np.sign(command[:, 2]), turn).sum()]
        error = np.linalg.norm(velocity - command[:, :2], axis=1).sum(), np.abs(yaw_rate - command[:, 2]).sum()
        self._error += error
        self._count += len(command)

    @property
    def tracking(self) -> tuple[float, float]:
        """Linear and yaw; NaN where nothing was commanded."""
        with np.errstate(invalid="ignore"):
            linear, yaw = self._made / self._commanded
        return float(linear), float(yaw)

    @property
    def error(self) -> tuple[float, float]:
        """Mean errors [m/s], [rad/s]."""
        linear, yaw = self._error / self._count
        return float(linear), float(yaw)


def judge(graph: PolicyGraph, settings: JudgeSettings, threads: int = 0) -> Verdict:
    """Walk the screen, then, if it was not hopeless, all walks."""
    seeds = [settings.seed * 100_000 + index for index in range(settings.walks)]
    if settings.screen < settings.walks:
        verdict = _walk(graph, settings, seeds[: settings.screen], threads)
        # Written so that a tracking that is not a number is hopeless.
        if verdict.falls or not verdict.tracking >= REQUIRED_TRACKING - _SCREEN_MARGIN:
            return verdict
    return _walk(graph, settings, seeds, threads)


def _walk(graph: PolicyGraph, settings: JudgeSettings, seeds: Sequence[int], threads: int) -> Verdict:
    """All of `seeds` side by side with the mean action, up to the first fall of any."""
    twins = TwinBatch(load_condition(settings.condition), seeds, threads)
    walk = BatchWalk(twins, graph, [seeded(settings.commands, seed) for seed in seeds], seeds, exploration=0.0)
    score = WalkScore()
    steps, falls = 0, 0
    while falls == 0 and steps < max(1, round(settings.walk_s * graph.contract.control_hz)):
        walked = walk.step()
        truth = walked.truth_after
        yaw_rate = truth.angular_velocity_trunk_in_trunk[:, 2]
        score.add(walked.command[:, :3], truth.linear_velocity_trunk_in_trunk[:, :2], yaw_rate)
        falls = int(walked.fell.sum())
        steps += 1
    walked_s = steps / graph.contract.control_hz
    return Verdict(len(seeds), settings.walks, falls, walked_s, *score.tracking, *score.error)


def first_that_walks(checkpoints: Sequence[int], verdict_of: Callable[[int], Verdict]) -> int | None:
    """The earliest checkpoint whose policy walks, all of the walks walked; None if none does."""
    return next((iteration for iteration in sorted(checkpoints) if verdict_of(iteration).walks_well), None)
