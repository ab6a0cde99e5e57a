"""The twin on a real socket: lockstep, real time, and the vendor's SDK as its client."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path
from typing import Iterator, List, Optional

import numpy as np
import pytest

from deploy.onboard.link import PacketLink, UdpTransport
from deploy.onboard.wire import JointCommand, decode_low_state, encode_low_cmd
from robot_configs.robot import RobotModel
from robot_configs.twin_conditions import TwinCondition
from robot_configs.twin_ground import TwinConditionError
from sim.twin.body import TwinBody
from sim.twin.server import TwinServer, TwinServerError, run_twin
from sim.twin.transport import TwinTransport

HOST = "127.0.0.1"
ANSWER_TIMEOUT_S = 10.0  # a busy machine may be slow to schedule the server's thread
SILENCE_S = 0.3


@contextlib.contextmanager
def _serving(body: TwinBody, lockstep: bool) -> Iterator[TwinServer]:
    with TwinServer(body, HOST, 0, lockstep) as server:
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield server
        finally:
            server.stop()
            thread.join()


@pytest.fixture
def client() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind((HOST, 0))
        yield opened


def _answer(client: socket.socket, timeout_s: float = ANSWER_TIMEOUT_S) -> Optional[int]:
    """Tick [ms] of the next LowState, or None."""
    client.settimeout(timeout_s)
    try:
        return decode_low_state(client.recv(2048)).tick_ms
    except TimeoutError:
        return None


def _packet(robot: RobotModel, offset_rad: float = 0.0) -> bytes:
    return encode_low_cmd(JointCommand.servo(robot.sit_position + offset_rad, 20.0, 0.5))


def test_in_lockstep_every_valid_command_makes_one_step_and_gets_one_answer(
    quiet: TwinCondition, robot: RobotModel, client: socket.socket
) -> None:
    with _serving(TwinBody(quiet, seed=0), lockstep=True) as server:
        ticks: List[Optional[int]] = []
        for _ in range(20):  # the same bytes again and again, as a robot that holds still is commanded
            client.sendto(_packet(robot), server.address)
            ticks.append(_answer(client))
        assert ticks == list(range(2, 42, 2))
        assert _answer(client, SILENCE_S) is None
        assert server.repeated == 0


def test_in_lockstep_bad_packets_do_not_step(quiet: TwinCondition, robot: RobotModel, client: socket.socket) -> None:
    with _serving(TwinBody(quiet, seed=0), lockstep=True) as server:
        good = _packet(robot)
        for bad in (b"", good[:600], good[:-1] + bytes([good[-1] ^ 1])):
            client.sendto(bad, server.address)
        assert _answer(client, SILENCE_S) is None
        client.sendto(good, server.address)
        assert _answer(client) == 2
        assert server.refused == {"PacketLengthError": 2, "PacketCrcError": 1}


def test_in_lockstep_time_stands_still_without_commands(quiet: TwinCondition) -> None:
    with _serving(TwinBody(quiet, seed=0), lockstep=True) as server:
        time.sleep(SILENCE_S)
        assert server.body.time_s == 0.0


def test_in_lockstep_a_copy_that_was_there_before_the_answer_does_not_step(
    quiet: TwinCondition, robot: RobotModel, client: socket.socket
) -> None:
    with TwinServer(TwinBody(quiet, seed=0), HOST, 0, lockstep=True) as server:
        for offset_rad in (0.0, 0.0, 0.1, 0.0):  # two different commands; the first came three times
            client.sendto(_packet(robot, offset_rad), server.address)
        server.serve(duration_s=0.004)
        assert (server.body.time_s, server.repeated) == (0.004, 2)
        assert [_answer(client), _answer(client)] == [2, 4]


def test_in_lockstep_over_udp_equals_in_process(quiet: TwinCondition, robot: RobotModel) -> None:
    here, there = TwinBody(quiet, seed=3), TwinBody(quiet, seed=3)
    with _serving(there, lockstep=True) as server:
        direct, over_udp = PacketLink(TwinTransport(here)), PacketLink(UdpTransport(*server.address))
        for tick in range(30):
            command = JointCommand.servo(robot.sit_position + 0.01 * tick, 30.0, 1.0)
            direct.send(command)
            over_udp.send(command)
            expected, state = direct.receive(0.0), over_udp.receive(ANSWER_TIMEOUT_S)
            assert expected is not None and state is not None
            np.testing.assert_array_equal(state.joint_position, expected.joint_position)
        over_udp.close()


def test_in_real_time_it_ticks_by_itself_and_answers_the_last_valid_client(
    quiet: TwinCondition, robot: RobotModel, client: socket.socket
) -> None:
    with _serving(TwinBody(quiet, seed=0), lockstep=False) as server:
        client.sendto(b"not a command", server.address)
        assert _answer(client, SILENCE_S) is None
        client.sendto(_packet(robot), server.address)
        first, second = _answer(client), _answer(client)
        assert first is not None and second == first + 2  # many states for one command
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(_packet(robot), server.address)
            assert _answer(other) is not None
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while client.recv(2048):
                    pass
            assert _answer(client, SILENCE_S) is None


def test_real_time_is_not_faster_than_the_clock(quiet: TwinCondition) -> None:
    with TwinServer(TwinBody(quiet, seed=0), HOST, 0) as server:
        begin_s = time.monotonic()
        server.serve(duration_s=0.4)
        assert time.monotonic() - begin_s >= 0.4 - 0.002
        assert server.body.time_s == pytest.approx(0.4)


def test_a_taken_port_is_named(quiet: TwinCondition) -> None:
    body = TwinBody(quiet, seed=0)
    with TwinServer(body, HOST, 0) as server:
        port = server.address[1]
        with pytest.raises(TwinServerError, match=f"a free UDP port {port} on {HOST}"):
            TwinServer(body, HOST, port)
    with pytest.raises(TwinServerError, match="70000"):
        TwinServer(body, HOST, 70000)


def test_run_twin_serves_for_its_duration_and_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    run_twin("ice", HOST, 0, lockstep=False, seed=1, duration_s=0.1)
    told = capsys.readouterr().out
    assert "'ice'" in told
    assert f"{HOST}:" in told


def test_run_twin_refuses_an_unknown_condition(tmp_path: Path) -> None:
    with pytest.raises(TwinConditionError, match="nominal"):
        run_twin(tmp_path / "none.yaml", HOST, 0, lockstep=False, seed=1)


def test_the_vendor_sdk_reads_the_twins_state_and_moves_its_joints(quiet: TwinCondition, robot: RobotModel) -> None:
    sdk = pytest.importorskip("unitree_legged_sdk.robot_interface")
    low_level, knee = 0xFF, robot.joint_names.index("FL_calf")
    with _serving(TwinBody(quiet, seed=0), lockstep=True) as server:
        udp = sdk.UDP(low_level, 0, *server.address)
        command, state = sdk.LowCmd(), sdk.LowState()
        udp.InitCmdData(command)
        target = float(robot.sit_position[knee]) + 0.8
        command.motorCmd[knee].mode = 0x0A
        command.motorCmd[knee].q = target
        command.motorCmd[knee].dq = 0.0
        command.motorCmd[knee].Kp = 40.0
        command.motorCmd[knee].Kd = 1.0
        positions = []
        for _ in range(200):
            udp.SetSend(command)
            udp.Send()
            deadline_s = time.monotonic() + ANSWER_TIMEOUT_S
            while udp.Recv() != 0:
                assert time.monotonic() < deadline_s, "the twin did not answer the SDK"
                time.sleep(1e-4)
            udp.GetRecv(state)
            positions.append(state.motorState[knee].q)
        assert state.tick == 400
        assert state.motorState[knee].mode == 0x0A
        assert state.bms.SOC == 90
        np.testing.assert_allclose(state.imu.quaternion, server.body.truth.orientation_trunk_in_world, atol=1e-6)
        np.testing.assert_allclose(positions[-1], server.body.truth.joint_position[knee], atol=1e-6)
        assert positions[0] < float(robot.sit_position[knee]) + 0.05
        assert abs(positions[-1] - target) < 0.1
        assert server.refused == {}
