"""Kinematics of the legs: foot positions and their Jacobians in the trunk frame, batched NumPy.

Hip turns about +x, thigh and calf about +y (Unitree's go1_description). With q = (hip, thigh, calf), side s = +1 left,
-1 right, l_t and l_c the link lengths:

    p_leg = (-l_t sin q1 - l_c sin(q1 + q2),  s d,  -l_t cos q1 - l_c cos(q1 + q2))      in the hip frame
    p     = root + R_x(q0) p_leg
"""

from __future__ import annotations

from typing import Tuple

import numpy as np

from robot_configs.robot import LegGeometry, RobotModel


def leg_roots_in_trunk(robot: RobotModel) -> np.ndarray:
    """Hip axes in the trunk frame, shape (4, 3) [m], in the order of `robot.foot_names`."""
    geometry = robot.geometry
    signs = [_leg_signs(name) for name in robot.foot_names]
    return np.array([[front * geometry.leg_root_x, side * geometry.leg_root_y, 0.0] for front, side in signs])


def foot_position_in_trunk(robot: RobotModel, joint_position: np.ndarray) -> np.ndarray:
    """Centres of the feet in the trunk frame.

    Args:
        joint_position: (..., 12) [rad], wire order.

    Returns:
        (..., 4, 3) [m].
    """
    hip, thigh, calf = _split(joint_position)
    x, y, z = _foot_in_hip_frame(robot.geometry, _sides(robot), thigh, calf)
    cos, sin = np.cos(hip), np.sin(hip)
    return leg_roots_in_trunk(robot) + np.stack([x, cos * y - sin * z, sin * y + cos * z], axis=-1)


def foot_jacobian_in_trunk(robot: RobotModel, joint_position: np.ndarray) -> np.ndarray:
    """Derivative of each foot's position by its own three joints.

    Args:
        joint_position: (..., 12) [rad], wire order.

    Returns:
        (..., 4, 3, 3) [m/rad]; last axis: hip, thigh, calf.
    """
    hip, thigh, calf = _split(joint_position)
    geometry = robot.geometry
    x, y, z = _foot_in_hip_frame(geometry, _sides(robot), thigh, calf)
    cos, sin = np.cos(hip), np.sin(hip)
    zero = np.zeros_like(hip)
    x_thigh, z_thigh = z, -x  # turning the whole leg about y: dx = z, dz = -x
    x_calf = -geometry.calf_length * np.cos(thigh + calf)
    z_calf = geometry.calf_length * np.sin(thigh + calf)
    columns = [
        np.stack([zero, -sin * y - cos * z, cos * y - sin * z], axis=-1),
        np.stack([x_thigh, -sin * z_thigh, cos * z_thigh], axis=-1),
        np.stack([x_calf, -sin * z_calf, cos * z_calf], axis=-1),
    ]
    return np.stack(columns, axis=-1)


def _split(joint_position: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    legs = np.asarray(joint_position).reshape(np.shape(joint_position)[:-1] + (4, 3))
    return legs[..., 0], legs[..., 1], legs[..., 2]


def _foot_in_hip_frame(
    geometry: LegGeometry, sides: np.ndarray, thigh: np.ndarray, calf: np.ndarray
) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    x = -geometry.thigh_length * np.sin(thigh) - geometry.calf_length * np.sin(thigh + calf)
    y = np.broadcast_to(sides * geometry.hip_offset, thigh.shape)
    z = -geometry.thigh_length * np.cos(thigh) - geometry.calf_length * np.cos(thigh + calf)
    return x, y, z


def _sides(robot: RobotModel) -> np.ndarray:
    return np.array([_leg_signs(name)[1] for name in robot.foot_names])


def _leg_signs(name: str) -> Tuple[float, float]:
    """(+1 front, -1 rear), (+1 left, -1 right) from a leg's name such as `FR`."""
    return (1.0 if name[0] == "F" else -1.0), (1.0 if name[1] == "L" else -1.0)
