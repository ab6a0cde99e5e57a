"""Does the robot walk worse when packets are lost? The same walks with and without loss, compared in pairs."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import List, NamedTuple, Optional, Tuple

import numpy as np

from deploy.onboard.clock import VirtualClock
from deploy.onboard.link import PacketLink
from deploy.onboard.pilot import PilotStep
from deploy.onboard.runner import RunSettings, run_session
from deploy.onboard.schedule import SessionSettings
from deploy.onboard.summary import EpisodeSummary
from policy.bundle import read_bundle
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.evaluate import bootstrap_interval
from sim.twin.body import TwinBody
from sim.twin.network_faults import FaultyNetwork, LineFault
from sim.twin.transport import TwinTransport

_COMMANDS = "random:seed={seed},hold_s=2,stand_fraction=0.1,scale=0.7"
_FIRST_SEED = 7_000


class Walk(NamedTuple):
    """One episode: mean norm of the error of (vx, vy) and mean absolute error of the turn rate, and whether it fell."""

    linear_error_m_s: float
    yaw_error_rad_s: float
    fell: bool


@dataclass(frozen=True)
class PairedLoss:
    """Walks with loss against the same walks without.

    Attributes:
        loss: share of packets lost in each direction.
        sound, lossy: walks in the order of their seeds.
    """

    loss: float
    episode_s: float
    sound: Tuple[Walk, ...]
    lossy: Tuple[Walk, ...]

    def difference(self, name: str) -> Tuple[float, float, float]:
        """Mean and 95 % bootstrap interval of the paired difference of an error, lossy minus sound."""
        values = np.array([getattr(b, name) - getattr(a, name) for a, b in zip(self.sound, self.lossy, strict=True)])
        return (float(values.mean()), *bootstrap_interval(values))

    def falls(self) -> Tuple[int, int]:
        """Falls (or faults of another kind) without and with loss."""
        return sum(walk.fell for walk in self.sound), sum(walk.fell for walk in self.lossy)


def compare(
    bundle_path: Path,
    loss: float,
    pairs: int,
    episode_s: float,
    workers: int,
    progress: Optional[Callable[[int, int], None]] = None,
) -> PairedLoss:
    """Walk `pairs` times without and with loss; the result does not depend on `workers`."""
    jobs = [
        (bundle_path, seed, share, episode_s)
        for seed in range(_FIRST_SEED, _FIRST_SEED + pairs)
        for share in (0.0, loss)
    ]
    walks: List[Walk] = []
    with ProcessPoolExecutor(max(1, workers), mp_context=multiprocessing.get_context("spawn")) as pool:
        for walk in pool.map(_walk_job, jobs):
            walks.append(walk)
            if progress is not None:
                progress(len(walks), len(jobs))
    return PairedLoss(loss, episode_s, tuple(walks[0::2]), tuple(walks[1::2]))


def _walk_job(job: Tuple[Path, int, float, float]) -> Walk:
    return walk(*job)


def walk(bundle_path: Path, seed: int, loss: float, episode_s: float) -> Walk:
    """Stand up and walk for one episode on random commands, with this share of packets lost all the while."""
    robot, bundle = load_robot(), read_bundle(bundle_path)
    body, clock = TwinBody(load_condition("nominal"), seed), VirtualClock()
    network = FaultyNetwork(TwinTransport(body), clock)
    network.to_robot.disturb(LineFault(loss=loss), 2 * seed)
    network.from_robot.disturb(LineFault(loss=loss), 2 * seed + 1)
    session = SessionSettings(episode_s=episode_s, episodes=1)
    settings = RunSettings(_COMMANDS.format(seed=seed), session, exploration=0.0, seed=seed, lockstep=True)
    witness = _Witness(body)
    summary = run_session(bundle, robot, PacketLink(network), clock, settings, observers=[witness])
    linear, yaw = np.mean(witness.errors, axis=0)
    return Walk(float(linear), float(yaw), bool(summary.faults))


class _Witness:
    """Compares the twin's true velocity at each policy step with the command of the step before."""

    def __init__(self, body: TwinBody) -> None:
        self._body = body
        self._command: Optional[np.ndarray] = None
        self.errors: List[Tuple[float, float]] = []

    def on_policy_step(self, step: PilotStep) -> None:
        """See `Observer.on_policy_step`."""
        self._compare()
        self._command = step.command

    def on_episode_end(self, summary: EpisodeSummary) -> None:
        """See `Observer.on_episode_end`."""
        self._compare()

    def _compare(self) -> None:
        if self._command is not None:
            truth = self._body.truth
            linear = np.linalg.norm(truth.linear_velocity_trunk_in_trunk[:2] - self._command[:2])
            yaw = abs(truth.angular_velocity_trunk_in_trunk[2] - self._command[2])
            self.errors.append((float(linear), float(yaw)))
