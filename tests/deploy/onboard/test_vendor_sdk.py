"""Our packets against the vendor's own SDK, over loopback UDP: it must send what we send and read what we write."""

from __future__ import annotations

import socket
import time
from typing import Any, Iterator, Tuple

import numpy as np
import pytest

from deploy.onboard.link import LinkError, PacketLink, UdpTransport
from deploy.onboard.packet_layout import LEVEL_HIGH, LEVEL_LOW, LOW_CMD, LOW_STATE, FixedPointRangeError, crc32_mpeg2
from deploy.onboard.remote import Key, encode_remote
from deploy.onboard.vendor_link import VendorLink
from deploy.onboard.wire import (
    MOTOR_MODE_DAMPING,
    MOTOR_MODE_OVERHEATED,
    MOTOR_MODE_SERVO,
    POSITION_STOP,
    VELOCITY_STOP,
    JointCommand,
    RobotState,
    decode_low_cmd,
    decode_low_state,
    encode_low_cmd,
    encode_low_state,
)
from robot_configs.robot import load_robot

sdk = pytest.importorskip(
    "unitree_legged_sdk.robot_interface", reason="needs the vendor's SDK: pip install '.[go1sdk]'", exc_type=ImportError
)
LOOPBACK = "127.0.0.1"
ARRIVAL_S = 2.0


class RobotSocket:
    """The robot's end of the wire: a bare UDP socket."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((LOOPBACK, 0))
        self.socket.settimeout(ARRIVAL_S)
        self.port: int = self.socket.getsockname()[1]
        self.client: Tuple[str, int] = ("", 0)

    def receive(self) -> bytes:
        packet, self.client = self.socket.recvfrom(2048)
        return packet

    def send(self, packet: bytes) -> None:
        self.socket.sendto(packet, self.client)


@pytest.fixture
def robot_socket() -> Iterator[RobotSocket]:
    robot = RobotSocket()
    yield robot
    robot.socket.close()


class VendorClient:
    """The SDK as the vendor's examples use it."""

    def __init__(self, robot: RobotSocket) -> None:
        self.robot = robot
        self.udp = sdk.UDP(LEVEL_LOW, 0, LOOPBACK, robot.port)
        self.command = sdk.LowCmd()
        self.udp.InitCmdData(self.command)

    def sent(self) -> bytes:
        """What the SDK puts on the wire for `command`."""
        self.udp.SetSend(self.command)
        self.udp.Send()
        return self.robot.receive()

    def receive(self, packet: bytes) -> Tuple[int, Any]:
        """The SDK's return code for `packet`, and the state it holds afterwards."""
        self.robot.send(packet)
        deadline_s = time.monotonic() + ARRIVAL_S
        code = self.udp.Recv()
        while code == -1 and time.monotonic() < deadline_s:
            time.sleep(1e-3)
            code = self.udp.Recv()
        state = sdk.LowState()
        self.udp.GetRecv(state)
        return code, state


@pytest.fixture
def vendor(robot_socket: RobotSocket) -> VendorClient:
    client = VendorClient(robot_socket)
    client.sent()  # tells the robot's end where to answer
    return client


def fill(command: Any, ours: JointCommand) -> None:
    for index, motor in enumerate(command.motorCmd[:12]):
        motor.mode = int(ours.mode[index])
        motor.q, motor.dq, motor.tau = (float(a[index]) for a in (ours.position, ours.velocity, ours.torque))
        motor.Kp, motor.Kd = float(ours.stiffness[index]), float(ours.damping[index])


