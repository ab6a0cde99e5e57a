"""What a session shows of the bundle that is on trial: that it walks, that it fails, or nothing.

What may pass is listed here, and everything else has failed: a pilot that was killed, a gate that fell silent, an
error at the farewell, and whatever may be added some day to the ways in which a session ends.
"""

from __future__ import annotations

import enum

from deploy.onboard.control_loop import LINK_LOST
from deploy.onboard.reasons import Reason, reason_names
from deploy.onboard.schedule import NOT_FIT_TO_STAND, taken_over
from deploy.onboard.slot_state import LEAST_WALK_S
from deploy.onboard.stop_signals import STOP_SIGNALS
from deploy.onboard.summary import RunSummary
from deploy.onboard.target import Mode

AS_PLANNED = ""
"""`RunSummary.stop_reason` of a session whose plan was done."""

BY_A_PERSON = frozenset(
    [number.name for number in STOP_SIGNALS] + [taken_over(mode) for mode in (Mode.STAND, Mode.SIT, Mode.DAMP)]
)
"""Stop reasons of a session that a person has ended: Ctrl-C, SIGTERM, a closed terminal, the remote's keys."""

(STOP_KEY,) = reason_names(Reason.STOP_KEY)


class Evidence(enum.Enum):
    """The outcome of a trial's session."""

    WALKED = "walked"
    """Its policy drove for `LEAST_WALK_S` or longer, no fault was latched, and the session ended as planned or by a
    person."""
    FAULT = "fault"
    """A fault was latched (a fall, the stop key, a lost link, whatever its cause), or the session broke down."""
    NOTHING = "nothing"
    """Its policy did not drive, or too briefly, and the session ended as planned or by a person."""


def evidence_of(summary: RunSummary, control_hz: int) -> Evidence:
    """What the session `summary` shows of its bundle, whose policy makes `control_hz` steps a second.

    An episode begins when the policy takes over, so without one it never drove.
    """
    if not summary.episodes:
        return Evidence.NOTHING if _harmless_without_a_walk(summary) else Evidence.FAULT
    if summary.faults or not _ended_by_plan_or_person(summary):
        return Evidence.FAULT
    return Evidence.WALKED if summary.steps >= LEAST_WALK_S * control_hz else Evidence.NOTHING


def _ended_by_plan_or_person(summary: RunSummary) -> bool:
    return summary.stop_reason == AS_PLANNED or summary.stop_reason in BY_A_PERSON


def _harmless_without_a_walk(summary: RunSummary) -> bool:
    """Whether nothing moved, or a person ended it: the stop key, tried in the stand, is that person's as well."""
    if any(fault != STOP_KEY for fault in summary.faults):
        return False
    # In motion the gate latches a fault on an unfit robot and a silent link: without one, the robot lay there damped.
    nothing_moved = summary.stop_reason.startswith((f"{NOT_FIT_TO_STAND}: ", f"{LINK_LOST}: "))
    return nothing_moved or summary.stop_reason == STOP_KEY or _ended_by_plan_or_person(summary)
