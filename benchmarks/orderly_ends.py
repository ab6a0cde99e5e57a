"""Does the robot stay up when a fast walk ends as planned, or because a person says so?

    python -m benchmarks.orderly_ends --sessions 32

Every session stands up on the nominal twin, walks once for 1.5 to 2 s at 1 m/s, or at 0.6 m/s while it turns by
0.8 rad/s, and is ended: by the plan (stand, sit, damp), or with the remote, sticks still held, by the chord for STAND
or for SIT. Real packets, lockstep; session i draws everything from (seed, i). It counts as tipped if the gate finds a
fault after the walk. The exit status is 1 if any tipped.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from deploy.onboard.clock import VirtualClock
from deploy.onboard.commands import CommandSource, RemoteCommands, parse_commands
from deploy.onboard.control_loop import ControlLoop, LoopSettings
from deploy.onboard.episode_schedule import EpisodeSchedule
from deploy.onboard.link import PacketLink
from deploy.onboard.pilot import Pilot
from deploy.onboard.pilot_seat import PilotAtHand
from deploy.onboard.recorder import NoRecorder
from deploy.onboard.remote import DEAD_ZONE, Key
from deploy.onboard.remote_schedule import RemoteSchedule
from deploy.onboard.schedule import Schedule, SessionSettings
from deploy.onboard.wire import RobotState
from offline_data.log_schema import Ending
from policy.bundle import BUNDLES, Bundle, PolicySession, read_bundle
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.twin.body import TwinBody
from sim.twin.body_faults import tilt_rad
from sim.twin.transport import TwinTransport

WhoEnds = Literal["plan", "stand_chord", "sit_chord"]
ENDS: tuple[WhoEnds, ...] = ("plan", "stand_chord", "sit_chord")
COMMANDS = ((1.0, 0.0), (0.6, 0.8))
"""Forward velocity [m/s] and turn [rad/s]; session i takes the one with i's parity."""
SHORTEST_WALK_S, LONGEST_WALK_S = 1.5, 2.0
STAND_AT_S, WALK_AT_S, HOLD_CHORD_S = 0.05, 2.2, 0.15
WATCH_S = 6.0
"""A person's session is watched for this long after the end of the walk: rest, stand and sit take less [s]."""


@dataclass(frozen=True)
class EndedWalk:
    """How one session went.

    Attributes:
        walked_s: length of the episode [s]; 0 if there was none.
        ending: name of the episode's `Ending`, lower case; empty if there was none.
        fault: the first that the gate found; empty if there was none.
        largest_tilt_rad: of the twin's trunk, from the end of the walk to the end of the session.
    """

    session: int
    command: tuple[float, float]
    ending: str
    walked_s: float
    fault: str
    largest_tilt_rad: float

    @property
    def ended_in_order(self) -> bool:
        """Whether the walk lasted until the plan or the person ended it."""
        return self.ending in (Ending.TRUNCATED.name.lower(), Ending.INTERVENTION.name.lower())

    @property
    def tipped(self) -> bool:
        """Whether the gate found a fault after the walk."""
        return self.ended_in_order and bool(self.fault)


def end_a_walk(bundle: Bundle, ends: WhoEnds, seed: int, session: int) -> EndedWalk:
    """Play session number `session`."""
    robot, contract, clock = load_robot(), bundle.contract, VirtualClock()
    command = COMMANDS[session % len(COMMANDS)]
    walk_s = float(np.random.default_rng([seed, session]).uniform(SHORTEST_WALK_S, LONGEST_WALK_S))
    body = TwinBody(load_condition("nominal"), seed * 100_000 + session)
    transport = TwinTransport(body)
    forward, turn = command
    schedule: Schedule = EpisodeSchedule(
        SessionSettings(episode_s=walk_s, episodes=1), robot.link_hz, robot.ticks_per_policy_step
    )
    source: CommandSource = parse_commands(f"vx={forward},vy=0,yaw={turn}", contract.commands)
    if ends != "plan":
        schedule = RemoteSchedule(None, robot.link_hz)
        source = RemoteCommands(contract.commands)
    pilot = Pilot(PolicySession(bundle, robot), contract, robot, source, exploration=0.0, seed=0)
    loop = ControlLoop(
        robot,
        contract,
        PacketLink(transport),
        clock,
        PilotAtHand(pilot, NoRecorder()),
        schedule,
        NoRecorder(),
        LoopSettings(receive_timeout_s=0.0, silence_limit_s=600.0),
    )
    tilts: list[float] = []

    def watch(state: RobotState) -> RobotState:
        tilts.append(tilt_rad(body))
        if ends != "plan":
            person.act(clock.now_s())
        return state

    person = _Person(body, ends, walk_s, _sticks(bundle, command), lambda: loop.request_stop("seen enough"))
    transport.sensor_fault = watch
    summary = loop.run()
    episode = summary.episodes[0] if summary.episodes else None
    walked_s = episode.duration_s if episode is not None else 0.0
    stood_s = WALK_AT_S if ends != "plan" else LoopSettings(0.0).modes.total_s
    after = tilts[round((stood_s + walked_s) * robot.link_hz) :]
    return EndedWalk(
        session,
        command,
        episode.ending if episode is not None else "",
        walked_s,
        summary.faults[0] if summary.faults else "",
        max(after, default=0.0),
    )


