"""`go1 robot run --slots`: what the end of a session makes of a bundle on trial."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from cli.main import main
from cli.slots import bundle_to_run
from deploy.onboard.control_loop import SilentRobotError
from deploy.onboard.lease import LeaseTakenError
from deploy.onboard.link import PacketNotSentError
from deploy.onboard.lockstep_link import NotInLockstepError
from deploy.onboard.log_folder import LogFolderError
from deploy.onboard.slot_state import BEGUN, PASSED, UNTRIED
from deploy.onboard.store import BundleStore
from policy.bundle import BUNDLES
from robot_configs.errors import Go1Error
from tests.deploy.onboard.test_trial_evidence import session

SHIPPED = BUNDLES / "go1_velocity.go1policy"


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    """With the shipped policy on trial."""
    store = BundleStore(tmp_path / "store")
    store.install(SHIPPED.read_bytes())
    return store


def options(store: BundleStore) -> argparse.Namespace:
    return argparse.Namespace(slots=store.root, bundle=None)


@pytest.mark.parametrize(
    ("summary", "trial", "said"),
    [
        (session((250,)), PASSED, "has walked without fault: go1 robot confirm"),
        (session(stop_reason="SIGINT"), UNTRIED, "has not walked for 5 s in one session yet"),
        (session((1000,), ("tilt",)), BEGUN, "the trial has FAILED"),
    ],
)
def test_the_end_decides_and_the_person_is_told(
    store: BundleStore, summary: object, trial: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with bundle_to_run(options(store)) as (path, ended):
        assert path.read_bytes() == SHIPPED.read_bytes()
        ended(summary)  # type: ignore[arg-type]
    assert store.state().trial == trial
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "trial"),
    [
        (SilentRobotError, UNTRIED),
        (NotInLockstepError, UNTRIED),
        (LeaseTakenError, UNTRIED),
        (LogFolderError, UNTRIED),
        (PacketNotSentError, BEGUN),
        (Go1Error, BEGUN),
    ],
)
def test_what_comes_before_any_motion_costs_no_trial(store: BundleStore, error: "type[Go1Error]", trial: str) -> None:
    with pytest.raises(error), bundle_to_run(options(store)):
        raise error("a robot", "none", "Look.")
    assert store.state().trial == trial


def test_a_trial_in_which_nobody_pressed_a_key_can_not_be_confirmed(
    store: BundleStore, capsys: pytest.CaptureFixture[str]
) -> None:
    with bundle_to_run(options(store)) as (_, ended):
        ended(session(stop_reason="SIGINT"))
    assert main(["robot", "confirm", "--slots", str(store.root)]) == 2
    assert "a session with 5 s of walking and no fault\n     found    one that is untried" in capsys.readouterr().err
