"""Record a start and a stop through the wire for `start_stop`: the twin's truth while the policy drives."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import List, Union

import numpy as np
import yaml

from deploy.onboard.clock import VirtualClock
from deploy.onboard.link import PacketLink
from deploy.onboard.pilot import PilotStep
from deploy.onboard.runner import RunSettings, run_session
from deploy.onboard.schedule import SessionSettings
from deploy.onboard.summary import EpisodeSummary
from policy.bundle import Bundle
from policy.contract_types import VELOCITY_UNITS
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.gait_record import GaitRecordingError, RecordingBody
from sim.start_stop import StartStopRecord
from sim.twin.transport import TwinTransport

COMMANDED_M_S = 0.5
_STAND_S = 1.0  # before the start: the policy takes over from the runner's own stand


class _Steps:
    """Records a whole episode, and what the policy was told and asked for at each step."""

    def __init__(self, body: RecordingBody) -> None:
        self._body = body
        self.commands: List[np.ndarray] = []
        self.targets: List[np.ndarray] = []

    def on_policy_step(self, step: PilotStep) -> None:
        self._body.recording = True
        self.commands.append(np.array(step.command))
        self.targets.append(np.array(step.target.position))

    def on_episode_end(self, summary: EpisodeSummary) -> None:
        self._body.recording = False


def record_start_stop(
    bundle: Bundle, condition: Union[str, Path], walk_s: float = 4.0, rest_s: float = 4.0, seed: int = 1
) -> StartStopRecord:
    """Stand for a second, walk forwards for `walk_s`, stand for `rest_s`.

    Raises:
        GaitRecordingError: the robot did not get that far.
    """
    robot = load_robot()
    body = RecordingBody(load_condition(condition), seed)
    observer = _Steps(body)
    still = {"vx": 0.0, "vy": 0.0, "yaw": 0.0}
    segments = [{"duration_s": _STAND_S, **still}, {"duration_s": walk_s, **still, "vx": COMMANDED_M_S}]
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "commands.yaml"
        script.write_text(yaml.safe_dump({"segments": segments}), encoding="utf-8")
        session = SessionSettings(episode_s=_STAND_S + walk_s + rest_s, episodes=1)
        settings = RunSettings(str(script), session, exploration=0.0, lockstep=True)
        summary = run_session(
            bundle, robot, PacketLink(TwinTransport(body)), VirtualClock(), settings, observers=[observer]
        )
    ticks = round(robot.link_hz / robot.control_hz)
    # The last step's ticks may belong to the end of the episode already.
    steps = min(len(observer.commands), len(body.truths) // ticks)
    if steps < round((_STAND_S + walk_s + rest_s) * robot.control_hz) - 1:
        found = f"{steps / robot.control_hz:g} s; faults: {summary.faults}"
        expected = f"a start and a stop within {_STAND_S + walk_s + rest_s:g} s"
        raise GaitRecordingError(expected, found, "See why the robot ended its walk: go1 sim play films it.")
    velocities = np.array(observer.commands[:steps])[:, : len(VELOCITY_UNITS)]  # a gait may be commanded behind them
    told = np.flatnonzero(np.linalg.norm(velocities, axis=1) > 0.0)
    truths = body.truths[: steps * ticks]
    return StartStopRecord(
        step_s=1.0 / robot.link_hz,
        ticks_per_step=ticks,
        start_step=int(told[0]),
        stop_step=int(told[-1]) + 1,
        commanded_m_s=COMMANDED_M_S,
        orientation_trunk_in_world=np.array([truth.orientation_trunk_in_world for truth in truths]),
        forward_velocity_m_s=np.array([truth.linear_velocity_trunk_in_trunk[0] for truth in truths]),
        angular_velocity_trunk_in_trunk=np.array([truth.angular_velocity_trunk_in_trunk for truth in truths]),
        joint_velocity=np.array([truth.joint_velocity for truth in truths]),
        joint_target=np.array(observer.targets[:steps]),
    )
