"""What a session shows of the bundle that is on trial: that it walks, that it fails, or nothing."""

from __future__ import annotations

import enum

from deploy.onboard.slot_state import LEAST_WALK_S
from deploy.onboard.summary import RunSummary


class Evidence(enum.Enum):
    """The outcome of a trial's session."""

    WALKED = "walked"
    """Its policy drove for `LEAST_WALK_S` or longer, and the gate latched no fault."""
    FAULT = "fault"
    """Its policy drove, and there was a fault: a fall, the stop key, a lost link, whatever its cause."""
    NOTHING = "nothing"
    """Its policy did not drive, or too briefly: what happened before is no credit and no blame of the bundle's."""


def evidence_of(summary: RunSummary, control_hz: int) -> Evidence:
    """What the session `summary` shows of its bundle, whose policy makes `control_hz` steps a second.

    An episode begins when the policy takes over, so without one it never drove: a stop key that is tried while the
    robot stands up, or an empty battery, leaves the trial as it was.
    """
    if not summary.episodes:
        return Evidence.NOTHING
    if summary.faults:
        return Evidence.FAULT
    return Evidence.WALKED if summary.steps >= LEAST_WALK_S * control_hz else Evidence.NOTHING
