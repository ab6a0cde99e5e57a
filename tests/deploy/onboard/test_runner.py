"""The runner: what it refuses before anything is sent, what it writes, and a whole session over UDP."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from mcap.reader import make_reader

from deploy.onboard import runner
from deploy.onboard.clock import VirtualClock
from deploy.onboard.commands import CommandError
from deploy.onboard.control_loop import SilentRobotError
from deploy.onboard.link import PacketLink
from deploy.onboard.lockstep_link import NotInLockstepError
from deploy.onboard.log_folder import LogFolderError
from deploy.onboard.packet_layout import LOW_CMD
from deploy.onboard.realtime import RealTimeWish
from deploy.onboard.robot_address import RobotAddressError
from deploy.onboard.runner import RunnerError, RunSettings, open_link, run_on_robot, run_session
from deploy.onboard.schedule import SessionSettings
from deploy.onboard.summary import RunSummary
from deploy.onboard.supervision import GATE_PRIORITY, SupervisorSettings
from deploy.onboard.vendor_link import VendorLink
from deploy.onboard.wire import POSITION_STOP, RobotState, decode_low_cmd, encode_low_state
from offline_data.log_schema import METADATA_NAME, SessionMetadata
from policy.bundle import Bundle, BundleError, Lineage
from policy.contract import ContractError, PolicyContract
from policy.export import export_bundle
from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from robot_configs.robot import RobotModel

STANDING = "vx=0,vy=0,yaw=0"
SHORT = RunSettings(STANDING, SessionSettings(episode_s=0.1, episodes=1), lockstep=True)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, contract: PolicyContract, robot: RobotModel) -> Bundle:
    """A policy with random weights."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    graph = PolicyGraph(contract, GaussianActor(contract.observation_dim, contract.action_dim, (8,), 0.1))
    lineage = Lineage("pretrain", (), (), "test", 0, "test")
    return export_bundle(graph, tmp_path_factory.mktemp("bundle") / "a.go1policy", lineage, 3, robot)


