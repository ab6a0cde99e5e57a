"""Commands to the motors and states from them, as records in SI units, and the packets that carry them.

    JointCommand (`joint_command`)  <- LowCmdDecoder, LowCmdEncoder (`low_cmd_codec`) ->      LowCmd, 614 bytes
    RobotState (`robot_state`)      <- LowStateDecoder, LowStateEncoder (`low_state_codec`) -> LowState, 807 bytes

The layout of the bytes is in `packet_layout`. The vendor's encoder lets what its fixed point cannot hold wrap around
(200 Nm leaves as -56 Nm); ours refuses it. Whoever handles packets by the hundred keeps a codec of their own; the
functions here make one for each packet.
"""

from __future__ import annotations

from typing import Tuple

import numpy as np

from deploy.onboard.joint_command import (
    MOTOR_MODE_DAMPING,
    MOTOR_MODE_OVERHEATED,
    MOTOR_MODE_SERVO,
    JointCommand,
)
from deploy.onboard.low_cmd_codec import LowCmdDecoder, LowCmdEncoder, checked_fields
from deploy.onboard.low_state_codec import LowStateDecoder, LowStateEncoder
from deploy.onboard.packet_layout import MOTORS, POSITION_STOP, VELOCITY_STOP
from deploy.onboard.robot_state import RobotState

__all__ = [
    "MOTOR_MODE_DAMPING",
    "MOTOR_MODE_OVERHEATED",
    "MOTOR_MODE_SERVO",
    "POSITION_STOP",
    "VELOCITY_STOP",
    "JointCommand",
    "LowCmdDecoder",
    "LowCmdEncoder",
    "LowStateDecoder",
    "LowStateEncoder",
    "RobotState",
    "checked_fields",
    "decode_low_cmd",
    "decode_low_state",
    "encode_low_cmd",
    "encode_low_state",
    "quantize_gains",
]


def encode_low_cmd(command: JointCommand) -> bytes:
    """The 614 bytes of `command` (see `LowCmdEncoder.encode`)."""
    return LowCmdEncoder().encode(command)


def decode_low_cmd(packet: bytes) -> JointCommand:
    """What the motors read out of 614 bytes (see `LowCmdDecoder.decode`)."""
    return LowCmdDecoder().decode(packet)


def encode_low_state(state: RobotState) -> bytes:
    """The 807 bytes a robot in `state` sends (see `LowStateEncoder.encode`)."""
    return LowStateEncoder().encode(state)


def decode_low_state(packet: bytes) -> RobotState:
    """What a robot measured, out of 807 bytes (see `LowStateDecoder.decode`)."""
    return LowStateDecoder().decode(packet)


def quantize_gains(stiffness: np.ndarray, damping: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """The gains, (12,) float32 each, that a motor really receives when these (12,) are sent.

    Raises:
        FixedPointRangeError: a gain is not finite, negative, or does not fit.
    """
    zeros = np.zeros(MOTORS)
    mode = np.full(MOTORS, MOTOR_MODE_SERVO, dtype=np.uint8)
    received = decode_low_cmd(encode_low_cmd(JointCommand(mode, zeros, zeros, zeros, stiffness, damping)))
    return received.stiffness, received.damping