def random_command(seed: int) -> JointCommand:
    """Every field over its whole range, ends included."""
    generator = np.random.default_rng(seed)
    torque = generator.uniform(-128.0, 128.0, 12)
    torque[:3] = -128.0, 127.99999, -0.00390624  # both ends; the last truncates to zero, not to -1
    stiffness, damping = generator.uniform(0.0, 2048.0, 12), generator.uniform(0.0, 4096.0, 12)
    stiffness[:4] = 0.0, 2047.9998, 0.03125, 0.0312499
    damping[:3] = 0.0, 4095.9995, 0.53
    return JointCommand(
        mode=generator.choice([MOTOR_MODE_DAMPING, MOTOR_MODE_SERVO], 12).astype(np.uint8),
        position=generator.normal(size=12) * 10.0 ** generator.integers(-6, 6, 12),
        velocity=generator.normal(size=12) * 10.0 ** generator.integers(-6, 6, 12),
        torque=torque,
        stiffness=stiffness,
        damping=damping,
    )


def some_state() -> RobotState:
    """Every field different from every other, so that a swap shows."""
    return RobotState(
        tick_ms=2**32 - 5,
        orientation_trunk_in_world=np.array([0.5, -0.5, 0.1, 0.7], dtype=np.float32),
        angular_velocity_trunk_in_trunk=np.array([1.5, -2.5, 3.5], dtype=np.float32),
        accelerometer_trunk_in_trunk=np.array([-0.25, 0.75, 9.81], dtype=np.float32),
        roll_pitch_yaw=np.array([0.01, -0.02, 3.0], dtype=np.float32),
        imu_temperature=-12,
        joint_position=np.linspace(-2.7, 2.9, 12, dtype=np.float32),
        joint_velocity=np.linspace(-30.1, 29.0, 12, dtype=np.float32),
        joint_torque=np.array([-128.0, 127.99609375, *np.arange(10) / 256], dtype=np.float32),
        joint_temperature=np.arange(-6, 6, dtype=np.int8) * 10,
        joint_mode=np.array([MOTOR_MODE_SERVO, MOTOR_MODE_DAMPING, MOTOR_MODE_OVERHEATED] * 4, dtype=np.uint8),
        foot_force=np.array([-32768, 32767, 200, -1], dtype=np.int16),
        battery_soc_percent=87,
        battery_current_ma=-12_345,
        battery_cell_mv=(np.arange(10, dtype=np.int16) + 110) * 32,
        remote=encode_remote({Key.L2, Key.B}, lx=0.25, ly=-0.5, rx=0.75, ry=-1.0),
    )


def test_the_sdk_sends_our_bytes_for_motors_left_alone(robot_socket: RobotSocket) -> None:
    untouched = JointCommand(
        mode=np.full(12, MOTOR_MODE_SERVO, dtype=np.uint8),
        position=np.full(12, POSITION_STOP),
        velocity=np.full(12, VELOCITY_STOP),
        torque=np.zeros(12),
        stiffness=np.zeros(12),
        damping=np.zeros(12),
    )
    assert VendorClient(robot_socket).sent() == encode_low_cmd(untouched)


@pytest.mark.parametrize("seed", range(20))
def test_the_sdk_sends_our_bytes(vendor: VendorClient, seed: int) -> None:
    command = random_command(seed)
    fill(vendor.command, command)
    assert vendor.sent() == encode_low_cmd(command)


def test_the_sdk_sends_our_damping_frame(vendor: VendorClient) -> None:
    robot = load_robot()
    for motor in vendor.command.motorCmd[:12]:
        motor.mode, motor.q, motor.dq, motor.tau = 0x0A, 2.146e9, 0.0, 0.0
        motor.Kp, motor.Kd = 0.0, robot.damp.damping
    assert vendor.sent() == encode_low_cmd(JointCommand.damp(robot))


@pytest.mark.parametrize(
    ("field", "value", "arrives_as"),
    [("tau", 200.0, -56.0), ("tau", -128.25, 127.75), ("Kp", 3000.0, 952.0), ("Kp", -1.0, 2047.0), ("Kd", 4096.0, 0.0)],
)
def test_what_the_sdk_lets_wrap_we_refuse(vendor: VendorClient, field: str, value: float, arrives_as: float) -> None:
    setattr(vendor.command.motorCmd[4], field, value)
    ours = {"tau": "torque", "Kp": "stiffness", "Kd": "damping"}[field]
    assert getattr(decode_low_cmd(vendor.sent()), ours)[4] == arrives_as
    values = {name: np.zeros(12) for name in ("position", "velocity", "torque", "stiffness", "damping")}
    values[ours][4] = value
    with pytest.raises(FixedPointRangeError, match=f"{ours} of FL_thigh"):
        encode_low_cmd(JointCommand(mode=np.zeros(12, dtype=np.uint8), **values))


