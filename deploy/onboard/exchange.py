"""What gate, pilot and supervisor tell each other through shared memory, each slot with one writer.

    gate        REPORT   every 2 ms: mode, episode, policy step that is due, newest state of the robot
                PULSE    with every command that left: how many have, and whether the last one was damping
    pilot       ANSWER   every 20 ms: a target, the episode and step that it answers, the lease that it holds
    supervisor  ORDER    every few milliseconds: that it is there, and whether the session shall end

Times are seconds of the machine's monotonic clock, which all processes share. Joint arrays are in the wire's order.
"""

from __future__ import annotations

import os
from typing import NamedTuple, Optional

import numpy as np

from deploy.onboard.packet_layout import BATTERY_CELLS, MOTORS, REMOTE_BYTES
from deploy.onboard.shared_slot import SlotReader, SlotWriter, create_slot
from deploy.onboard.target import JointTarget, Mode
from deploy.onboard.wire import RobotState
from offline_data.log_schema import TEXT_BYTES, decode_text, encode_text

STATE = np.dtype(
    [
        ("tick_ms", "<u4"),
        ("orientation_trunk_in_world", "<f4", (4,)),
        ("angular_velocity_trunk_in_trunk", "<f4", (3,)),
        ("accelerometer_trunk_in_trunk", "<f4", (3,)),
        ("roll_pitch_yaw", "<f4", (3,)),
        ("imu_temperature", "i1"),
        ("joint_position", "<f4", (MOTORS,)),
        ("joint_velocity", "<f4", (MOTORS,)),
        ("joint_torque", "<f4", (MOTORS,)),
        ("joint_temperature", "i1", (MOTORS,)),
        ("joint_mode", "u1", (MOTORS,)),
        ("foot_force", "<i2", (4,)),
        ("battery_soc_percent", "u1"),
        ("battery_current_ma", "<i4"),
        ("battery_cell_mv", "<i2", (BATTERY_CELLS,)),
        ("remote", "u1", (REMOTE_BYTES,)),
    ]
)
"""`RobotState`, field by field; the keys of the remote are in `remote`."""

REPORT = np.dtype(
    [
        ("time_s", "<f8"),
        ("step_deadline_s", "<f8"),
        ("state_time_s", "<f8"),
        ("tick", "<u8"),
        ("episode", "<u4"),
        ("step", "<u4"),
        ("latched", "<u4"),
        ("mode", "u1"),
        ("state_known", "u1"),
        ("state", STATE),
    ]
)
"""Of the gate, at every tick: `Report`."""

ANSWER = np.dtype(
    [
        ("epoch", "<u8"),
        ("episode", "<u4"),
        ("step", "<u4"),
        ("valid_until_s", "<f8"),
        ("inference_s", "<f8"),
        ("position", "<f4", (MOTORS,)),
        ("stiffness", "<f8", (MOTORS,)),
        ("damping", "<f8", (MOTORS,)),
    ]
)
"""Of the pilot, at every step: `Answer`."""

ORDER = np.dtype([("time_s", "<f8"), ("stop", "u1"), ("reason", "u1", (TEXT_BYTES,))])
"""Of the supervisor."""

PULSE = np.dtype([("sent", "<u8"), ("damping", "u1")])
"""Of the gate, with every command that it has sent."""

NO_STEP = 2**32 - 1
"""`Report.step` before the first step of an episode is due, and outside of WALK."""


class Slots(NamedTuple):
    """Descriptors of the slots, made before the processes are."""

    report: int
    pulse: int
    answer: int
    order: int

    @classmethod
    def create(cls) -> Slots:
        """Empty slots.

        Raises:
            SharedSlotError: there is no shared memory.
        """
        return cls(*(create_slot(layout) for layout in (REPORT, PULSE, ANSWER, ORDER)))

    def close(self) -> None:
        """Close the descriptors; what is mapped stays mapped."""
        for descriptor in self:
            os.close(descriptor)


class Report(NamedTuple):
    """What the gate says of one tick."""

    time_s: float
    """When the tick began [s]."""
    tick: int
    """Link ticks since the session began, those that were missed included."""
    mode: Mode
    latched: int
    """Faults that hold the robot damped (`reasons.Reason`); 0 while armed."""
    episode: int
    """The running episode, or the last one."""
    step: int
    """Policy step that has come due last in this episode, from zero; NO_STEP if none has."""
    step_deadline_s: float
    """When that was [s]."""
    state: Optional[RobotState]
    """The newest; None before the first."""
    state_time_s: float
    """When it was received [s]."""


class Answer(NamedTuple):
    """What the pilot says to one policy step."""

    epoch: int
    """Of the lease under which the pilot was started (`lease.Lease.epoch`)."""
    episode: int
    step: int
    target: JointTarget
    inference_s: float
    """How long the policy took [s]."""


