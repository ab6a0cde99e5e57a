"""What one tick of the link costs in Python: our codec against the vendor's binding, in one run.

    python -m benchmarks.codec [--rounds 50] [--json FILE]

Both do the whole of the same work over loopback sockets: send one `JointCommand`, receive one `RobotState`. The two
take turns, and processor time is measured, so that whatever else the machine does meets both or neither; what counts is
the ratio of the medians.
"""

from __future__ import annotations

import argparse
import json
import socket
import statistics
import time
from pathlib import Path
from typing import Callable, Dict, List, Optional

import numpy as np

from deploy.onboard.link import Link, LinkError, PacketLink, UdpTransport
from deploy.onboard.packet_layout import MOTORS
from deploy.onboard.vendor_link import VendorLink
from deploy.onboard.wire import (
    MOTOR_MODE_SERVO,
    JointCommand,
    RobotState,
    decode_low_cmd,
    decode_low_state,
    encode_low_cmd,
    encode_low_state,
)

LOOPBACK = "127.0.0.1"
CALLS_A_ROUND = 50


def some_state() -> RobotState:
    """A robot at rest."""
    return RobotState(
        tick_ms=1,
        orientation_trunk_in_world=np.array([1.0, 0.0, 0.0, 0.0]),
        angular_velocity_trunk_in_trunk=np.zeros(3),
        accelerometer_trunk_in_trunk=np.array([0.0, 0.0, 9.81]),
        roll_pitch_yaw=np.zeros(3),
        imu_temperature=40,
        joint_position=np.linspace(-1.0, 1.0, 12),
        joint_velocity=np.linspace(-1.0, 1.0, 12),
        joint_torque=np.linspace(-10.0, 10.0, 12),
        joint_temperature=np.full(12, 30, dtype=np.int8),
        joint_mode=np.full(12, MOTOR_MODE_SERVO, dtype=np.uint8),
        foot_force=np.zeros(4, dtype=np.int16),
        battery_soc_percent=80,
        battery_current_ma=-2000,
        battery_cell_mv=np.full(10, 4000, dtype=np.int16),
        remote=bytes(40),
    )


class VendorExamplesLink(VendorLink):
    """The binding as the vendor's Python examples use it: `cmd.motorCmd[i].q = ...`, field by field."""

    def send(self, command: JointCommand) -> None:
        """Every access builds a list of all twenty motors anew."""
        for index in range(MOTORS):
            self._command.motorCmd[index].mode = int(command.mode[index])
            self._command.motorCmd[index].q = float(command.position[index])
            self._command.motorCmd[index].dq = float(command.velocity[index])
            self._command.motorCmd[index].tau = float(command.torque[index])
            self._command.motorCmd[index].Kp = float(command.stiffness[index])
            self._command.motorCmd[index].Kd = float(command.damping[index])
        self._udp.SetSend(self._command)
        self._udp.Send()

    def receive(self, timeout_s: float) -> Optional[RobotState]:
        """A record, as our links hand out, read motor by motor."""
        if self._udp.Recv() != 0:
            return None
        self._udp.GetRecv(self._state)
        state = self._state
        joints = range(MOTORS)
        return RobotState(
            tick_ms=state.tick,
            orientation_trunk_in_world=np.array(state.imu.quaternion, dtype=np.float32),
            angular_velocity_trunk_in_trunk=np.array(state.imu.gyroscope, dtype=np.float32),
            accelerometer_trunk_in_trunk=np.array(state.imu.accelerometer, dtype=np.float32),
            roll_pitch_yaw=np.array(state.imu.rpy, dtype=np.float32),
            imu_temperature=state.imu.temperature,
            joint_position=np.array([state.motorState[i].q for i in joints], dtype=np.float32),
            joint_velocity=np.array([state.motorState[i].dq for i in joints], dtype=np.float32),
            joint_torque=np.array([state.motorState[i].tauEst for i in joints], dtype=np.float32),
            joint_temperature=np.array([state.motorState[i].temperature for i in joints], dtype=np.int8),
            joint_mode=np.array([state.motorState[i].mode for i in joints], dtype=np.uint8),
            foot_force=np.array(state.footForce, dtype=np.int16),
            battery_soc_percent=state.bms.SOC,
            battery_current_ma=state.bms.current,
            battery_cell_mv=np.array(state.bms.cell_vol, dtype=np.int16),
            remote=bytes(state.wirelessRemote),
        )


class Robot:
    """The other end of a link: swallows commands, answers with one fixed state whenever asked to."""

    def __init__(self, open_link: Callable[[str, int], Link], command: JointCommand) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((LOOPBACK, 0))
        self._socket.settimeout(5.0)
        self._answer = encode_low_state(some_state())
        self._command = command
        self.link = open_link(LOOPBACK, self._socket.getsockname()[1])

    def tick_s(self) -> float:
        """Processor seconds of the client's side of one tick: send a command, receive a state that is already there."""
        started_s = time.thread_time()
        self.link.send(self._command)
        sent_s = time.thread_time()
        _, client = self._socket.recvfrom(2048)
        self._socket.sendto(self._answer, client)
        answered_s = time.thread_time()
        if self.link.receive(5.0) is None:
            raise SystemExit("a state was lost on loopback: the figures would mean nothing")
        return time.thread_time() - answered_s + sent_s - started_s

    def close(self) -> None:
        """Close both ends."""
        self.link.close()
        self._socket.close()


def seconds_a_call(function: Callable[[], object]) -> float:
    """Processor seconds, the mean over one round."""
    started_s = time.thread_time()
    for _ in range(CALLS_A_ROUND):
        function()
    return (time.thread_time() - started_s) / CALLS_A_ROUND


def measure(rounds: int) -> Dict[str, float]:
    """Medians over the rounds [us of processor time], and the vendor's tick over ours."""
    command = JointCommand.servo(np.linspace(-0.5, 0.5, 12), 20.0, 0.5)
    low_cmd, low_state, state = encode_low_cmd(command), encode_low_state(some_state()), some_state()
    ours = Robot(lambda host, port: PacketLink(UdpTransport(host, port)), command)
    vendor = Robot(VendorLink, command)
    examples = Robot(VendorExamplesLink, command)
    cases: Dict[str, Callable[[], object]] = {
        "encode_low_cmd_us": lambda: encode_low_cmd(command),
        "decode_low_cmd_us": lambda: decode_low_cmd(low_cmd),
        "encode_low_state_us": lambda: encode_low_state(state),
        "decode_low_state_us": lambda: decode_low_state(low_state),
    }
    samples: Dict[str, List[float]] = {
        name: [] for name in [*cases, "our_tick_us", "vendor_tick_us", "vendor_examples_tick_us"]
    }
    for _ in range(rounds):
        for name, function in cases.items():
            samples[name].append(seconds_a_call(function))
        for _ in range(CALLS_A_ROUND):
            samples["our_tick_us"].append(ours.tick_s())
            samples["vendor_tick_us"].append(vendor.tick_s())
            samples["vendor_examples_tick_us"].append(examples.tick_s())
    for robot in (ours, vendor, examples):
        robot.close()
    figures = {name: round(1e6 * statistics.median(values), 1) for name, values in samples.items()}
    return {**figures, "vendor_over_ours": round(figures["vendor_tick_us"] / figures["our_tick_us"], 2)}


def main() -> None:
    """Measure, print, and write the figures where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50, help=f"of {CALLS_A_ROUND} calls each (default: 50)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    try:
        figures = measure(arguments.rounds)
    except LinkError as error:
        raise SystemExit(str(error)) from error
    for name, value in figures.items():
        print(f"{name:22s} {value:8.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
