"""What a session shows of a bundle on trial."""

import pytest

from deploy.onboard.link import LinkStatistics
from deploy.onboard.recorder import RecorderReport
from deploy.onboard.summary import EpisodeSummary, RunSummary
from deploy.onboard.trial_evidence import Evidence, evidence_of

HZ = 50


def session(steps: "tuple[int, ...]" = (), faults: "tuple[str, ...]" = (), stop_reason: str = "") -> RunSummary:
    """A session with walks of so many policy steps."""
    episodes = tuple(EpisodeSummary(n, "truncated", "", made, made / HZ, {}) for n, made in enumerate(steps))
    nothing = LinkStatistics(0, 0, 0, {}, 0), RecorderReport("", {}, {}, "")
    return RunSummary(episodes, faults, stop_reason, 0, 0, 0.0, 0.0, {}, {}, *nothing)


PILOT_KILLED = "the pilot was killed by SIGKILL"
GATE_KILLED = "the gate was killed by SIGKILL; the supervisor damped the robot"
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGTSTP")
TAKEN_OVER = ("the remote asked for STAND", "the remote asked for SIT", "the remote asked for DAMP")
BREAKDOWNS = (
    PILOT_KILLED,
    GATE_KILLED,
    "the pilot ended in order",
    "the pilot ended with status 1",
    "the pilot failed: RuntimeError: defect",
    "the gate was silent for 41 ms; the supervisor damped the robot",
    "the supervisor has been silent for 1.0 s",
    "the supervisor has died",
    "the supervisor failed",
    "the program failed",
    "while damping: [Errno 101] Network is unreachable",
    "link lost: no state for 5.0 s",
    "tilt",
    "not upright and at rest within 15.0 s after a fault",
    "operator link lost",
    "the remote asked for FAULT",
    "SIGSEGV",
    "SIGINT ",
    "a reason that is not thought of yet",
)


@pytest.mark.parametrize("stop_reason", ["", *SIGNALS, *TAKEN_OVER])
def test_a_walk_that_ends_as_planned_or_by_a_person_has_walked(stop_reason: str) -> None:
    assert evidence_of(session((250,), (), stop_reason), HZ) is Evidence.WALKED  # 5 s at 50 Hz
    assert evidence_of(session((100, 100, 50), (), stop_reason), HZ) is Evidence.WALKED
    assert evidence_of(session((249,), (), stop_reason), HZ) is Evidence.NOTHING
    assert evidence_of(session((0,), (), stop_reason), HZ) is Evidence.NOTHING


@pytest.mark.parametrize("stop_reason", BREAKDOWNS)
@pytest.mark.parametrize("steps", [0, 80, 265, 3000])
def test_a_walk_that_ends_in_any_other_way_is_a_fault(stop_reason: str, steps: int) -> None:
    """A pilot killed after 5.3 s: the gate latches nothing, it only ends the session, in order."""
    assert evidence_of(session((steps,), (), stop_reason), HZ) is Evidence.FAULT


@pytest.mark.parametrize("fault", ["tilt", "stop_key", "state_missing", "stop_key, tilt"])
@pytest.mark.parametrize("stop_reason", ["", "SIGINT", "stop_key", TAKEN_OVER[0]])
def test_a_walk_with_a_latched_fault_is_a_fault_however_the_session_ends(fault: str, stop_reason: str) -> None:
    assert evidence_of(session((3000,), (fault,), stop_reason), HZ) is Evidence.FAULT
    assert evidence_of(session((0,), (fault,), stop_reason), HZ) is Evidence.FAULT


@pytest.mark.parametrize(
    "summary",
    [
        session(),  # with the remote, nobody pressed a key until the program was told to end
        *(session((), (), signal) for signal in SIGNALS),
        session((), ("stop_key",), "stop_key"),  # tried in the stand, by a plan
        session((), ("stop_key",), "SIGINT"),  # and with the remote, which waits for a person to end it
        session((), ("stop_key", "stop_key"), "SIGINT"),
        session((), (), "not fit to stand up: battery_low"),
        session((), (), "link lost: no state for 5.0 s"),  # in motion the gate would have latched
    ],
)
def test_without_a_walk_what_a_person_or_nobody_did_shows_nothing(summary: RunSummary) -> None:
    assert evidence_of(summary, HZ) is Evidence.NOTHING


@pytest.mark.parametrize(
    "summary",
    [
        *(session((), (), reason) for reason in BREAKDOWNS if not reason.startswith("link lost")),
        session((), (GATE_KILLED,), GATE_KILLED),
        session((), ("tilt",), "tilt"),
        session((), ("tilt",), "SIGINT"),
        session((), ("stop_key, tilt",), "stop_key, tilt"),
        session((), ("stop_key", "tilt"), "SIGINT"),
        session((), ("tilt",), "not fit to stand up: battery_low"),
        session((), ("state_missing",), "link lost: no state for 5.0 s"),
        session((), ("stop_key",), PILOT_KILLED),
    ],
)
def test_a_stand_that_breaks_down_is_a_fault(summary: RunSummary) -> None:
    assert evidence_of(summary, HZ) is Evidence.FAULT