@pytest.fixture(scope="module")
def bundle_path(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return next(tmp_path_factory.getbasetemp().glob("bundle*/a.go1policy"))


class LockstepRobot:
    """A weightless robot on the network: each LowCmd gets one LowState; servoed joints move at 5 rad/s."""

    def __init__(self, make_state: Callable[..., RobotState], position: np.ndarray) -> None:
        self._make_state = make_state
        self._position = self._target = position.astype(np.float32)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self.address = "127.0.0.1:{}".format(self._socket.getsockname()[1])
        self.commands = 0
        self.last_was_damping = False
        self.on_command: Callable[[int], None] = lambda number: None
        self._stopping = False
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while not self._stopping:
            try:
                packet, client = self._socket.recvfrom(LOW_CMD.itemsize)
            except socket.timeout:
                continue
            command = decode_low_cmd(packet)
            self.last_was_damping = bool(np.all(command.position > POSITION_STOP / 2))
            if not self.last_was_damping and np.all(command.stiffness > 0.0):
                self._target = command.position
            step = np.clip(self._target - self._position, -0.01, 0.01)
            noise = np.float32(1e-5 * (1 + self.commands % 5))  # a live velocity is never exactly zero
            self._position, velocity = self._position + step, step / np.float32(0.002) + noise
            state = self._make_state(tick_ms=2 * self.commands, joint_position=self._position, joint_velocity=velocity)
            self.commands += 1
            self.on_command(self.commands)
            self._socket.sendto(encode_low_state(state), client)

    def stop(self) -> None:
        self._stopping = True
        self._thread.join()
        self._socket.close()


@pytest.fixture
def lockstep_robot(make_state: Any, robot: RobotModel) -> Iterator[LockstepRobot]:
    server = LockstepRobot(make_state, robot.sit_position)
    yield server
    server.stop()


def test_a_whole_session_over_udp(
    lockstep_robot: LockstepRobot, bundle_path: Path, bundle: Bundle, tmp_path: Path
) -> None:
    summary = run_on_robot(
        bundle_path,
        lockstep_robot.address,
        STANDING,
        0.3,
        tmp_path,
        lockstep=True,
        exploration=1.0,
        seed=5,
        episode_s=0.2,
    )
    assert [(episode.ending, episode.steps) for episode in summary.episodes] == [("truncated", 10), ("truncated", 5)]
    assert summary.stop_reason == ""
    assert summary.bundle_sha256 == bundle.sha256
    assert lockstep_robot.commands == summary.link.packets_sent  # one answer each, none lost, none doubled
    assert summary.link.packets_received >= lockstep_robot.commands - 1
    assert lockstep_robot.last_was_damping
    assert summary.recorder.messages["/policy_tick"] == summary.steps == 15
    assert Path(summary.recorder.path).parent == tmp_path
    with open(summary.recorder.path, "rb") as stream:
        metadata = {record.name: record.metadata for record in make_reader(stream).iter_metadata()}
    session = SessionMetadata.from_record(metadata[METADATA_NAME])
    assert PolicyContract.from_json(session.contract_json) == bundle.contract
    assert session.bundle_sha256 == bundle.sha256
    settings = json.loads(session.settings_json)
    assert (settings["exploration"], settings["seed"], settings["session"]["walk_s"]) == (1.0, 5, 0.3)


def test_a_signal_ends_the_session_damped(lockstep_robot: LockstepRobot, bundle_path: Path, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    lockstep_robot.on_command = lambda number: os.kill(os.getpid(), signal.SIGTERM) if number == 1200 else None
    summary = run_on_robot(bundle_path, lockstep_robot.address, STANDING, 60.0, tmp_path, lockstep=True)
    assert summary.stop_reason == "SIGTERM"
    assert [episode.ending for episode in summary.episodes] == ["stopped"]
    assert lockstep_robot.last_was_damping
    assert signal.getsignal(signal.SIGTERM) is before


def test_without_a_log_directory_nothing_is_recorded(folded_link: Any, bundle: Bundle, robot: RobotModel) -> None:
    summary = run_session(bundle, robot, folded_link, VirtualClock(), SHORT)
    assert summary.recorder.path == ""
    assert summary.steps == 5


def test_with_the_remote_as_source_its_keys_decide(folded_link: Any, bundle: Bundle, robot: RobotModel) -> None:
    """Nobody presses anything: the robot lies there, damped, until it is told to stop."""
    settings = replace(SHORT, commands="remote")

    def tamper(number: int, state: RobotState) -> RobotState:
        if number == 500:
            os.kill(os.getpid(), signal.SIGINT)
        return state

    folded_link.tamper = tamper
    summary = run_session(bundle, robot, folded_link, VirtualClock(), settings)
    assert (summary.episodes, summary.stop_reason) == ((), "SIGINT")
    assert all(np.all(command.stiffness == 0.0) for command in folded_link.sent)


def test_a_policy_that_computes_something_else_is_refused_before_anything_is_sent(
    folded_link: Any, bundle: Bundle, robot: RobotModel, tmp_path: Path
) -> None:
    golden = dict(bundle.golden)
    golden["out.joint_target"] = golden["out.joint_target"] + np.float32(0.01)
    with pytest.raises(BundleError, match="golden"):
        run_session(replace(bundle, golden=golden), robot, folded_link, VirtualClock(), SHORT, tmp_path)
    assert folded_link.sent == []
    assert list(tmp_path.iterdir()) == []


def test_a_policy_for_another_robot_is_refused_before_anything_is_sent(
    folded_link: Any, bundle: Bundle, robot: RobotModel
) -> None:
    with pytest.raises(ContractError, match="robot"):
        run_session(bundle, replace(robot, name="another"), folded_link, VirtualClock(), SHORT)
    assert folded_link.sent == []


def test_unusable_commands_are_refused_before_anything_is_sent(
    folded_link: Any, bundle: Bundle, robot: RobotModel, tmp_path: Path
) -> None:
    with pytest.raises(CommandError, match="missing: yaw"):
        run_session(bundle, robot, folded_link, VirtualClock(), replace(SHORT, commands="vx=0,vy=0"), tmp_path)
    assert folded_link.sent == []
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_can_not_be_begun_is_refused_before_anything_is_sent(
    folded_link: Any, bundle: Bundle, robot: RobotModel, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LogFolderError, match="expected to begin a log in .*/file; found File exists"):
        run_session(bundle, robot, folded_link, VirtualClock(), SHORT, tmp_path / "file")
    assert folded_link.sent == []


@pytest.mark.parametrize("lockstep", [False, True])
def test_a_full_disk_is_refused_before_anything_is_sent(
    lockstep_robot: LockstepRobot, bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lockstep: bool
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=14_000_000 - 1))
    named = {"episodes": 2, "episode_s": 5.0, "lockstep": lockstep}
    with pytest.raises(LogFolderError, match=r"14\.0 MB free .* found 13\.9 MB"):
        run_on_robot(bundle_path, lockstep_robot.address, STANDING, 600.0, tmp_path, **named)  # type: ignore[arg-type]
    assert lockstep_robot.commands == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("address", [":8007", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:x"])
def test_unusable_addresses_are_refused(robot: RobotModel, address: str) -> None:
    with pytest.raises(RobotAddressError, match="HOST"):
        open_link(address, "codec", robot)


def test_both_sdks_open(robot: RobotModel) -> None:
    links = open_link("127.0.0.1:8007", "codec", robot), open_link(("127.0.0.1", 8007), "codec", robot)
    assert all(isinstance(link, PacketLink) for link in links)
    for link in links:
        link.close()
    with pytest.raises(RunnerError, match="vendor"):
        open_link("127.0.0.1:8007", "other", robot)


def test_the_vendors_sdk_opens(robot: RobotModel) -> None:
    pytest.importorskip("unitree_legged_sdk.robot_interface", reason="the vendor's SDK is not installed")
    link = open_link("127.0.0.1:8007", "vendor", robot)
    assert isinstance(link, VendorLink)
    link.close()


UNGRANTABLE = RealTimeWish(0, core=10_000, lock_memory=False)
"""Asking for it disturbs nobody."""


def test_a_session_in_one_process_tells_what_it_was_granted(
    folded_link: Any, bundle: Bundle, robot: RobotModel
) -> None:
    alone = run_session(bundle, robot, folded_link, VirtualClock(), SHORT, real_time=UNGRANTABLE)
    (process,) = alone.processes
    assert (process.name, process.pid) == ("session", os.getpid())
    assert process.real_time[0].startswith("core 10000 only: NOT granted")


@pytest.mark.parametrize("lockstep", [False, True])
def test_one_process_asks_for_what_the_gates_would_and_lockstep_for_nothing(
    monkeypatch: pytest.MonkeyPatch, bundle_path: Path, tmp_path: Path, lockstep: bool
) -> None:
    asked: list[tuple[Any, ...]] = []

    def note(*arguments: Any) -> RunSummary:
        asked.append(arguments[6:])
        raise InterruptedError

    monkeypatch.setattr(runner, "run_session", note)
    supervision = SupervisorSettings(gate_core=1, one_process=True)
    with pytest.raises(InterruptedError):
        run_on_robot(bundle_path, "127.0.0.1:1", STANDING, 1.0, tmp_path, lockstep=lockstep, supervision=supervision)
    assert asked == [((),) if lockstep else ((), RealTimeWish(GATE_PRIORITY, 1))]


def test_a_silent_robot_is_named_with_its_address(
    bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hears_nothing(*_: Any) -> None:
        raise SilentRobotError("a state from the robot within 5.0 s", "none", "Check the subnet.")

    monkeypatch.setattr(runner, "run_supervised", hears_nothing)
    with pytest.raises(
        SilentRobotError, match=r"within 5\.0 s, at 127\.0\.0\.1:9; found none\. Check .* doctor 127\.0"
    ):
        run_on_robot(bundle_path, "127.0.0.1:9", STANDING, 1.0, tmp_path)


def test_a_twin_that_does_not_wait_is_refused_in_lockstep(
    lockstep_robot: LockstepRobot, bundle_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_state = lockstep_robot._make_state

    def in_real_time(**values: Any) -> RobotState:
        return make_state(**{**values, "tick_ms": 4 * values["tick_ms"]})

    monkeypatch.setattr(lockstep_robot, "_make_state", in_real_time)
    with pytest.raises(NotInLockstepError, match="Start the twin with --lockstep"):
        run_on_robot(bundle_path, lockstep_robot.address, STANDING, 1.0, tmp_path, lockstep=True)
    assert lockstep_robot.last_was_damping
