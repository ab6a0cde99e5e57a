"""The stage of a trial: a twin, a bad network, and on the other side of it the runner's own objects in virtual time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Optional, Tuple

from deploy.onboard.clock import VirtualClock
from deploy.onboard.commands import RemoteCommands
from deploy.onboard.control_loop import ControlLoop, LoopSettings
from deploy.onboard.link import PacketLink
from deploy.onboard.modes import ModeSettings
from deploy.onboard.pilot import Pilot
from deploy.onboard.recorder import Recorder
from deploy.onboard.remote_schedule import RemoteSchedule
from deploy.onboard.summary import RunSummary
from policy.bundle import Bundle, PolicySession
from robot_configs.robot import RobotModel
from robot_configs.twin_conditions import TwinCondition
from sim.faults.case import FaultCase
from sim.faults.director import STICK_FORWARDS, Director
from sim.faults.monitor import CommandMonitor
from sim.faults.pilot_faults import FaultySeat, InjectedCrashError
from sim.twin.body import TwinBody
from sim.twin.network_faults import FaultyNetwork
from sim.twin.transport import TwinTransport

# Quicker than a session's own, because trials are many; virtual silence is no silence, so real time sets no limit.
_LOOP = LoopSettings(
    receive_timeout_s=0.0, silence_limit_s=600.0, modes=ModeSettings(gain_ramp_s=0.15, move_s=0.55, settle_s=0.15)
)
TRIAL_OVER = "trial over"
"""Why a session ended that the fault did not end."""


class Stage:
    """Everything of one trial.

    Args:
        world: seed of the twin and of the onset.
        choose: see `Director`.
    """

    def __init__(
        self,
        bundle: Bundle,
        robot: RobotModel,
        condition: TwinCondition,
        world: int,
        recorder: Recorder,
        choose: Callable[[], FaultCase],
    ) -> None:
        contract, self.clock = bundle.contract, VirtualClock()
        body = TwinBody(condition, world, robot=robot)
        self.monitor = CommandMonitor(robot, condition.encoders, body.data.qpos[7:19], body.data.qvel[6:18])
        self.commands_sha256 = hashlib.sha256()
        forwards = next(term for term in contract.commands if term.name == "vx")
        self.director = Director(
            body,
            self.monitor,
            world,
            STICK_FORWARDS * forwards.upper,
            choose,
            lambda: self._loop.request_stop(TRIAL_OVER),
        )
        self.twin = TwinTransport(body)
        self.twin.sensor_fault = self.director.report
        network = FaultyNetwork(self.twin, self.clock, self.director.before_tick, self._sent, self.monitor.accepted)
        session = PolicySession(bundle, robot)
        pilot = Pilot(session, contract, robot, RemoteCommands(contract.commands), exploration=0.0, seed=0)
        seat = FaultySeat(pilot, recorder, self.clock)
        schedule = RemoteSchedule(None, robot.link_hz)
        self._loop = ControlLoop(robot, contract, PacketLink(network), self.clock, seat, schedule, recorder, _LOOP)
        self.director.network, self.director.seat = network, seat

    def play(self) -> Tuple[Optional[RunSummary], str]:
        """Run the session; its summary (None where the pilot's crash ended it) and what ended the walk."""
        try:
            summary = self._loop.run()
        except InjectedCrashError as error:
            return None, str(error)
        return summary, "; ".join(summary.faults)

    def _sent(self, packet: bytes) -> None:
        self.commands_sha256.update(packet)
        self.monitor.sent(packet, self.clock.now_s())
