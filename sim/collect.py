"""Log policy steps on the twin, in lockstep, through the wire, several twins side by side."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Union

from deploy.onboard.clock import VirtualClock
from deploy.onboard.link import PacketLink
from deploy.onboard.runner import RunSettings, run_session
from deploy.onboard.schedule import SessionSettings
from deploy.onboard.summary import RunSummary
from policy.bundle import read_bundle
from robot_configs.errors import Go1Error
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.twin.body import TwinBody
from sim.twin.transport import TwinTransport


class CollectError(Go1Error):
    """A twin whose session broke off."""


@dataclass(frozen=True)
class CollectSettings:
    """How steps are logged.

    Attributes:
        commands: specification without a seed; each twin gets its own.
        episode_s: longest episode. exploration: factor on the policy's own noise; 1 is what learning needs.
        workers: twins side by side; the log depends on it, for each has its own seed.
    """

    commands: str = "random:hold_s=4,stand_fraction=0.1"
    episode_s: float = 20.0
    exploration: float = 1.0
    workers: int = 2


def collect_on_twin(
    bundle: Union[str, Path],
    condition: Union[str, Path],
    steps: int,
    log_dir: Union[str, Path],
    seed: int,
    settings: CollectSettings = CollectSettings(),
) -> tuple[RunSummary, ...]:
    """Log at least `steps` policy steps, in one session a twin; a virtual person sets a fallen robot upright again.

    Each twin logs into a folder of its own: a log's name is made of the time and of chance, and the order of the logs
    decides the order of the data set's episodes, so of everything that is drawn from it.

    Raises:
        CollectError: a session ended before its plan was done.
    """
    share = -(-steps // settings.workers)
    jobs = [
        (str(bundle), str(condition), share, str(Path(log_dir) / f"twin_{index}"), seed * 1000 + index, settings)
        for index in range(settings.workers)
    ]
    sessions: tuple[RunSummary, ...]
    if settings.workers == 1:
        sessions = (_collect(jobs[0]),)
    else:
        with ProcessPoolExecutor(settings.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            sessions = tuple(pool.map(_collect, jobs))
    for session in sessions:
        if session.stop_reason:
            raise CollectError(
                f"{share} policy steps of each twin",
                f"{session.steps}, then: {session.stop_reason}",
                "Look at the session's log, or log with a policy that can stand up again in this condition.",
            )
    return sessions


def _collect(job: tuple[str, str, int, str, int, CollectSettings]) -> RunSummary:
    bundle, condition, steps, log_dir, seed, settings = job
    robot = load_robot()
    body = TwinBody(load_condition(condition), seed, rescue=True)
    session = SessionSettings(
        episode_s=settings.episode_s, walk_s=steps / robot.control_hz, auto_rearm=True, rearm_timeout_s=60.0
    )
    run = RunSettings(f"{settings.commands},seed={seed}", session, settings.exploration, seed, lockstep=True)
    return run_session(read_bundle(bundle), robot, PacketLink(TwinTransport(body)), VirtualClock(), run, Path(log_dir))