def test_the_sdk_reads_our_state_field_by_field(vendor: VendorClient) -> None:
    ours = some_state()
    code, theirs = vendor.receive(encode_low_state(ours))
    assert code == 0
    assert (theirs.head, theirs.levelFlag, theirs.tick) == ([0xFE, 0xEF], LEVEL_LOW, ours.tick_ms)
    assert theirs.imu.quaternion == ours.orientation_trunk_in_world.tolist()
    assert theirs.imu.gyroscope == ours.angular_velocity_trunk_in_trunk.tolist()
    assert theirs.imu.accelerometer == ours.accelerometer_trunk_in_trunk.tolist()
    assert theirs.imu.rpy == ours.roll_pitch_yaw.tolist()
    assert theirs.imu.temperature == ours.imu_temperature
    for name, values in {
        "mode": ours.joint_mode,
        "q": ours.joint_position,
        "dq": ours.joint_velocity,
        "tauEst": ours.joint_torque,
        "temperature": ours.joint_temperature,
    }.items():
        assert [getattr(motor, name) for motor in theirs.motorState[:12]] == values.tolist(), name
        assert [getattr(motor, name) for motor in theirs.motorState[12:]] == [0] * 8, name
    assert theirs.footForce == ours.foot_force.tolist()
    assert (theirs.bms.SOC, theirs.bms.current) == (ours.battery_soc_percent, ours.battery_current_ma)
    assert theirs.bms.cell_vol == ours.battery_cell_mv.tolist()
    assert bytes(theirs.wirelessRemote) == ours.remote


def test_the_sdk_finds_the_other_fields_where_our_layout_puts_them(vendor: VendorClient) -> None:
    packet = bytearray(encode_low_state(some_state()))
    record = np.frombuffer(packet, dtype=LOW_STATE)[0]
    record["header"]["serial_number"] = 11, 12
    record["header"]["version"] = 13, 14
    record["header"]["bandwidth"] = 15
    record["foot_force_estimate"] = -16, 17, 18, 19
    record["reserve"] = 20
    battery = record["battery"]
    battery["version"], battery["status"], battery["cycles"] = (21, 22), 23, 24
    battery["pack_temperature"], battery["board_temperature"] = (-25, 26), (-27, 28)
    motor = record["motors"][11]
    motor["acceleration"], motor["raw_position"], motor["raw_velocity"], motor["raw_acceleration"] = -29, 30.5, 31.5, 32
    motor["reserve"] = 33, 34
    packet[-4:] = crc32_mpeg2(bytes(packet[:800])).to_bytes(4, "little")
    code, theirs = vendor.receive(bytes(packet))
    assert code == 0
    assert (theirs.SN, theirs.version, theirs.bandWidth, theirs.reserve) == ([11, 12], [13, 14], 15, 20)
    assert theirs.footForceEst == [-16, 17, 18, 19]
    bms = theirs.bms
    assert (bms.version_h, bms.version_l, bms.bms_status, bms.cycle) == (21, 22, 23, 24)
    assert (bms.BQ_NTC, bms.MCU_NTC) == ([-25, 26], [-27, 28])
    last = theirs.motorState[11]
    assert (last.ddq, last.q_raw, last.dq_raw, last.ddq_raw, last.reserve) == (-29, 30.5, 31.5, 32, [33, 34])


