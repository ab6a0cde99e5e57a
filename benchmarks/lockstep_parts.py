"""Where a lockstep tick's time goes: `python -m benchmarks.lockstep_parts` [--walk-s SECONDS].

One walk in one process. Each part is timed around its calls, 0.2 us of timing included, and its 10 % quantile is
printed: what else a busy machine does only ever makes a call longer. Parts may contain others.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np

from deploy.onboard.clock import VirtualClock
from deploy.onboard.control_loop import ControlLoop
from deploy.onboard.gate import Gate
from deploy.onboard.link import PacketLink
from deploy.onboard.low_cmd_codec import LowCmdDecoder, LowCmdEncoder
from deploy.onboard.low_state_codec import LowStateDecoder, LowStateEncoder
from deploy.onboard.pilot import Pilot
from deploy.onboard.runner import run_session
from deploy.onboard.schedule import SessionSettings
from deploy.onboard.session import RunSettings
from policy.bundle import BUNDLES, read_bundle
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.twin.body import TwinBody
from sim.twin.motor import MotorBank
from sim.twin.sensors import SensorSuite
from sim.twin.transport import TwinTransport

BUNDLE = BUNDLES / "go1_velocity.go1policy"
PARTS: dict[str, tuple[Any, str]] = {
    "whole tick": (ControlLoop, "_tick"),
    "twin: step": (TwinBody, "step"),
    "twin: mj_step": (mujoco, "mj_step"),
    "twin: motor law": (MotorBank, "torque"),
    "twin: sensors": (SensorSuite, "measure"),
    "state encoded": (LowStateEncoder, "encode"),
    "state decoded": (LowStateDecoder, "decode"),
    "gate: state": (Gate, "inspect"),
    "gate: target": (Gate, "limit"),
    "pilot: policy step": (Pilot, "step"),
    "command encoded": (LowCmdEncoder, "encode"),
    "command decoded": (LowCmdDecoder, "decode"),
}
"""What is timed: where a function is looked up, and its name."""


def _timed(function: Callable[..., Any], durations_ns: list[int]) -> Callable[..., Any]:
    def timed(*arguments: Any, **named: Any) -> Any:
        started_ns = time.perf_counter_ns()
        result = function(*arguments, **named)
        durations_ns.append(time.perf_counter_ns() - started_ns)
        return result

    return timed


def main() -> None:
    """Walk once and print a row for each part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--walk-s", type=float, default=2.0, help="length of the walk [%(default)s s]")
    walk_s = parser.parse_args().walk_s
    link = PacketLink(TwinTransport(TwinBody(load_condition("nominal"), seed=1)))
    durations_ns: dict[str, list[int]] = {part: [] for part in PARTS}
    for part, (owner, name) in PARTS.items():
        setattr(owner, name, _timed(getattr(owner, name), durations_ns[part]))
    session = SessionSettings(episode_s=walk_s, episodes=1)
    settings = RunSettings("vx=0.5,vy=0,yaw=0", session, lockstep=True)
    ticks = run_session(read_bundle(BUNDLE), load_robot(), link, VirtualClock(), settings).ticks
    for part, durations in durations_ns.items():
        quick_us = float(np.quantile(durations, 0.1)) * 1e-3
        print(f"{part:20s} {quick_us:7.1f} us a call, {len(durations) / ticks:5.2f} calls a tick")


if __name__ == "__main__":
    main()
