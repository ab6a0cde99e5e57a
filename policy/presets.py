"""Contracts of policies that other stacks trained, so that their logs and networks can be used here.

Scales and layout are those of walk-these-ways (Margolis and Agrawal, CoRL 2022; released as the repository of that
name), which Uni-O4 (Lei et al., ICLR 2024) took over for its real Go1 with a history of five frames. Isaac Lab's Go1
uses the same pose and, through its actuator network, the same gains. docs/import.md has the tables.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Dict

from policy.contract import CommandTerm, GaitClock, ObservationTerm, PolicyContract
from robot_configs.robot import RobotModel

# Factors by which an observation holds the 15 commands of walk-these-ways, in their order.
_COMMAND_SCALES = (2.0, 2.0, 0.25, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.15, 0.3, 0.3, 1.0, 1.0, 1.0)
# What Uni-O4's logs hold: ranges seen on the robot.
_UNI_O4_COMMANDS = (
    CommandTerm("velocity_x", "m/s", -2.0, 2.0),
    CommandTerm("velocity_y", "m/s", -0.6, 0.6),
    CommandTerm("yaw_rate", "rad/s", -3.0, 3.0),
    CommandTerm("body_height", "m", -0.25, 0.15),  # over the nominal height
    CommandTerm("gait_frequency", "Hz", 2.0, 4.0),
    CommandTerm("gait_phase", "cycle", 0.0, 1.0),
    CommandTerm("gait_offset", "cycle", 0.0, 1.0),
    CommandTerm("gait_bound", "cycle", 0.0, 1.0),
    CommandTerm("stance_duration", "cycle", 0.5, 0.5),
    CommandTerm("swing_height", "m", 0.03, 0.35),
    CommandTerm("body_pitch", "rad", -0.4, 0.4),
    CommandTerm("body_roll", "rad", 0.0, 0.0),
    CommandTerm("stance_width", "m", 0.33, 0.33),
    CommandTerm("stance_length", "m", 0.4, 0.4),
    CommandTerm("auxiliary_reward", "1", 0.0, 0.0),
)
# Ranges of scripts/train.py, whose curriculum goes on to 5 m/s and 5 rad/s; how far a given policy got is not in its
# files. Neutral values are those of its deployment (go1_gym_deploy, StateEstimator.get_command): a trot at 3 Hz.
_RELEASED_COMMANDS = (
    CommandTerm("vx", "m/s", -1.0, 1.0),
    CommandTerm("vy", "m/s", -0.6, 0.6),
    CommandTerm("yaw", "rad/s", -1.0, 1.0),
    CommandTerm("body_height", "m", -0.25, 0.15),
    CommandTerm("gait_frequency", "Hz", 2.0, 4.0, neutral=3.0),
    CommandTerm("gait_phase", "cycle", 0.0, 1.0, neutral=0.5),
    CommandTerm("gait_offset", "cycle", 0.0, 1.0),
    CommandTerm("gait_bound", "cycle", 0.0, 1.0),
    CommandTerm("stance_duration", "cycle", 0.5, 0.5),
    CommandTerm("swing_height", "m", 0.03, 0.35, neutral=0.08),
    CommandTerm("body_pitch", "rad", -0.4, 0.4),
    CommandTerm("body_roll", "rad", 0.0, 0.0),
    CommandTerm("stance_width", "m", 0.1, 0.45, neutral=0.33),
    CommandTerm("stance_length", "m", 0.35, 0.45, neutral=0.4),
    CommandTerm("auxiliary_reward", "1", 0.0, 0.0),
)
# UniformVelocityCommandCfg of Isaac Lab's velocity tasks.
_ISAAC_LAB_COMMANDS = (
    CommandTerm("vx", "m/s", -1.0, 1.0),
    CommandTerm("vy", "m/s", -1.0, 1.0),
    CommandTerm("yaw", "rad/s", -1.0, 1.0),
)
_LEGS = ("FL", "FR", "RL", "RR")
_JOINTS = ("hip", "thigh", "calf")
_STIFFNESS_NM_PER_RAD = 20.0
_DAMPING_NMS_PER_RAD = 0.5
_ACTION_SCALE_RAD = 0.25
_HIP_SCALE_FACTOR = 0.5
_JOINT_VELOCITY_SCALE = 0.05
_UNI_O4_HISTORY_LENGTH = 5
_RELEASED_HISTORY_LENGTH = 30
_RELEASED_ACTION_CLIP = 10.0


def walk_these_ways_contract(robot: RobotModel) -> PolicyContract:
    """The 58 x 5 observation and the action of the walk-these-ways family on this robot, as Uni-O4 uses it.

    A frame is projected gravity 3, commands 15, joint position minus default 12, joint velocity 12, last action 12
    and the four feet's clocks; the policy's joints are FL FR RL RR. The clocks' phase advances with the commanded
    frequency.
    """
    wire_order = robot.joint_names
    default = _default_position()
    return PolicyContract(
        robot=robot.name,
        joint_names=wire_order,
        policy_joint_names=tuple(f"{leg}_{joint}" for leg in _LEGS for joint in _JOINTS),
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
        commands=_UNI_O4_COMMANDS,
        terms=(
            ObservationTerm("projected_gravity", (1.0,)),
            ObservationTerm("command", _COMMAND_SCALES),
            ObservationTerm("joint_position", (1.0,)),
            ObservationTerm("joint_velocity", (_JOINT_VELOCITY_SCALE,)),
            ObservationTerm("last_action", (1.0,)),
            ObservationTerm("gait_clock", (1.0,)),
        ),
        history_length=_UNI_O4_HISTORY_LENGTH,
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


def walk_these_ways_release_contract(robot: RobotModel) -> PolicyContract:
    """The 70 x 30 observation of the policy that the walk-these-ways repository ships.

    A frame is that of `walk_these_ways_contract` with the action before the last ahead of the clocks. Before the first
    moment the history is zero, and actions are clipped before they are carried out and observed.
    """
    family = walk_these_ways_contract(robot)
    return replace(
        family,
        commands=_RELEASED_COMMANDS,
        terms=(*family.terms[:-1], ObservationTerm("action_before_last", (1.0,)), family.terms[-1]),
        history_length=_RELEASED_HISTORY_LENGTH,
        history_start="zeros",
        action_clip=_RELEASED_ACTION_CLIP,
    )


def isaac_lab_contract(robot: RobotModel) -> PolicyContract:
    """Isaac Lab's Go1 velocity task without the base's linear velocity, which the robot does not measure: 45 values.

    Its joints come by kind, not by leg: PhysX numbers them breadth-first. Nothing is scaled, the hips neither.
    """
    family = walk_these_ways_contract(robot)
    return replace(
        family,
        policy_joint_names=tuple(f"{leg}_{joint}" for joint in _JOINTS for leg in _LEGS),
        action_scale=(_ACTION_SCALE_RAD,) * len(robot.joint_names),
        commands=_ISAAC_LAB_COMMANDS,
        terms=(
            ObservationTerm("angular_velocity", (1.0,)),
            ObservationTerm("projected_gravity", (1.0,)),
            ObservationTerm("command", (1.0,)),
            ObservationTerm("joint_position", (1.0,)),
            ObservationTerm("joint_velocity", (1.0,)),
            ObservationTerm("last_action", (1.0,)),
        ),
        history_length=1,
        gait_clock=None,
    )


def _default_position() -> Dict[str, float]:
    """Pose at zero action [rad] by joint name; left hips turn outward by +0.1, right ones by -0.1."""
    pose: Dict[str, float] = {}
    for leg in _LEGS:
        pose[f"{leg}_hip"] = math.copysign(0.1, 1.0 if leg.endswith("L") else -1.0)
        pose[f"{leg}_thigh"] = 0.8 if leg.startswith("F") else 1.0
        pose[f"{leg}_calf"] = -1.5
    return pose