def _sticks(bundle: Bundle, command: tuple[float, float]) -> tuple[float, float]:
    """Deflections of the left stick forwards and the right one to the right that ask for (forward, turn)."""
    upper = {term.name: term.upper for term in bundle.contract.commands}

    def deflection(share: float) -> float:
        return share * (1.0 - DEAD_ZONE) + (DEAD_ZONE if share else 0.0)

    return deflection(command[0] / upper["vx"]), -deflection(command[1] / upper["yaw"])


class _Person:
    """Stands the robot up, walks it, and ends the walk with a chord, without letting go of the sticks."""

    def __init__(
        self, body: TwinBody, ends: WhoEnds, walk_s: float, sticks: tuple[float, float], stop: Callable[[], None]
    ) -> None:
        self._body, self._sticks, self._stop = body, sticks, stop
        end_s = WALK_AT_S + walk_s
        self._stop_s = end_s + WATCH_S
        self._chords = (
            (STAND_AT_S, frozenset({Key.L2, Key.A})),
            (WALK_AT_S, frozenset({Key.START})),
            (end_s, frozenset({Key.L2, Key.A if ends == "stand_chord" else Key.X})),
        )

    def act(self, time_s: float) -> None:
        """What the person's hands do at `time_s`."""
        held = [keys for begin_s, keys in self._chords if begin_s <= time_s < begin_s + HOLD_CHORD_S]
        forwards, rightwards = self._sticks if time_s >= WALK_AT_S else (0.0, 0.0)
        self._body.press(held[0] if held else frozenset(), ly=forwards, rx=rightwards)
        if time_s >= self._stop_s:
            self._stop()


def _play(job: tuple[Path, WhoEnds, int, int]) -> EndedWalk:
    bundle, ends, seed, session = job
    return end_a_walk(read_bundle(bundle), ends, seed, session)


def main() -> int:
    """Walk, end, print the table; 1 if a robot tipped."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ends", nargs="*", default=list(ENDS), metavar="|".join(ENDS), help="who ends the walk [all]")
    parser.add_argument("--bundle", type=Path, default=BUNDLES / "go1_velocity.go1policy")
    parser.add_argument("--sessions", type=int, default=32, help="of each kind [%(default)s]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes; the result does not depend on it")
    options = parser.parse_args()
    tipped = 0
    print("| ended by | sessions | ended in order | tipped | largest tilt [rad] | which |\n|---|---|---|---|---|---|")
    # Spawned, not forked: forking a process that has started torch's threads can deadlock.
    with ProcessPoolExecutor(options.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for ends in options.ends:
            jobs = [(options.bundle, ends, options.seed, session) for session in range(options.sessions)]
            walks = list(pool.map(_play, jobs))
            tipped += sum(walk.tipped for walk in walks)
            print(row(ends, walks), flush=True)
    return 1 if tipped else 0


def row(ends: str, walks: list[EndedWalk]) -> str:
    """A line of the report's table."""
    fallen = [walk for walk in walks if walk.tipped]
    which = "; ".join(f"{walk.session}: {walk.fault}" for walk in fallen) or "-"
    in_order = sum(walk.ended_in_order for walk in walks)
    largest = max(walk.largest_tilt_rad for walk in walks)
    return f"| {ends} | {len(walks)} | {in_order} | {len(fallen)} | {largest:.2f} | {which} |"


if __name__ == "__main__":
    sys.exit(main())
