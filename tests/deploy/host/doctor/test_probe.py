"""Listening over UDP: to a robot that answers, to a port that nobody listens at, to a name that nobody has."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import numpy as np
import pytest

from deploy.host.doctor.examination import check_sample, examine
from deploy.host.doctor.findings import Finding, Verdict
from deploy.host.doctor.probe import ProbeError, probe
from deploy.onboard.packet_layout import LOW_CMD, LOW_STATE
from deploy.onboard.wire import POSITION_STOP, JointCommand, decode_low_cmd
from tests.deploy.host.doctor.conftest import healthy_states, packets


class Answering:
    """A robot that answers every command with the next of its packets."""

    def __init__(self, replies: list[bytes]) -> None:
        self._replies = iter(replies)
        self.commands: list[JointCommand] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.05)
        self.port: int = self._socket.getsockname()[1]
        self._stopping = False
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        while not self._stopping:
            try:
                packet, client = self._socket.recvfrom(LOW_CMD.itemsize)
            except socket.timeout:
                continue
            self.commands.append(decode_low_cmd(packet))
            reply = next(self._replies, None)
            if reply is not None:
                self._socket.sendto(reply, client)

    def __enter__(self) -> Answering:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopping = True
        self._thread.join()
        self._socket.close()


def of_the_robot(findings: tuple[Finding, ...]) -> list[str]:
    """The diagnoses, without what a busy computer adds to them."""
    return [finding.diagnosis for finding in findings if finding.diagnosis not in ("", "computer-late")]


def test_only_damping_is_sent_and_everything_that_comes_is_kept(robot: Any) -> None:
    replies = packets(healthy_states(100))
    with Answering(replies) as answering:
        sample = probe(robot, "127.0.0.1", answering.port, 0.4)
    assert sample.commands_sent == 200
    assert [datagram.payload for datagram in sample.datagrams] == replies
    assert np.all(np.diff([datagram.arrival_s for datagram in sample.datagrams]) >= 0.0)
    assert sample.source_address == "127.0.0.1"
    for command in answering.commands:
        assert np.all(command.stiffness == 0.0) and np.all(command.position > POSITION_STOP / 2)
        assert np.all(command.damping == robot.damp.damping)


def test_packets_of_another_firmware_are_kept_with_their_length(robot: Any) -> None:
    with Answering([bytes(LOW_STATE.itemsize + 20)] * 10) as answering:
        findings = check_sample(probe(robot, "127.0.0.1", answering.port, 0.1), robot)
    assert of_the_robot(findings) == ["packet-length"]
    assert any("10 of 827 bytes" in finding.detail for finding in findings)


def test_a_port_that_nobody_listens_at(robot: Any) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as placeholder:
        placeholder.bind(("127.0.0.1", 0))
        port = placeholder.getsockname()[1]
    examination = examine(robot, "127.0.0.1", port, listen_s=0.05)
    assert not examination.healthy
    assert of_the_robot(examination.findings) == ["port-closed"]
    assert "port-closed: The machine is there" in str(examination)


def test_a_name_that_nobody_has(robot: Any) -> None:
    with pytest.raises(ProbeError, match="no-such-robot.invalid"):
        probe(robot, "no-such-robot.invalid", 8007, 0.01)


def test_a_robot_with_a_fault_is_not_moved(robot: Any) -> None:
    states = healthy_states(100)
    states["battery"]["soc"] = 3
    with Answering(packets(states)) as answering:
        examination = examine(robot, "127.0.0.1", answering.port, listen_s=0.2, move_joints=True)
    assert examination.findings[-1].check == "wiggle"
    assert examination.findings[-1].verdict is Verdict.NOT_CHECKED
    assert all(np.all(command.stiffness == 0.0) for command in answering.commands)


def test_the_prober_knows_when_it_was_late_itself(robot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause of 60 ms in the middle, as a busy computer makes one."""
    sendings: list[int] = []

    class Pausing(socket.socket):
        def send(self, data: Any, flags: int = 0) -> int:
            sendings.append(len(data))
            if len(sendings) == 20:
                time.sleep(0.06)
            return super().send(data, flags)

    monkeypatch.setattr(socket, "socket", Pausing)
    sample = probe(robot, "127.0.0.1", 9, 0.1)
    assert sample.worst_late_s >= 0.055
