"""The speed that a policy reaches under one steady command, on a batch of twins."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from policy.bundle import read_bundle
from policy.export import load_graph
from policy.graph import PolicyGraph
from robot_configs.twin_conditions import TwinCondition, load_condition
from sim.twin_batch.twins import TwinBatch
from sim.twin_batch.walk import BatchWalk

STEADY_COMMANDS: tuple[tuple[float, float, float], ...] = (
    *((speed, 0.0, 0.0) for speed in (-1.0, -0.5, 0.5, 1.0, 1.5)),
    *((0.0, speed, 0.0) for speed in (-0.4, 0.4)),
    *((0.0, 0.0, rate) for rate in (-1.0, 1.0)),
    (0.0, 0.0, 0.0),
)
"""Forward and sideways speed [m/s] and yaw rate [rad/s]; the last one stands."""
FORWARD: tuple[float, float, float] = (1.0, 0.0, 0.0)
"""The command [m/s] whose speed on latex is a target."""
FORWARD_ROBOTS = 16
"""Robots that every policy's speed under it is measured with."""

_SEED = 800_000


@dataclass(frozen=True, eq=False)
class SteadyResult:
    """What a command came to.

    Attributes:
        command: (vx, vy, yaw rate) [m/s], [m/s], [rad/s].
        by_robot: (U, 3) mean velocity of each robot that walked to the end, in the command's units.
        robots: that set out.
    """

    command: tuple[float, float, float]
    by_robot: np.ndarray
    robots: int

    @property
    def reached(self) -> tuple[float, float, float]:
        """Mean velocity over the robots that walked to the end; NaN where none did."""
        if not len(self.by_robot):
            return (np.nan, np.nan, np.nan)
        forward, sideways, turning = self.by_robot.mean(axis=0).tolist()
        return (forward, sideways, turning)

    @property
    def falls(self) -> int:
        return self.robots - len(self.by_robot)


def steady_speeds(
    graph: PolicyGraph,
    condition: TwinCondition,
    robots: int = 4,
    duration_s: float = 8.0,
    settling_s: float = 3.0,
    commands: tuple[tuple[float, float, float], ...] = STEADY_COMMANDS,
    threads: int = 0,
) -> tuple[SteadyResult, ...]:
    """Walk every command with some robots for `duration_s` seconds; the first `settling_s` do not count."""
    seeds = [_SEED + index for index in range(robots * len(commands))]
    twins = TwinBatch(condition, seeds, threads)
    given = np.repeat(np.array(commands), robots, axis=0)
    specifications = [f"vx={vx:g},vy={vy:g},yaw={yaw:g}" for vx, vy, yaw in given]
    walk = BatchWalk(twins, graph, specifications, seeds, exploration=0.0)
    control_hz = graph.contract.control_hz
    first, last = round(settling_s * control_hz), round(duration_s * control_hz)
    walking, total = np.ones(len(seeds), dtype=bool), np.zeros((len(seeds), 3))
    for step in range(last):
        walked = walk.step()
        walking &= ~walked.fell
        twins.retire(np.flatnonzero(walked.fell))
        if step >= first:
            truth = walked.truth_after
            total[:, :2] += truth.linear_velocity_trunk_in_trunk[:, :2]
            total[:, 2] += truth.angular_velocity_trunk_in_trunk[:, 2]
    velocity = total / (last - first)
    results = []
    for index, command in enumerate(commands):
        rows = np.arange(index * robots, (index + 1) * robots)
        results.append(SteadyResult(command, velocity[rows[walking[rows]]], robots))
    return tuple(results)


def forward_speeds(bundle: Path, condition: str, threads: int) -> SteadyResult:
    """What `FORWARD` comes to."""
    graph = load_graph(read_bundle(bundle))
    (result,) = steady_speeds(graph, load_condition(condition), FORWARD_ROBOTS, commands=(FORWARD,), threads=threads)
    return result


def steady_table(bundle: Path, condition: str, threads: int = 0) -> str:
    """Markdown of a bundle's steady speeds in a condition."""
    results = steady_speeds(load_graph(read_bundle(bundle)), load_condition(condition), threads=threads)
    lines = [
        f"### {bundle.stem} on {condition}",
        "",
        "| commanded vx, vy m/s, yaw rad/s | reached | falls |",
        "|---|---|---|",
    ]
    for result in results:
        asked, reached = (", ".join(f"{value:+.2f}" for value in values) for values in (result.command, result.reached))
        lines.append(f"| {asked} | {reached} | {result.falls} of {result.robots} |")
    return "\n".join([*lines, ""])