@pytest.mark.parametrize("position", [2, 22, 100, 799, 803, 806])
def test_the_sdk_refuses_what_we_refuse(vendor: VendorClient, position: int) -> None:
    packet = bytearray(encode_low_state(some_state()))
    packet[position] ^= 0x10
    with pytest.raises(Exception, match="expected"):
        decode_low_state(bytes(packet))
    assert vendor.receive(bytes(packet))[0] == -3


def test_the_sdk_accepts_every_level_but_sport_mode_s(vendor: VendorClient) -> None:
    for level, accepted in ((LEVEL_LOW, True), (0, True), (LEVEL_HIGH, False)):
        packet = bytearray(encode_low_state(some_state()))
        packet[2] = level
        packet[-4:] = crc32_mpeg2(bytes(packet[:800])).to_bytes(4, "little")
        assert (vendor.receive(bytes(packet))[0] == 0) == accepted
        if accepted:
            assert decode_low_state(bytes(packet)).tick_ms == some_state().tick_ms


@pytest.mark.parametrize("seed", range(100, 105))
def test_both_links_send_the_same_bytes(robot_socket: RobotSocket, seed: int) -> None:
    vendor_link = VendorLink(LOOPBACK, robot_socket.port)
    packet_link = PacketLink(UdpTransport(LOOPBACK, robot_socket.port))
    packets = []
    for link in (vendor_link, packet_link):
        # Something else first: the SDK's command is reused, so what the first leaves behind must not reach the second.
        for command in (random_command(seed + 1), JointCommand.damp(load_robot()), random_command(seed)):
            link.send(command)
            packets.append(robot_socket.receive())
        assert link.statistics.packets_sent == 3
        link.close()
    assert packets[:3] == packets[3:]
    assert len(packets[0]) == LOW_CMD.itemsize


def test_both_links_read_the_same_state(robot_socket: RobotSocket) -> None:
    packet = encode_low_state(some_state())
    for link in (VendorLink(LOOPBACK, robot_socket.port), PacketLink(UdpTransport(LOOPBACK, robot_socket.port))):
        link.send(JointCommand.damp(load_robot()))
        robot_socket.receive()
        robot_socket.send(packet)
        state = link.receive(ARRIVAL_S)
        assert state is not None
        assert encode_low_state(state) == packet
        robot_socket.send(packet[:100] + b"\xff" + packet[101:])
        assert link.receive(ARRIVAL_S) is None
        assert link.receive(0.0) is None
        assert link.statistics.packets_received == 1
        assert sum(link.statistics.packets_refused.values()) == 1
        link.close()


def test_both_links_refuse_before_sending(robot_socket: RobotSocket) -> None:
    robot_socket.socket.settimeout(0.05)
    command = JointCommand.servo(np.full(12, np.nan), 20.0, 0.5)
    for link in (VendorLink(LOOPBACK, robot_socket.port), PacketLink(UdpTransport(LOOPBACK, robot_socket.port))):
        with pytest.raises(FixedPointRangeError):
            link.send(command)
        with pytest.raises(TimeoutError):
            robot_socket.receive()
        link.close()


def test_the_vendor_link_waits_as_long_as_told(robot_socket: RobotSocket) -> None:
    link = VendorLink(LOOPBACK, robot_socket.port)
    started_s = time.monotonic()
    assert link.receive(0.05) is None
    assert 0.05 <= time.monotonic() - started_s < 30.0


def test_the_vendor_link_says_what_the_sdk_would_hide(robot_socket: RobotSocket) -> None:
    with pytest.raises(LinkError, match=f"local port {robot_socket.port}"):
        VendorLink(LOOPBACK, 9, local_port=robot_socket.port)
    with pytest.raises(LinkError, match="dotted IPv4"):
        VendorLink("no.such.host", 9)


def test_a_closed_vendor_link_refuses_to_work(robot_socket: RobotSocket) -> None:
    link = VendorLink(LOOPBACK, robot_socket.port)
    link.close()
    link.close()
    with pytest.raises(LinkError, match="open link"):
        link.receive(0.0)
    with pytest.raises(LinkError, match="open link"):
        link.send(JointCommand.damp(load_robot()))
