"""Measure a bundle through the wire: real packets, the onboard runner, the twin; scored with the twin's truth.

Episode i of seed s sees the same robot, noise and commands whatever the policy: two policies can be compared in pairs.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Optional, Sequence, Union

import numpy as np
import torch

from deploy.onboard.clock import VirtualClock
from deploy.onboard.link import PacketLink
from deploy.onboard.pilot import PilotStep
from deploy.onboard.runner import RunSettings, run_session
from deploy.onboard.schedule import SessionSettings
from deploy.onboard.summary import EpisodeSummary
from offline_data.log_schema import Ending
from policy.bundle import Bundle, read_bundle
from policy.graph import projected_gravity
from policy.rewards import RewardInputs, RewardWeights, velocity_reward
from robot_configs.errors import Go1Error
from robot_configs.robot import GRAVITY_M_S2, RobotModel, load_robot
from robot_configs.twin_conditions import TwinCondition, load_condition
from sim.twin.body import TwinBody, TwinTruth
from sim.twin.transport import TwinTransport

DEFAULT_COMMANDS = "random:hold_s=4,stand_fraction=0.1"
_NOWHERE_M = 0.1  # below this the energy a metre says nothing
_BOOTSTRAP_DRAWS = 4000


class EvaluationError(Go1Error):
    """An evaluation that could not be carried out as asked."""


@dataclass(frozen=True)
class EpisodeResult:
    """One episode on the twin; velocities and power are means over its policy steps.

    Attributes:
        episode_return: sum of the task's reward, unscaled; a fall ends it.
        linear_error_m_s: mean norm of (vx, vy) minus the command. yaw_error_rad_s: mean absolute error.
        fell: whether it ended in a fall.
        power_w: positive mechanical power. distance_m: length of the way of the trunk, horizontally.
    """

    seed: int
    steps: int
    episode_return: float
    linear_error_m_s: float
    yaw_error_rad_s: float
    forward_speed_m_s: float
    commanded_forward_speed_m_s: float
    fell: bool
    ending: str
    power_w: float
    distance_m: float


@dataclass(frozen=True)
class Evaluation:
    """Episodes of one bundle in one condition."""

    bundle_sha256: str
    condition: str
    episode_s: float
    commands: str
    episodes: tuple[EpisodeResult, ...]

    @property
    def returns(self) -> np.ndarray:
        """Return of each episode (E,)."""
        return np.array([episode.episode_return for episode in self.episodes])

    @property
    def minutes_walked(self) -> float:
        return sum(episode.steps for episode in self.episodes) / load_robot().control_hz / 60.0

    @property
    def cost_of_transport(self) -> Optional[float]:
        """Energy / (m g distance) over all episodes together [-]; None where the robot went nowhere."""
        robot = load_robot()
        energy_j = sum(episode.power_w * episode.steps for episode in self.episodes) / robot.control_hz
        distance_m = sum(episode.distance_m for episode in self.episodes)
        return energy_j / (robot.total_mass_kg * GRAVITY_M_S2 * distance_m) if distance_m > _NOWHERE_M else None

    def summary(self) -> dict[str, Any]:
        """Means over the episodes with a bootstrap interval of the mean return."""

        def mean(name: str) -> float:
            return float(np.mean([getattr(episode, name) for episode in self.episodes]))

        falls = sum(episode.fell for episode in self.episodes)
        return {
            "condition": self.condition,
            "bundle_sha256": self.bundle_sha256,
            "episodes": len(self.episodes),
            "episode_s": self.episode_s,
            "commands": self.commands,
            "return_mean": float(self.returns.mean()),
            "return_ci95": bootstrap_interval(self.returns),
            "velocity_error": {"linear_m_s": mean("linear_error_m_s"), "yaw_rad_s": mean("yaw_error_rad_s")},
            "falls": falls,
            "falls_per_minute": falls / self.minutes_walked,
            "power_w": mean("power_w"),
            "cost_of_transport": self.cost_of_transport,
        }

    def to_dict(self) -> dict[str, Any]:
        """The summary and every episode."""
        return {**self.summary(), "per_episode": [asdict(episode) for episode in self.episodes]}


def bootstrap_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of (E,) values; deterministic."""
    draws = np.random.default_rng(0).integers(0, len(values), (_BOOTSTRAP_DRAWS, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired_difference(before: Evaluation, after: Evaluation) -> dict[str, Any]:
    """Mean difference of the returns, after minus before, over episodes of the same seed, with its 95 % interval.

    Raises:
        EvaluationError: the two were not measured on the same episodes.
    """
    same = [a.seed for a in after.episodes] == [b.seed for b in before.episodes]
    if not same or (before.condition, before.episode_s, before.commands) != (
        after.condition,
        after.episode_s,
        after.commands,
    ):
        raise EvaluationError("two evaluations on the same episodes", "different ones", "Use equal seeds and settings.")
    difference = after.returns - before.returns
    return {"mean": float(difference.mean()), "ci95": bootstrap_interval(difference)}


def evaluate_bundle(
    bundle: Union[str, Path],
    condition: Union[str, Path],
    episodes: int,
    seed: int = 0,
    episode_s: float = 10.0,
    commands: str = DEFAULT_COMMANDS,
    workers: int = 2,
    progress: Optional[Callable[[int, int], None]] = None,
) -> Evaluation:
    """Run a bundle's mean action on the twin.

    Args:
        condition: name or YAML file of a twin condition.
        commands: a command specification of the runner; random ones get the episode's seed.
        workers: processes; the result does not depend on it.
    """
    if episodes < 1:
        raise EvaluationError("at least one episode", f"{episodes}", "Raise --episodes.")
    sealed = read_bundle(bundle)
    loaded = load_condition(condition)
    jobs = [(str(bundle), str(condition), seed * 100_000 + i, episode_s, commands) for i in range(episodes)]
    results = []
    if workers <= 1:
        for job in jobs:
            results.append(_evaluate_episode(job))
            if progress is not None:
                progress(len(results), episodes)
    else:
        # Spawned, not forked: forking a process that has started torch's threads can deadlock.
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            for result in pool.map(_evaluate_episode, jobs):
                results.append(result)
                if progress is not None:
                    progress(len(results), episodes)
    return Evaluation(sealed.sha256, loaded.name, episode_s, commands, tuple(results))


def _evaluate_episode(job: tuple[str, str, int, float, str]) -> EpisodeResult:
    bundle, condition, seed, episode_s, commands = job
    torch.set_num_threads(1)
    return evaluate_episode(read_bundle(bundle), load_condition(condition), seed, episode_s, commands)


def evaluate_episode(
    bundle: Bundle, condition: TwinCondition, seed: int, episode_s: float, commands: str
) -> EpisodeResult:
    """One episode: stand up from the ground, walk, and be scored while walking."""
    robot = load_robot()
    body = TwinBody(condition, seed)
    observer = _TruthRecorder(body)
    session = SessionSettings(episode_s=episode_s, episodes=1)
    settings = RunSettings(seeded(commands, seed), session, exploration=0.0, seed=seed, lockstep=True)
    summary = run_session(
        bundle, robot, PacketLink(TwinTransport(body)), VirtualClock(), settings, observers=[observer]
    )
    if not observer.steps:
        raise EvaluationError(
            "an episode of walking", f"none: {summary.faults}", "See whether the robot can stand up in this condition."
        )
    return observer.result(robot, seed)


def seeded(commands: str, seed: int) -> str:
    """A random command specification with the episode's seed; others unchanged."""
    return f"{commands},seed={seed}" if commands.startswith("random:") and "seed=" not in commands else commands


class _TruthRecorder:
    """Takes down the twin's truth at each policy step and once more at the end of the episode."""

    def __init__(self, body: TwinBody) -> None:
        self._body = body
        self.steps: list[PilotStep] = []
        self._truths: list[TwinTruth] = []
        self._ending = ""

    def on_policy_step(self, step: PilotStep) -> None:
        self.steps.append(step)
        self._truths.append(self._body.truth)

    def on_episode_end(self, summary: EpisodeSummary) -> None:
        self._truths.append(self._body.truth)
        self._ending = summary.ending

    def result(self, robot: RobotModel, seed: int) -> EpisodeResult:
        """Score step t by the state after its action, which is the truth at step t + 1."""
        after = self._truths[1 : len(self.steps) + 1]
        command = np.stack([step.command[:3] for step in self.steps])
        velocity = np.stack([truth.linear_velocity_trunk_in_trunk for truth in after])
        rate = np.stack([truth.angular_velocity_trunk_in_trunk for truth in after])
        fell = self._ending == Ending.TERMINATED.name.lower()
        reward = self._reward(robot, after, command, velocity, rate, fell)
        power = float(np.mean([truth.mechanical_power_w for truth in after]))
        return EpisodeResult(
            seed=seed,
            steps=len(self.steps),
            episode_return=reward,
            linear_error_m_s=float(np.linalg.norm((velocity - command)[:, :2], axis=1).mean()),
            yaw_error_rad_s=float(np.abs(rate[:, 2] - command[:, 2]).mean()),
            forward_speed_m_s=float(velocity[:, 0].mean()),
            commanded_forward_speed_m_s=float(command[:, 0].mean()),
            fell=fell,
            ending=self._ending,
            power_w=power,
            distance_m=float(np.linalg.norm(velocity[:, :2], axis=1).sum() / robot.control_hz),
        )

    def _reward(
        self,
        robot: RobotModel,
        after: Sequence[TwinTruth],
        command: np.ndarray,
        velocity: np.ndarray,
        rate: np.ndarray,
        fell: bool,
    ) -> float:
        def tensor(array: Any) -> torch.Tensor:
            return torch.tensor(np.asarray(array), dtype=torch.float32)

        action = tensor([step.output.action for step in self.steps])
        fallen = torch.zeros(len(after), dtype=torch.bool)
        fallen[-1] = fell
        inputs = RewardInputs(
            command=tensor(command),
            linear_velocity_trunk_in_trunk=tensor(velocity),
            angular_velocity_trunk_in_trunk=tensor(rate),
            gravity_in_trunk=projected_gravity(tensor([truth.orientation_trunk_in_world for truth in after])),
            joint_velocity=tensor([truth.joint_velocity for truth in after]),
            torque_fraction=tensor([truth.joint_torque / robot.torque_limit for truth in after]),
            action=action,
            last_action=torch.cat([action[:1] * 0.0, action[:-1]]),
            fallen=fallen,
        )
        total, _ = velocity_reward(inputs, RewardWeights())
        return float(total.sum())
