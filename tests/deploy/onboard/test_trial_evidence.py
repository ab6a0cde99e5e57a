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


@pytest.mark.parametrize(
    ("summary", "expected"),
    [
        (session(stop_reason="SIGINT"), Evidence.NOTHING),  # nobody pressed a key
        (session(stop_reason="not fit to stand up: battery_low"), Evidence.NOTHING),
        (session(faults=("stop_key",)), Evidence.NOTHING),  # tried in the stand
        (session((249,)), Evidence.NOTHING),
        (session((250,)), Evidence.WALKED),  # 5 s at 50 Hz
        (session((100, 100, 50)), Evidence.WALKED),
        (session((3000,), stop_reason="SIGINT"), Evidence.WALKED),
        (session((3000,), faults=("stop_key",)), Evidence.FAULT),
        (session((0,), faults=("tilt",)), Evidence.FAULT),
    ],
)
def test_evidence(summary: RunSummary, expected: Evidence) -> None:
    assert evidence_of(summary, HZ) is expected
