"""The same link through the vendor's own SDK: theirs to the last byte, at 1.4 times the cost (benchmarks/codec.py).

Return codes of unitree_legged_sdk 3.8.20231105, measured: `Recv` gives 0 for a good state, -1 for nothing or a packet
without the right head, -3 for a damaged one; `Send` gives the bytes sent.
"""

from __future__ import annotations

import socket
import time
from collections import Counter
from types import ModuleType
from typing import Any, Optional

import numpy as np

from deploy.onboard.link import LinkError, LinkStatistics
from deploy.onboard.packet_layout import LEVEL_LOW, LOW_CMD, MOTORS
from deploy.onboard.wire import JointCommand, RobotState, checked_fields

_RECEIVED, _NOTHING = 0, -1
# Recv does not wait, and the binding does not hand out its socket; a twentieth of a control period is close enough.
_POLL_S = 1e-4


class VendorLink:
    """A link (`deploy.onboard.link.Link`) through `unitree_legged_sdk`."""

    def __init__(self, host: str, port: int, local_port: int = 0) -> None:
        """Talk to `host` (dotted IPv4) : `port` from `local_port` (0: any free one).

        Raises:
            LinkError: the SDK is not installed, the address is no dotted IPv4 address, or the local port is taken.
        """
        sdk = _import_sdk()
        _require_usable(host, local_port)
        self._udp = sdk.UDP(LEVEL_LOW, local_port, host, port)
        self._command = sdk.LowCmd()
        self._udp.InitCmdData(self._command)
        self._state = sdk.LowState()
        self._sent = 0
        self._unsent = 0
        self._received = 0
        self._refused: Counter[str] = Counter()
        self._closed = False

    @property
    def statistics(self) -> LinkStatistics:
        """Counts since the link was opened; the SDK does not tell how many packets it skips."""
        return LinkStatistics(self._sent, self._unsent, self._received, dict(self._refused), packets_skipped=0)

    def send(self, command: JointCommand) -> None:
        """Send one command (see `Link.send`); what would wrap is refused before the SDK sees it."""
        self._require_open()
        position, velocity, torque, stiffness, damping = checked_fields(command).tolist()
        modes = command.mode.tolist()
        for index, motor in enumerate(self._command.motorCmd[:MOTORS]):
            motor.mode = modes[index]
            motor.q = position[index]
            motor.dq = velocity[index]
            motor.tau = torque[index]
            motor.Kp = stiffness[index]
            motor.Kd = damping[index]
        self._udp.SetSend(self._command)
        if self._udp.Send() == LOW_CMD.itemsize:
            self._sent += 1
        else:
            self._unsent += 1

    def receive(self, timeout_s: float) -> Optional[RobotState]:
        """The newest state, or None (see `Link.receive`)."""
        self._require_open()
        deadline_s = time.monotonic() + timeout_s
        code = self._udp.Recv()
        while code == _NOTHING and time.monotonic() < deadline_s:
            time.sleep(_POLL_S)
            code = self._udp.Recv()
        if code == _NOTHING:
            return None
        if code != _RECEIVED:
            self._refused[f"vendor SDK code {code}"] += 1
            return None
        self._udp.GetRecv(self._state)
        self._received += 1
        return _robot_state(self._state)

    def close(self) -> None:
        """Release the SDK, which closes its socket; closing twice is allowed."""
        self._udp = None
        self._closed = True

    def _require_open(self) -> None:
        if self._closed:
            raise LinkError("an open link", "a closed one", "Open a new VendorLink.")


def _import_sdk() -> ModuleType:
    try:
        from unitree_legged_sdk import robot_interface
    except ImportError as error:
        raise LinkError(
            "the vendor's unitree-legged-sdk",
            str(error),
            "Install it with `pip install '.[go1sdk]'`, or use the default link.",
        ) from error
    return robot_interface


def _require_usable(host: str, local_port: int) -> None:
    """Raise for what the SDK, which reports nothing, would silently turn into a link that never works."""
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        socket.inet_pton(socket.AF_INET, host)
        probe.bind(("", local_port))
    except (OSError, OverflowError) as error:
        raise LinkError(
            "a dotted IPv4 address and a free local UDP port (0: any)",
            f"{host!r}, local port {local_port}: {error}",
            "Correct the address, or stop the other low-level client.",
        ) from error
    finally:
        probe.close()


def _robot_state(state: Any) -> RobotState:
    """The binding's LowState as our record."""
    motors = state.motorState[:MOTORS]  # once: the binding builds a list of all twenty at every access
    imu, battery = state.imu, state.bms
    return RobotState(
        tick_ms=state.tick,
        orientation_trunk_in_world=np.array(imu.quaternion, dtype=np.float32),
        angular_velocity_trunk_in_trunk=np.array(imu.gyroscope, dtype=np.float32),
        accelerometer_trunk_in_trunk=np.array(imu.accelerometer, dtype=np.float32),
        roll_pitch_yaw=np.array(imu.rpy, dtype=np.float32),
        imu_temperature=imu.temperature,
        joint_position=np.array([motor.q for motor in motors], dtype=np.float32),
        joint_velocity=np.array([motor.dq for motor in motors], dtype=np.float32),
        joint_torque=np.array([motor.tauEst for motor in motors], dtype=np.float32),
        joint_temperature=np.array([motor.temperature for motor in motors], dtype=np.int8),
        joint_mode=np.array([motor.mode for motor in motors], dtype=np.uint8),
        foot_force=np.array(state.footForce, dtype=np.int16),
        battery_soc_percent=battery.SOC,
        battery_current_ma=battery.current,
        battery_cell_mv=np.array(battery.cell_vol, dtype=np.int16),
        remote=bytes(state.wirelessRemote),
    )
