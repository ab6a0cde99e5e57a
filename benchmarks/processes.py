"""Kill and stop each process of a session that walks the twin in real time, at random phases: how long until damping?

    python -m benchmarks.processes --cases 10 --seed 1
    python -m benchmarks.processes --cases 10 --only gate+supervisor      # what is left to the guard

For every process, or two at once, and signal: the time from the signal to the first damping command that the twin
accepts, commands outside the limits, and commands that pull after that. The sessions are `go1 robot run` as anybody
would start it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from deploy.onboard.wire import JointCommand
from policy.bundle import BUNDLES, read_bundle
from robot_configs.twin_conditions import TwinCondition, load_condition
from sim.twin.body import TwinBody
from sim.twin.server import TwinServer

BUNDLE = BUNDLES / "go1_velocity.go1policy"
DISTURBANCES = (
    ("gate", signal.SIGKILL),
    ("gate", signal.SIGSTOP),
    ("pilot", signal.SIGKILL),
    ("pilot", signal.SIGSTOP),
    ("supervisor", signal.SIGKILL),
    ("supervisor", signal.SIGINT),
    ("gate+supervisor", signal.SIGKILL),
    ("gate+supervisor", signal.SIGSTOP),
)
PATIENCE_S = 30.0
WATCHED_S = 1.5
"""After the signal: long enough for whatever should not follow."""
TWIN_PRIORITY = 43


class NotingBody(TwinBody):
    """A twin that notes when it was told what; repetitions of a command reach it once."""

    def __init__(self, condition: TwinCondition, seed: int) -> None:
        self.noted: list[tuple[float, JointCommand]] = []
        super().__init__(condition, seed)

    def accept(self, command: JointCommand) -> None:
        """Follow a command, and note it."""
        self.noted.append((time.monotonic(), command))
        super().accept(command)


class Outcome(NamedTuple):
    """Of one case."""

    damped_after_s: float
    outside_limits: int
    pulled_again: int


def run_case(name: str, number: int, phase_s: float, seed: int) -> Optional[Outcome]:
    """Walk, disturb, watch; None if it did not come to walking."""
    body = NotingBody(load_condition("nominal"), seed)
    stiffness = read_bundle(BUNDLE).contract.stiffness[0]
    with TwinServer(body, "127.0.0.1", 0) as server, tempfile.TemporaryDirectory() as folder:
        thread = threading.Thread(target=_serve, args=(server,))
        thread.start()
        session = _start_session(server.address[1], Path(folder))
        try:
            if not _wait_for_walk(body, session, stiffness):
                print("a session ended before it walked: the twin was held up; once more", file=sys.stderr)
                return None
            time.sleep(phase_s)
            signalled_s = _disturb(session.pid, name.split("+"), number)
            time.sleep(WATCHED_S)
        finally:
            session.send_signal(signal.SIGCONT)
            session.terminate()
            session.communicate(timeout=PATIENCE_S)
            server.stop()
            thread.join()
    return _judge(body, signalled_s)


def _disturb(supervisor: int, names: list[str], number: int) -> float:
    """Send the signal to all of them in the same instant; when that was."""
    pids = [supervisor if name == "supervisor" else _child(supervisor, name) for name in names]
    signalled_s = time.monotonic()
    if len(pids) > 1:
        os.kill(supervisor, signal.SIGSTOP)  # it must not notice what happens to the others before it is its turn
    for pid in pids:
        os.kill(pid, number)
    return signalled_s


def _judge(body: NotingBody, signalled_s: float) -> Outcome:
    robot = body.robot
    outside, damped_s, pulled_again = 0, float("nan"), 0
    for time_s, command in body.noted:
        pulls = bool(command.stiffness.any())
        if pulls:
            beyond = (command.position < robot.joint_lower - 1e-6) | (command.position > robot.joint_upper + 1e-6)
            # A twin that lies folded is outside the limits, and is led inside by a ramp from where it is.
            outside += bool(np.any(beyond)) and time_s > signalled_s - 0.5
        if time_s > signalled_s:
            if not pulls and np.isnan(damped_s):
                damped_s = time_s
            pulled_again += pulls and not np.isnan(damped_s)
    return Outcome(damped_s - signalled_s, outside, pulled_again)


def _serve(server: TwinServer) -> None:
    _go_first()
    server.serve()


def _go_first() -> None:
    """The calling thread before all others, its children as they were: the twin is not what is measured."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(TWIN_PRIORITY))
    except PermissionError:
        print("the twin runs without real-time priority: its own lateness is in the figures", file=sys.stderr)


def _start_session(port: int, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "go1", "robot", "run", "--bundle", str(BUNDLE), "--duration", "60"]
    command += ["--robot", f"127.0.0.1:{port}", "--commands", "vx=0.4,vy=0,yaw=0", "--log-dir", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _wait_for_walk(body: NotingBody, session: subprocess.Popen[str], stiffness: float) -> bool:
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        newest = body.noted[-5:]
        if len(newest) == 5 and all(command.stiffness[0] == stiffness for _, command in newest):
            return True
        if session.poll() is not None:
            break
        time.sleep(0.01)
    return False


def _child(parent: int, name: str) -> int:
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if Path(f"/proc/{pid}/comm").read_text().strip() == f"go1-{name}":
            return int(pid)
    sys.exit(f"no process {name}")


def main() -> None:
    """Print one line of JSON for every kind of disturbance."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10, help="of each kind [%(default)s]")
    parser.add_argument("--seed", type=int, default=1, help="of the phases and the twins [%(default)s]")
    names = sorted({name for name, _ in DISTURBANCES})
    parser.add_argument("--only", choices=names, help="whom to disturb [each in turn]")
    options = parser.parse_args()
    _go_first()
    generator = np.random.default_rng(options.seed)
    for name, number in DISTURBANCES:
        if options.only not in (None, name):
            continue
        outcomes: list[Outcome] = []
        while len(outcomes) < options.cases:
            outcome = run_case(name, number, generator.uniform(0.0, 0.5), options.seed + len(outcomes))
            if outcome is not None:
                outcomes.append(outcome)
        times_ms = [1e3 * outcome.damped_after_s for outcome in outcomes]
        row = {
            "process": name,
            "signal": signal.Signals(number).name,
            "cases": options.cases,
            "median_ms": round(statistics.median(times_ms), 1),
            "worst_ms": round(max(times_ms), 1),
            "outside_limits": sum(outcome.outside_limits for outcome in outcomes),
            "pulled_again": sum(outcome.pulled_again for outcome in outcomes),
        }
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
