"""One recording of Uni-O4's real Go1 (HDF5), in our units, frames and joint order, with what its tracker lost.

Layout of `states` (N, 76), found by the published recorder and checked on its 130 files:

    0:3 gravity in trunk | 3:18 command x scales | 18:30 joints - default | 30:42 joint rates x 0.05 | 42:54 last
    action | 54:58 gait clocks | 58:61 T265 position | 61:64 velocity | 64:67 acceleration | 67:70 roll pitch yaw |
    70:73 angular velocity | 73:76 angular acceleration;     the T265's vectors are in its world frame

Findings behind the constants, over all files (119,000 upright steps):
- `actions[i]` is `states[i + 1, 42:54]`, in every row: row i is what the policy saw before action i.
- T265 angular velocity, turned into the trunk by the T265's own attitude, predicts the change of the IMU's gravity
with a
  correlation of 0.97; taken as it stands, with 0.56 to 0.64. Mounting: a turn about z correlates best with the legs
  at 0 degrees (0.960 at 0, 0.959 at 5), and its roll and pitch agree with the IMU within 3 degrees.
- The T265 sits 12 cm above and 6.6 cm before the trunk's origin: least squares of its velocity minus leg odometry on
w x r. - Targets of the previous action, PD gains of the contract and J^-T give the feet a support of 119 N (median;
the robot
  weighs 125 N): a support below 50 N over half a second while upright is a robot in somebody's hands.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from offline_data.velocity import GRAVITY_M_S2
from policy.contract import PolicyContract
from robot_configs.errors import Go1Error
from robot_configs.kinematics import foot_jacobian_in_trunk
from robot_configs.robot import RobotModel

STATE_WIDTH = 76
UPRIGHT_GRAVITY_Z = -0.9
"""Below it the trunk is within 26 degrees of level."""
_TRACKER_FROM_TRUNK_M = np.array([0.066, 0.0, 0.12])
_TELEPORT_M_S = 2.0
"""Position steps may differ from the velocity by this much; 99 % of the steps of a good file stay below 1 m/s."""
_TELEPORT_REACH_S = 0.2
_CLIMB_M_S = 0.35
"""Mean vertical speed over half a second that no upright Go1 on a floor has; good files stay below 0.2."""
_IMPOSSIBLE_SPEED_M_S = 2.5
_ATTITUDE_DISAGREEMENT_RAD = np.deg2rad(6.0)
"""Between the T265's gravity and the IMU's; 95 % of every good file are below 4.7 degrees."""
_CARRIED_SUPPORT = 0.4
"""Share of the weight that the feet bear at least when the robot stands on them."""
_WINDOW_S = 0.5


class RecordingError(Go1Error):
    """A file is no recording of this kind."""


@dataclass(frozen=True)
class Recording:
    """Signals of N policy steps; joints in wire order unless said otherwise, SI units."""

    path: Path
    projected_gravity_in_trunk: np.ndarray
    orientation_trunk_in_world: np.ndarray
    """(N, 4) roll and pitch of the recorded gravity, yaw of the T265."""
    angular_velocity_trunk_in_trunk: np.ndarray
    """(N, 3) of the T265: there is no gyroscope in these files."""
    velocity_trunk_in_trunk: np.ndarray
    """(N, 3) of the trunk's origin, from the T265."""
    joint_position: np.ndarray
    joint_velocity: np.ndarray
    joint_torque: np.ndarray
    """(N, 12) what the PD law makes of the previous step's target: there is no measured torque."""
    joint_target: np.ndarray
    """(N, 12) as sent by their runner, without our limits."""
    command: np.ndarray
    """(N, C) physical units."""
    action: np.ndarray
    """(N, 12) raw, policy joint order."""
    gait_clock: np.ndarray
    """(N, 4) as recorded."""
    frame: np.ndarray
    """(N, 58) the observation of one moment, as recorded."""
    losses: dict[str, np.ndarray]
    """Cause -> (N,) bool: steps whose tracker velocity is not to be believed, or that somebody else made."""


def read_recording(path: Path, contract: PolicyContract, robot: RobotModel) -> Recording:
    """Reads and converts one file.

    Raises:
        RecordingError: no HDF5 file, not this layout, or numbers that are not finite.
    """
    states, actions = _load(path, len(contract.joint_names))
    scale = {term.name: np.array(term.scale) for term in contract.terms}
    to_wire = [contract.policy_joint_names.index(name) for name in contract.joint_names]
    default = np.array(contract.default_position)
    joint_position = states[:, 18:30][:, to_wire] / scale["joint_position"] + default
    joint_velocity = states[:, 30:42][:, to_wire] / scale["joint_velocity"]
    action_scale = np.array(contract.action_scale)
    target = default + action_scale * actions[:, to_wire]
    acting_target = default + action_scale * states[:, 42:54][:, to_wire]
    torque = np.clip(
        np.array(contract.stiffness) * (acting_target - joint_position) - np.array(contract.damping) * joint_velocity,
        -robot.torque_limit,
        robot.torque_limit,
    )
    tracker = _rotation(states[:, 67:70])
    angular_velocity = np.einsum("nji,nj->ni", tracker, states[:, 70:73])
    velocity = np.einsum("nji,nj->ni", tracker, states[:, 61:64]) - np.cross(angular_velocity, _TRACKER_FROM_TRUNK_M)
    gravity = states[:, 0:3]
    losses = _tracker_losses(states, tracker, contract.control_hz)
    losses["carried"] = _carried(gravity, joint_position, torque, robot)
    return Recording(
        path=path,
        projected_gravity_in_trunk=gravity,
        orientation_trunk_in_world=_quaternion(gravity, states[:, 69]),
        angular_velocity_trunk_in_trunk=angular_velocity,
        velocity_trunk_in_trunk=velocity,
        joint_position=joint_position,
        joint_velocity=joint_velocity,
        joint_torque=torque,
        joint_target=target,
        command=states[:, 3:18] / scale["command"],
        action=actions,
        gait_clock=states[:, 54:58],
        frame=states[:, 0:58],
        losses=losses,
    )


