"""A weightless robot on the network in real time, and sessions of it in processes of their own, to be disturbed.

The robot answers each command with a state, and notes when which command came. The sessions' limits on age and silence
are generous, so that a busy machine is not taken for a fault: what is tested is who notices what, and in which order.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np

from deploy.onboard.lease import Lease
from deploy.onboard.link import PacketLink, UdpTransport
from deploy.onboard.modes import ModeSettings
from deploy.onboard.packet_layout import LOW_CMD
from deploy.onboard.schedule import SessionSettings
from deploy.onboard.session import RunSettings
from deploy.onboard.shadow_process import ShadowProcessSettings, shadow_beside
from deploy.onboard.supervision import SessionPlan, SupervisorSettings
from deploy.onboard.supervisor import run_supervised
from deploy.onboard.wire import JointCommand, RobotState, decode_low_cmd, encode_low_state
from policy.bundle import BUNDLES, read_bundle
from robot_configs.robot import RobotModel, load_robot

BUNDLE = BUNDLES / "go1_velocity.go1policy"
PATIENCE_S = 60.0
"""For whatever has to happen at all [s]."""

ROBOT_PRIORITY = 43
"""Of SCHED_FIFO: above the supervisor's. A robot does not share its time with what drives it."""


class Received(NamedTuple):
    """A command as it came."""

    time_s: float
    command: JointCommand
    damping: bool


class RealTimeRobot:
    """Answers at once; a servoed joint is at its target in the next state."""

    def __init__(self, make_state: Callable[..., RobotState], robot: RobotModel) -> None:
        self._make_state, self._position = make_state, robot.stand_position.astype(np.float32)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.1)
        self.port = int(self._socket.getsockname()[1])
        self.received: list[Received] = []
        self._stopping = False
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(ROBOT_PRIORITY))  # of this thread only
        except PermissionError:
            pass  # as the sessions' processes do, it makes do without
        while not self._stopping:
            try:
                packet, client = self._socket.recvfrom(LOW_CMD.itemsize)
            except socket.timeout:
                continue
            command = decode_low_cmd(packet)
            damping = not command.stiffness.any()
            self.received.append(Received(time.monotonic(), command, damping))
            if not damping:
                self._position = command.position
            tick_ms = time.monotonic_ns() // 1_000_000 % 2**32
            state = self._make_state(tick_ms=tick_ms, joint_position=self._position)
            self._socket.sendto(encode_low_state(state), client)

    def stop(self) -> None:
        self._stopping = True
        self._thread.join()
        self._socket.close()

    def after(self, time_s: float) -> list[Received]:
        """Commands that have come later than `time_s`."""
        return [received for received in list(self.received) if received.time_s > time_s]


def lenient(robot: RobotModel) -> RobotModel:
    """The robot with limits on age, and none on plausibility, which a weightless robot does not have."""
    anything = 1e9
    safety = replace(robot.safety, state_age_limit_s=3.0, target_age_limit_s=0.3, max_tick_gap_ms=3000)
    plausibility = replace(
        robot.plausibility,
        frozen_after_s=anything,
        frozen_alone_after_s=anything,
        joint_velocity_jump_rad_s=anything,
        joint_position_jump_rad=anything,
        rotation_jump_rad=anything,
        cut_out_joint_speed_rad_s=anything,
        joint_mismatch_limit_rad=anything,
        rotation_mismatch_limit_rad=anything,
        gravity_mismatch_limit_m_s2=anything,
    )
    return replace(robot, safety=safety, plausibility=plausibility)


class Session:
    """A supervised session in a process of its own."""

    def __init__(self, port: int, folder: Path, **options: Any) -> None:
        self._folder = folder
        (folder / "leases").mkdir(exist_ok=True)
        settings = {"port": port, "folder": str(folder), **options}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.deploy.onboard.real_time_robot", json.dumps(settings)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[3],
        )

    def pid(self, name: str) -> Optional[int]:
        """The process of that name; None while there is none."""
        if name == "supervisor":
            return self.process.pid
        for child in children_of(self.process.pid):
            try:
                if Path(f"/proc/{child}/comm").read_text().strip() == f"go1-{name}":
                    return child
            except (FileNotFoundError, ProcessLookupError):
                continue
        return None

    def signal(self, name: str, number: int) -> int:
        """Send a signal to the process of that name; returns its id."""
        pid = self.pid(name)
        assert pid is not None, f"no process {name}"
        os.kill(pid, number)
        return pid

    def summary(self) -> dict[str, Any]:
        """Of the session, once it is over."""
        output, errors = self.process.communicate(timeout=PATIENCE_S)
        assert self.process.returncode == 0, errors
        result: dict[str, Any] = json.loads(output)
        return result

    def kill_all(self) -> None:
        """Whatever is left of it."""
        for pid in (*children_of(self.process.pid), self.process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()


def children_of(pid: int) -> list[int]:
    """Process ids of the children of a process, none if it has ended."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Fail when it does not come true at all."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"never {what}"
        time.sleep(0.005)


def run(options: dict[str, Any]) -> None:
    """One session, as told on the command line; its summary goes to standard output."""
    robot, folder = lenient(load_robot()), Path(options["folder"])
    settings = RunSettings(
        options.get("commands", "vx=0,vy=0,yaw=0"),
        SessionSettings(
            episode_s=options.get("episode_s", 60.0), episodes=1, auto_rearm=options.get("auto_rearm", False)
        ),
        modes=ModeSettings(gain_ramp_s=0.05, move_s=0.1, settle_s=0.0),
    )
    supervision = SupervisorSettings(
        gate_silence_limit_s=options.get("gate_silence_limit_s", 1.0),
        damped_silence_limit_s=options.get("damped_silence_limit_s", 5.0),
        guard_silence_limit_s=options.get("guard_silence_limit_s", 3.0),
        takeover_s=0.1,
        end_limit_s=options.get("end_limit_s", 10.0),
    )
    lease = Lease(f"127.0.0.1:{options['port']}", folder / "leases")
    link = PacketLink(UdpTransport("127.0.0.1", options["port"]))
    bundle = read_bundle(BUNDLE)
    plan = SessionPlan(bundle, robot, link, settings, folder / "logs", lease)
    if options.get("shadow", False):
        with shadow_beside(bundle, bundle, robot, ShadowProcessSettings(end_limit_s=1.0)) as beside:
            summary = run_supervised(replace(plan, observers=(beside.window,)), supervision)
            summary = replace(summary, shadow=beside.report(bundle.sha256, bundle.sha256))
    else:
        summary = run_supervised(plan, supervision)
    lease.release()
    print(json.dumps(summary.to_dict()))


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
