"""The contract of our own velocity-tracking policies."""

from __future__ import annotations

from policy.contract import CommandTerm, GaitClock, ObservationTerm, PolicyContract
from robot_configs.robot import RobotModel

GAIT_FREQUENCY_HZ = 2.5
STANDING_COMMAND_BELOW = 0.1
SETTLE_S = 0.8  # two strides


def velocity_contract(robot: RobotModel) -> PolicyContract:
    """47 observed values a moment, no base velocity: what the robot measures, command, last action, a trot's clock.

    Gains: 30 Nm/rad is between walk-these-ways (20) and playground (35); 0.75 is exact on the wire (12/16).
    """
    joints = len(robot.joint_names)
    return PolicyContract(
        robot=robot.name,
        joint_names=robot.joint_names,
        policy_joint_names=robot.joint_names,
        control_hz=robot.control_hz,
        link_hz=robot.link_hz,
        stiffness=(30.0,) * joints,
        damping=(0.75,) * joints,
        default_position=tuple(robot.stand_position.tolist()),
        action_scale=(0.35,) * joints,
        target_lower=tuple(robot.joint_lower.tolist()),
        target_upper=tuple(robot.joint_upper.tolist()),
        commands=(
            # With these slews, from the fastest walk to standing takes 0.4 s, which is a step or two. A policy
            # whose clock has stopped stops its feet at once, and at 1.4 m/s the trunk falls over them: it goes on.
            CommandTerm("vx", "m/s", -1.5, 1.5, slew_per_s=4.0),
            CommandTerm("vy", "m/s", -0.8, 0.8, slew_per_s=4.0),
            CommandTerm("yaw", "rad/s", -1.5, 1.5, slew_per_s=8.0),
        ),
        terms=(
            ObservationTerm("projected_gravity", (1.0,)),
            ObservationTerm("angular_velocity", (0.25,)),
            ObservationTerm("command", (1.0,)),
            ObservationTerm("joint_position", (1.0,)),
            ObservationTerm("joint_velocity", (0.05,)),
            ObservationTerm("last_action", (0.5,)),
            ObservationTerm("gait_clock", (1.0,)),
        ),
        history_length=1,
        gait_clock=GaitClock(GAIT_FREQUENCY_HZ, ((),), "sin_cos", STANDING_COMMAND_BELOW, SETTLE_S),
        observation_mean=(),
        observation_std=(),
    )
