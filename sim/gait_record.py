"""Record a walk through the wire for `gait_quality`: the twin's truth at every tick while the policy drives."""

from __future__ import annotations

from pathlib import Path
from typing import List, Optional, Union

import mujoco
import numpy as np

from deploy.onboard.clock import VirtualClock
from deploy.onboard.link import PacketLink
from deploy.onboard.pilot import PilotStep
from deploy.onboard.runner import RunSettings, run_session
from deploy.onboard.schedule import SessionSettings
from deploy.onboard.summary import EpisodeSummary
from deploy.onboard.wire import JointCommand, RobotState
from policy.bundle import Bundle
from robot_configs.errors import Go1Error
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import TwinCondition, load_condition
from robot_configs.twin_ground import Ground
from sim.gait_quality import GaitRecord
from sim.twin.body import TwinBody, TwinTruth
from sim.twin.transport import TwinTransport
from sim.twin.world import ground_quaternion


class GaitRecordingError(Go1Error):
    """A walk that could not be recorded."""


class RecordingBody(TwinBody):
    """A twin that takes down its truth after every tick while it is told to."""

    def __init__(self, condition: TwinCondition, seed: int) -> None:
        self.recording = False
        self.truths: List[TwinTruth] = []
        self.feet: List[np.ndarray] = []
        super().__init__(condition, seed)
        self._sites = [self.model.site(f"{name}_foot").id for name in self.robot.foot_names]

    def step(self, command: Optional[JointCommand] = None) -> RobotState:
        """See `TwinBody.step`."""
        state = super().step(command)
        if self.recording:
            mujoco.mj_kinematics(self.model, self.data)  # else the feet are those of the physics step before
            self.truths.append(self.truth)
            self.feet.append(self.data.site_xpos[self._sites].copy())
        return state


class _WhileWalking:
    """Records from the episode's given time to its end."""

    def __init__(self, body: RecordingBody, from_tick: int) -> None:
        self._body, self._from_tick = body, from_tick

    def on_policy_step(self, step: PilotStep) -> None:
        self._body.recording = step.tick >= self._from_tick

    def on_episode_end(self, summary: EpisodeSummary) -> None:
        self._body.recording = False


def ground_normal(ground: Ground) -> np.ndarray:
    """(3,) unit vector out of the floor, world frame: on a slope it is not the world's z."""
    normal = np.empty(3)
    mujoco.mju_rotVecQuat(normal, np.array([0.0, 0.0, 1.0]), ground_quaternion(ground))
    return normal


def record_gait(
    bundle: Bundle,
    condition: Union[str, Path],
    commands: str,
    walk_s: float,
    skip_s: float = 2.0,
    seed: int = 1,
) -> GaitRecord:
    """Walk the twin by a command specification and record all but the first `skip_s`.

    Raises:
        GaitRecordingError: the robot did not get that far.
    """
    robot = load_robot()
    loaded = load_condition(condition)
    body = RecordingBody(loaded, seed)
    observer = _WhileWalking(body, round(skip_s * robot.control_hz))
    settings = RunSettings(commands, SessionSettings(episode_s=walk_s, episodes=1), exploration=0.0, lockstep=True)
    link = PacketLink(TwinTransport(body))
    summary = run_session(bundle, robot, link, VirtualClock(), settings, observers=[observer])
    truths = body.truths
    if len(truths) < round((walk_s - skip_s) * robot.link_hz / 2):
        found = f"{len(truths) / robot.link_hz:g} s; faults: {summary.faults}"
        raise GaitRecordingError(f"most of {walk_s - skip_s:g} s of walking", found, "Try an easier command.")
    return GaitRecord(
        step_s=1.0 / robot.link_hz,
        foot_names=robot.foot_names,
        mass_kg=robot.total_mass_kg,
        position_trunk_in_world=np.array([truth.position_trunk_in_world for truth in truths]),
        foot_position_in_world=np.array(body.feet),
        foot_force_n=np.array([truth.foot_contact_force_in_world for truth in truths]) @ ground_normal(loaded.ground),
        joint_velocity=np.array([truth.joint_velocity for truth in truths]),
        joint_torque=np.array([truth.joint_torque for truth in truths]),
    )
