"""Contracts of policies that other stacks trained, so that their logs and networks can be used here.

Scales and layout are those of walk-these-ways (Margolis and Agrawal, CoRL 2022; released as the repository of that
name), which Uni-O4 (Lei et al., ICLR 2024) took over for its real Go1 with a history of five frames.
"""

from __future__ import annotations

import math
from typing import Dict, Tuple

from policy.contract import CommandTerm, GaitClock, ObservationTerm, PolicyContract
from robot_configs.robot import RobotModel

# Order of the 15 commands, unit, range seen on the robot, and the factor by which an observation holds them.
_WALK_THESE_WAYS_COMMANDS: Tuple[Tuple[str, str, float, float, float], ...] = (
    ("velocity_x", "m/s", -2.0, 2.0, 2.0),
    ("velocity_y", "m/s", -0.6, 0.6, 2.0),
    ("yaw_rate", "rad/s", -3.0, 3.0, 0.25),
    ("body_height", "m", -0.25, 0.15, 2.0),  # over the nominal height
    ("gait_frequency", "Hz", 2.0, 4.0, 1.0),
    ("gait_phase", "cycle", 0.0, 1.0, 1.0),
    ("gait_offset", "cycle", 0.0, 1.0, 1.0),
    ("gait_bound", "cycle", 0.0, 1.0, 1.0),
    ("stance_duration", "cycle", 0.5, 0.5, 1.0),
    ("swing_height", "m", 0.03, 0.35, 0.15),
    ("body_pitch", "rad", -0.4, 0.4, 0.3),
    ("body_roll", "rad", 0.0, 0.0, 0.3),
    ("stance_width", "m", 0.33, 0.33, 1.0),
    ("stance_length", "m", 0.4, 0.4, 1.0),
    ("auxiliary_reward", "1", 0.0, 0.0, 1.0),
)
_LEGS = ("FL", "FR", "RL", "RR")
_STIFFNESS_NM_PER_RAD = 20.0
_DAMPING_NMS_PER_RAD = 0.5
_ACTION_SCALE_RAD = 0.25
_HIP_SCALE_FACTOR = 0.5
_JOINT_VELOCITY_SCALE = 0.05
_HISTORY_LENGTH = 5


def walk_these_ways_contract(robot: RobotModel) -> PolicyContract:
    """The 58 x 5 observation and the action of the walk-these-ways family on this robot.

    A frame is projected gravity 3, commands 15, joint position minus default 12, joint velocity 12, last action 12
    and the four feet's clocks; the policy's joints are FL FR RL RR. The clocks' phase advances with the commanded
    frequency.
    """
    wire_order = robot.joint_names
    policy_order = tuple(f"{leg}_{joint}" for leg in _LEGS for joint in ("hip", "thigh", "calf"))
    default = _default_position()
    return PolicyContract(
        robot=robot.name,
        joint_names=wire_order,
        policy_joint_names=policy_order,
        control_hz=robot.control_hz,
        link_hz=robot.link_hz,
        stiffness=(_STIFFNESS_NM_PER_RAD,) * len(wire_order),
        damping=(_DAMPING_NMS_PER_RAD,) * len(wire_order),
        default_position=tuple(default[name] for name in wire_order),
        action_scale=tuple(
            _ACTION_SCALE_RAD * (_HIP_SCALE_FACTOR if name.endswith("_hip") else 1.0) for name in wire_order
        ),
        target_lower=tuple(robot.joint_lower.tolist()),
        target_upper=tuple(robot.joint_upper.tolist()),
        commands=tuple(
            CommandTerm(name, unit, lower, upper) for name, unit, lower, upper, _ in _WALK_THESE_WAYS_COMMANDS
        ),
        terms=(
            ObservationTerm("projected_gravity", (1.0,)),
            ObservationTerm("command", tuple(scale for *_, scale in _WALK_THESE_WAYS_COMMANDS)),
            ObservationTerm("joint_position", (1.0,)),
            ObservationTerm("joint_velocity", (_JOINT_VELOCITY_SCALE,)),
            ObservationTerm("last_action", (1.0,)),
            ObservationTerm("gait_clock", (1.0,)),
        ),
        history_length=_HISTORY_LENGTH,
        gait_clock=GaitClock(
            frequency="gait_frequency",
            channels=(
                ("gait_phase", "gait_offset", "gait_bound"),
                ("gait_offset",),
                ("gait_bound",),
                ("gait_phase",),
            ),
            waveform="sin",
            stand_below=0.0,
        ),
        observation_mean=(),
        observation_std=(),
    )


def _default_position() -> Dict[str, float]:
    """Pose at zero action [rad] by joint name; left hips turn outward by +0.1, right ones by -0.1."""
    pose: Dict[str, float] = {}
    for leg in _LEGS:
        pose[f"{leg}_hip"] = math.copysign(0.1, 1.0 if leg.endswith("L") else -1.0)
        pose[f"{leg}_thigh"] = 0.8 if leg.startswith("F") else 1.0
        pose[f"{leg}_calf"] = -1.5
    return pose
