"""The pilot: at 50 Hz it takes the newest state, runs the policy, and writes a target that soon expires."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from deploy.onboard.commands import CommandSource, neutral_command
from deploy.onboard.target import JointTarget
from deploy.onboard.wire import RobotState
from policy.bundle import PolicyOutput, PolicySession
from policy.contract import PolicyContract
from robot_configs.errors import Go1Error
from robot_configs.robot import RobotModel


class PilotError(Go1Error):
    """The pilot was set up with an impossible value."""


class PilotStep(NamedTuple):
    """One step of the policy, with everything that went in and came out."""

    target: JointTarget
    state: RobotState
    state_time_s: float
    """When `state` was received [s]."""
    time_s: float
    """When the step began [s]."""
    command: np.ndarray
    """(C,) in the contract's units."""
    noise: np.ndarray
    """(12,) float32, as given to the policy."""
    output: PolicyOutput
    inference_s: float
    """Real time the policy took [s]."""
    episode: int
    tick: int
    """Step in this episode, from zero."""


class Pilot:
    """Runs one policy. Knows no modes and no motors: it may die or talk nonsense, and the gate will damp the robot.

    Args:
        exploration: factor on the standard normal noise; 0 acts with the mean, 1 samples the policy's own distribution.
        seed: of the noise; the noise of episode e depends on (seed, e) only.
    """

    def __init__(
        self,
        session: PolicySession,
        contract: PolicyContract,
        robot: RobotModel,
        commands: CommandSource,
        exploration: float,
        seed: int,
    ) -> None:
        if not 0.0 <= exploration < float("inf"):
            raise PilotError(
                "exploration of at least 0", f"{exploration}", "Use 0 for the mean, 1 for the policy's own noise."
            )
        contract.check_robot(robot)
        self._session, self._commands, self._rest = session, commands, neutral_command(contract.commands)
        self._exploration, self._seed = exploration, seed
        self._stiffness = np.array(contract.stiffness)
        self._damping = np.array(contract.damping)
        self._validity_s = robot.safety.target_age_limit_s
        self._control_hz = contract.control_hz
        self._action_dim = contract.action_dim
        self._silence = np.zeros(self._action_dim, np.float32)
        self._episode = self._tick = 0
        self._generator = np.random.default_rng([seed, 0])

    def begin_episode(self, episode: int) -> None:
        """Forget the past: memory, noise and commands start over."""
        self._episode, self._tick = episode, 0
        self._generator = np.random.default_rng([self._seed, episode])
        self._session.reset()
        self._commands.begin_episode(episode)

    def step(self, state: RobotState, state_time_s: float, time_s: float, halting: bool = False) -> PilotStep:
        """Run the policy once on `state`, received at `state_time_s`; `time_s` is now.

        The target's age is that of the state: what was true when it was read is all that the policy knew.
        A `halting` step asks the policy to stand still, without exploring; the command source is not asked.
        """
        command = self._rest if halting else self._commands.command(self._tick / self._control_hz, state)
        noise = self._silence
        if self._exploration > 0.0 and not halting:
            noise = (self._exploration * self._generator.standard_normal(self._action_dim)).astype(np.float32)
        started_s = time.perf_counter()
        output = self._session.step(
            state.orientation_trunk_in_world,
            state.angular_velocity_trunk_in_trunk,
            state.joint_position,
            state.joint_velocity,
            command,
            noise,
        )
        inference_s = time.perf_counter() - started_s
        target = JointTarget(output.joint_target, self._stiffness, self._damping, state_time_s + self._validity_s)
        step = PilotStep(
            target, state, state_time_s, time_s, command, noise, output, inference_s, self._episode, self._tick
        )
        self._tick += 1
        return step