def moving_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Centred mean (N,) over an odd window, edges repeated."""
    half = window // 2
    padded = np.pad(values.astype(np.float64), (half, half), mode="edge")
    return np.convolve(padded, np.full(2 * half + 1, 1.0 / (2 * half + 1)), mode="valid")


def _load(path: Path, joints: int) -> tuple[np.ndarray, np.ndarray]:
    try:
        with h5py.File(path, "r") as file:
            missing = [name for name in ("states", "actions") if name not in file]
            if missing:
                raise RecordingError(
                    f"the data sets states and actions in {path}",
                    f"{sorted(file)}",
                    "Give the folder of Uni-O4's real Go1 recordings.",
                )
            states = np.asarray(file["states"], dtype=np.float64)
            actions = np.asarray(file["actions"], dtype=np.float64)
    except OSError as error:
        raise RecordingError(f"an HDF5 file at {path}", f"{error}", "Copy the file anew, or remove it.") from None
    if states.shape != (len(actions), STATE_WIDTH) or actions.shape[1:] != (joints,):
        raise RecordingError(
            f"states (N, {STATE_WIDTH}) and actions (N, {joints}) in {path}",
            f"{states.shape} and {actions.shape}",
            "This importer reads the layout of Uni-O4's real-robot recorder only.",
        )
    if not (np.isfinite(states).all() and np.isfinite(actions).all()):
        raise RecordingError(f"finite numbers in {path}", "NaN or infinity", "Remove the file, it is damaged.")
    return states, actions


def _tracker_losses(states: np.ndarray, tracker: np.ndarray, control_hz: int) -> dict[str, np.ndarray]:
    """Steps at which the T265 contradicts itself, the IMU, or what a walking robot can do."""
    window = round(_WINDOW_S * control_hz) | 1
    position, velocity = states[:, 58:61], states[:, 61:64]
    upright = states[:, 2] < UPRIGHT_GRAVITY_Z
    stepped = np.diff(position, axis=0) * control_hz
    contradiction = np.linalg.norm(stepped - 0.5 * (velocity[1:] + velocity[:-1]), axis=1) > _TELEPORT_M_S
    teleport = np.append(False, contradiction) | np.append(contradiction, False)
    # Of the speeds only upright steps count: in a fall they are real.
    share = moving_mean(upright, window)
    climb = np.divide(moving_mean(velocity[:, 2] * upright, window), share, out=np.zeros(len(share)), where=share > 0.2)
    agreement = np.clip((states[:, 0:3] * -tracker[:, 2, :]).sum(axis=1), -1.0, 1.0)
    return {
        "teleport": _widened(teleport, round(_TELEPORT_REACH_S * control_hz)),
        "climb": upright & (np.abs(climb) > _CLIMB_M_S),
        "speed": _widened(upright & (np.linalg.norm(velocity, axis=1) > _IMPOSSIBLE_SPEED_M_S), window // 2),
        "attitude": np.arccos(agreement) > _ATTITUDE_DISAGREEMENT_RAD,
    }


def _carried(
    gravity: np.ndarray, joint_position: np.ndarray, joint_torque: np.ndarray, robot: RobotModel
) -> np.ndarray:
    """Upright steps around which the feet bear little of the weight: F = -J^-T tau, summed against gravity."""
    jacobian = foot_jacobian_in_trunk(robot, joint_position)
    force = -np.linalg.solve(np.swapaxes(jacobian, -1, -2), joint_torque.reshape(-1, 4, 3)[..., None])[..., 0]
    support = -np.einsum("nfi,ni->n", force, gravity)
    window = round(_WINDOW_S * robot.control_hz) | 1
    light = moving_mean(support, window) < _CARRIED_SUPPORT * robot.total_mass_kg * GRAVITY_M_S2
    upright = gravity[:, 2] < UPRIGHT_GRAVITY_Z
    return upright & _widened(light & upright, window // 2)


def _widened(mask: np.ndarray, reach: int) -> np.ndarray:
    """The mask and `reach` steps on both sides of it."""
    return moving_mean(mask, 2 * reach + 1) > 0.5 / (2 * reach + 1)


def _rotation(roll_pitch_yaw: np.ndarray) -> np.ndarray:
    """(N, 3, 3) body to world, R = Rz(yaw) Ry(pitch) Rx(roll)."""
    (sr, sp, sy), (cr, cp, cy) = np.sin(roll_pitch_yaw).T, np.cos(roll_pitch_yaw).T
    rows = [
        [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
        [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
        [-sp, cp * sr, cp * cr],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _quaternion(gravity: np.ndarray, yaw: np.ndarray) -> np.ndarray:
    """(N, 4) w x y z of the attitude with this gravity direction in the trunk and this heading."""
    pitch = np.arcsin(np.clip(gravity[:, 0], -1.0, 1.0))
    roll = np.arctan2(-gravity[:, 1], -gravity[:, 2])
    (sr, sp, sy), (cr, cp, cy) = (function(0.5 * np.stack([roll, pitch, yaw])) for function in (np.sin, np.cos))
    return np.stack(
        [
            cr * cp * cy + sr * sp * sy,
            sr * cp * cy - cr * sp * sy,
            cr * sp * cy + sr * cp * sy,
            cr * cp * sy - sr * sp * cy,
        ],
        axis=1,
    )
