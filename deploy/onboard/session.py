"""What a session is asked to be, and what follows from that for whoever runs it, in one process or in three."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import asdict, dataclass

from deploy.onboard.episode_schedule import EpisodeSchedule
from deploy.onboard.modes import ModeSettings
from deploy.onboard.remote_schedule import RemoteSchedule
from deploy.onboard.schedule import Schedule, SessionSettings
from offline_data.log_schema import SessionMetadata
from policy.bundle import Bundle
from robot_configs.robot import RobotModel

REMOTE = "remote"
"""Command specification with which a person drives, modes included."""


@dataclass(frozen=True)
class RunSettings:
    """What a session shall do; written into its log."""

    commands: str
    """Specification for `commands.parse_commands`; "remote" also gives the choice of modes to the remote's keys."""
    session: SessionSettings
    exploration: float = 0.0
    """Factor on the policy's own noise: 0 acts with the mean, 1 samples (what fine-tuning learns from)."""
    seed: int = 0
    """Of that noise."""
    lockstep: bool = False
    """Virtual time, one answer for each command: twins only."""
    modes: ModeSettings = ModeSettings()
    """Durations of the ramps to and from the standing pose."""
    gait: str = ""
    """Commands held over the source's, for `held_commands.with_gait`; empty: none."""


def make_schedule(settings: RunSettings, robot: RobotModel) -> Schedule:
    """Who decides on the modes: the person with the remote, or the plan."""
    if settings.commands.strip() == REMOTE:
        return RemoteSchedule(settings.session.walk_s, robot.link_hz)
    return EpisodeSchedule(settings.session, robot.link_hz, robot.ticks_per_policy_step)


def make_metadata(bundle: Bundle, robot: RobotModel, settings: RunSettings) -> SessionMetadata:
    """The head of a new session's log."""
    # The random part keeps names apart where the clock is wrong, as on the robot.
    session_id = time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + "_" + uuid.uuid4().hex[:8]
    return SessionMetadata(
        session_id=session_id,
        contract_json=bundle.contract.to_json(),
        bundle_sha256=bundle.sha256,
        robot_sha256=robot.sha256,
        settings_json=json.dumps(asdict(settings), sort_keys=True),
    )