class ReportWriter:
    """The gate's mouth."""

    def __init__(self, descriptor: int) -> None:
        self._slot = SlotWriter(descriptor, REPORT)
        self._record = np.zeros((), REPORT)
        self._state = self._record["state"]
        self._state_seen: Optional[RobotState] = None

    def write(self, report: Report) -> None:
        """Publish one tick."""
        record = self._record
        record["time_s"], record["tick"] = report.time_s, report.tick
        record["mode"], record["latched"] = report.mode, report.latched
        record["episode"], record["step"] = report.episode, report.step
        record["step_deadline_s"], record["state_time_s"] = report.step_deadline_s, report.state_time_s
        if report.state is not None and report.state is not self._state_seen:
            self._copy_state(report.state)
        self._slot.write(record)

    def _copy_state(self, state: RobotState) -> None:
        for name in STATE.names or ():
            value = getattr(state, name)
            self._state[name] = np.frombuffer(value, np.uint8) if name == "remote" else value
        self._state_seen, self._record["state_known"] = state, True


def read_report(slot: SlotReader) -> Optional[Report]:
    """The gate's newest tick; None before the first."""
    found = slot.read()
    if found is None:
        return None
    record = found.record
    return Report(
        time_s=float(record["time_s"]),
        tick=int(record["tick"]),
        mode=Mode(int(record["mode"])),
        latched=int(record["latched"]),
        episode=int(record["episode"]),
        step=int(record["step"]),
        step_deadline_s=float(record["step_deadline_s"]),
        state=_robot_state(record["state"]) if record["state_known"] else None,
        state_time_s=float(record["state_time_s"]),
    )


def _robot_state(record: np.void) -> RobotState:
    values = {name: record[name] for name in STATE.names or ()}
    for name in ("tick_ms", "imu_temperature", "battery_soc_percent", "battery_current_ma"):
        values[name] = int(values[name])
    values["remote"] = values["remote"].tobytes()
    return RobotState(**values)


class PulseWriter:
    """The gate's heart, beating with every command."""

    def __init__(self, descriptor: int) -> None:
        self._slot = SlotWriter(descriptor, PULSE)
        self._record = np.zeros((), PULSE)

    def write(self, sent: int, damping: bool) -> None:
        """Say that `sent` commands have left, the last of them damping or not."""
        self._record["sent"], self._record["damping"] = sent, damping
        self._slot.write(self._record)


class AnswerWriter:
    """The pilot's mouth."""

    def __init__(self, descriptor: int) -> None:
        self._slot = SlotWriter(descriptor, ANSWER)
        self._record = np.zeros((), ANSWER)

    def write(self, answer: Answer) -> None:
        """Publish one target."""
        record, target = self._record, answer.target
        record["epoch"], record["episode"], record["step"] = answer.epoch, answer.episode, answer.step
        record["valid_until_s"], record["inference_s"] = target.valid_until_s, answer.inference_s
        record["position"], record["stiffness"], record["damping"] = target.position, target.stiffness, target.damping
        self._slot.write(record)


class AnswerReader:
    """The gate's ear: hands out every answer once."""

    def __init__(self, descriptor: int) -> None:
        self._slot = SlotReader(descriptor, ANSWER)
        self._seen = 0

    def read(self) -> Optional[Answer]:
        """The newest answer, if it has not been handed out yet."""
        found = self._slot.read(newer_than=self._seen)
        if found is None:
            return None
        self._seen, record = found
        target = JointTarget(record["position"], record["stiffness"], record["damping"], float(record["valid_until_s"]))
        return Answer(
            int(record["epoch"]), int(record["episode"]), int(record["step"]), target, float(record["inference_s"])
        )


class OrderWriter:
    """The supervisor's mouth."""

    def __init__(self, descriptor: int) -> None:
        self._slot = SlotWriter(descriptor, ORDER)
        self._record = np.zeros((), ORDER)

    def write(self, time_s: float, stop_reason: str = "") -> None:
        """Say that the supervisor is there at `time_s`; a reason is an order to end the session, and stays one."""
        self._record["time_s"] = time_s
        if stop_reason:
            self._record["stop"], self._record["reason"] = True, encode_text(stop_reason)
        self._slot.write(self._record)


class Order(NamedTuple):
    """What the supervisor said last."""

    time_s: float
    stop_reason: str
    """Empty: go on."""


def read_order(slot: SlotReader) -> Optional[Order]:
    """The newest order; None before the first."""
    found = slot.read()
    if found is None:
        return None
    reason = decode_text(found.record["reason"]) if found.record["stop"] else ""
    return Order(float(found.record["time_s"]), reason)
