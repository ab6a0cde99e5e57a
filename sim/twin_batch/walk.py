"""N robots of a batch that walk by one policy: the onboard pilot's step, for all of them at once.

As behind the wire, the commands and the exploration noise of episode e of a robot depend on (its seed, e) only, so that
two policies, or a batch and the wire, are compared on the same commands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence

import numpy as np
import torch

from deploy.onboard.commands import CommandSource, parse_commands
from deploy.onboard.wire import RobotState
from policy.contract import OUTPUTS
from policy.graph import PolicyGraph
from sim.twin_batch.errors import TwinBatchError
from sim.twin_batch.twins import BatchTruth, OnTick, TwinBatch

SIGNAL_NAMES = ("orientation_trunk_in_world", "angular_velocity_trunk_in_trunk", "joint_position", "joint_velocity")
"""What of a state the policy reads, in the order of its graph."""


@dataclass(frozen=True, eq=False)
class WalkStep:
    """One policy step of N robots; arrays are float32 as on the wire unless said otherwise.

    Attributes:
        signals: what the policy saw, (N, ...) by `SIGNAL_NAMES`.
        command: (N, C) in the contract's units. noise: (N, 12) as given to the policy.
        outputs: of the graph, (N, ...) by `policy.contract.OUTPUTS`.
        truth_before, truth_after: of the twins before the action and after it, float64.
        mean_torque: (N, 12) over the step, the motors' estimate [Nm].
        fell: (N,) bool, the step ended in a fall.
    """

    signals: dict[str, np.ndarray]
    command: np.ndarray
    noise: np.ndarray
    outputs: dict[str, np.ndarray]
    truth_before: BatchTruth
    truth_after: BatchTruth
    mean_torque: np.ndarray
    fell: np.ndarray


class BatchWalk:
    """Runs a policy on every robot of a batch.

    Args:
        commands: command specifications of the runner, one a robot; random ones with the robot's seed (`seeded`).
        seeds: one a robot, of its exploration.
        exploration: factor on the standard normal noise; 0 acts with the mean.

    Raises:
        TwinBatchError: commands from a remote, which a batch has not got, or not one specification and seed a robot.
        CommandError: a specification that cannot be read, or leaves the policy's range.
    """

    def __init__(
        self,
        twins: TwinBatch,
        graph: PolicyGraph,
        commands: Sequence[str],
        seeds: Sequence[int],
        exploration: float,
    ) -> None:
        graph.contract.check_robot(twins.robot)
        if "remote" in (specification.strip() for specification in commands):
            raise TwinBatchError(
                "commands as constants, a script or random:...", "remote", "A remote needs a robot, or the wire."
            )
        if not len(commands) == len(seeds) == twins.count:
            raise TwinBatchError(
                f"{twins.count} command specifications and seeds, one a robot",
                f"{len(commands)} and {len(seeds)}",
                "Give those of the batch.",
            )
        contract = graph.contract
        self.twins, self.graph = twins, graph
        self._exploration, self._seeds = exploration, tuple(seeds)
        self._sources: list[CommandSource] = [
            parse_commands(specification, contract.commands) for specification in commands
        ]
        self._noise = [np.random.default_rng([seed, 0]) for seed in seeds]
        self._gains = np.array(contract.stiffness), np.array(contract.damping)
        self._memory = torch.zeros(twins.count, contract.memory_dim)
        self._states: dict[int, RobotState] = {}
        self.episode_step = np.zeros(twins.count, dtype=np.int64)
        """(N,) steps of its episode that each robot has made."""
        self._begin(np.arange(twins.count), 0)

    def restart(self, rows: np.ndarray, episode: int) -> None:
        """Robots `rows` (R,), ascending, stand again and begin their episode of this number."""
        self.twins.reset(rows)
        self._begin(rows, episode)

    def _begin(self, rows: np.ndarray, episode: int) -> None:
        self._memory[torch.from_numpy(rows)] = 0.0
        self.episode_step[rows] = 0
        for row in rows.tolist():
            self._noise[row] = np.random.default_rng([self._seeds[row], episode])
            self._sources[row].begin_episode(episode)
        # The others keep what they measured at the end of their last step.
        for row, state in zip(rows.tolist(), self.twins.measure(rows.tolist()), strict=True):
            self._states[row] = state

    @property
    def states(self) -> list[RobotState]:
        """What each robot measured last."""
        return [self._states[row] for row in range(self.twins.count)]

    def signals(self) -> dict[str, np.ndarray]:
        """What the policy will see in its next step: (N, ...) float32 by `SIGNAL_NAMES`."""
        return {
            name: np.array([getattr(self._states[row], name) for row in range(self.twins.count)], dtype=np.float32)
            for name in SIGNAL_NAMES
        }

    def step(self, on_tick: Optional[OnTick] = None) -> WalkStep:
        """One policy step of all robots that are not retired; rows of those that are mean nothing.

        Args:
            on_tick: see `TwinBatch.step`; what it is told last in a step is what the policy sees next.
        """
        contract, twins = self.graph.contract, self.twins
        signals = self.signals()
        times_s = self.episode_step / contract.control_hz
        command = np.array(
            [
                source.command(time_s, self._states[row])
                for row, (source, time_s) in enumerate(zip(self._sources, times_s.tolist(), strict=True))
            ],
            dtype=np.float32,
        )
        noise = self._draw_noise()
        inputs = [torch.from_numpy(array) for array in (*signals.values(), command, noise)]
        with torch.no_grad():
            values = self.graph(*inputs, self._memory)
        self._memory = values[-1]
        outputs = {name: value.numpy() for name, value in zip(OUTPUTS, values, strict=True)}
        truth_before = twins.truth
        moved = twins.step(outputs["joint_target"].astype(np.float64), *self._gains, on_tick)
        self.episode_step += 1
        self._states = dict(enumerate(moved.measured))
        return WalkStep(signals, command, noise, outputs, truth_before, twins.truth, moved.mean_torque, moved.fell)

    def _draw_noise(self) -> np.ndarray:
        width = self.graph.contract.action_dim
        if self._exploration == 0.0:
            return np.zeros((self.twins.count, width), dtype=np.float32)
        drawn = [generator.standard_normal(width) for generator in self._noise]
        return (self._exploration * np.array(drawn)).astype(np.float32)
