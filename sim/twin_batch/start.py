"""How robots of a batch come onto their feet: folded at the origin, settled, and stood up, as in front of the wire.

tests/sim/twin_batch/test_start.py holds the settled poses equal to the twin's bit by bit.
"""

from __future__ import annotations

from typing import Sequence

import mujoco
import numpy as np

from deploy.onboard.modes import ModeSettings, PoseRamp
from robot_configs.robot import RobotModel
from robot_configs.twin_conditions import TwinCondition
from sim.twin.handling import DROP_HEIGHT_M, SETTLE_LIMIT_S, SETTLED_LOOK_STEPS, SETTLED_RAD_S
from sim.twin.world import PHYSICS_STEP_S, ground_quaternion
from sim.twin_batch.motors import BatchMotors
from sim.twin_batch.simulations import Simulations


def fold_at_origin(
    simulations: Simulations, condition: TwinCondition, robot: RobotModel, generators: Sequence[np.random.Generator]
) -> None:
    """Upright, at rest, legs folded, just above the ground; every robot draws its own pose."""
    spread = condition.disturbance.start_joint_spread_rad
    rows = np.arange(len(generators))
    qpos = np.zeros((len(rows), simulations.model.nq))
    qpos[:, 3:7] = ground_quaternion(condition.ground)
    for row, generator in enumerate(generators):
        qpos[row, 7:19] = robot.sit_position + generator.uniform(-spread, spread, size=12)
    simulations.place(rows, qpos)
    normal = np.empty(3)
    mujoco.mju_rotVecQuat(normal, np.array([0.0, 0.0, 1.0]), ground_quaternion(condition.ground))
    feet = [simulations.model.geom(f"{name}_foot").id for name in robot.foot_names]
    centers = simulations.derived("geom_xpos")[:, feet]
    for pose, own in zip(qpos, centers, strict=True):
        lowest = min(float(normal @ center) - robot.geometry.foot_radius for center in own)
        pose[:3] = normal * (DROP_HEIGHT_M - lowest)
    simulations.place(rows, qpos)


def settle(simulations: Simulations, motors: BatchMotors) -> None:
    """Let each folded robot sink until it rests, motors braking; one that rests is not stepped any more."""
    moving = np.ones(len(simulations.qpos), dtype=bool)
    for step in range(round(SETTLE_LIMIT_S / PHYSICS_STEP_S)):
        torque = motors.torque(step, simulations.qpos[:, 7:19], simulations.qvel[:, 6:18])
        simulations.step(torque, moving)
        if step % SETTLED_LOOK_STEPS == SETTLED_LOOK_STEPS - 1:
            moving &= np.abs(simulations.qvel).max(axis=1) >= SETTLED_RAD_S
            if not moving.any():
                return


def stand_ramp(robot: RobotModel, measured: np.ndarray) -> PoseRamp:
    """The onboard runner's ramp from measured poses (N, 12) [rad] onto the feet."""
    return PoseRamp(robot, measured, robot.stand_position, ModeSettings(), None)
