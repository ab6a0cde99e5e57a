"""`go1 robot run --slots`: which policy it drives and why, and what became of it, as the person is told."""

from pathlib import Path
from typing import Optional

import pytest

from cli.slots import bundle_to_run
from deploy.onboard.control_loop import SilentRobotError
from deploy.onboard.lease import LeaseTakenError
from deploy.onboard.store import BundleStore
from deploy.onboard.supervision import SupervisorError
from policy.bundle import BUNDLES, read_bundle, write_bundle
from robot_configs.errors import Go1Error
from tests.cli.test_slots import options
from tests.deploy.onboard.test_trial_evidence import PILOT_KILLED, session

SHIPPED = BUNDLES / "go1_velocity.go1policy"
WALKED, NO_WALK, FELL = session((250,)), session(), session((1000,), ("tilt",))


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The shipped policy under a higher version."""
    bundle, path = read_bundle(SHIPPED), tmp_path / "newer.go1policy"
    sealed = bundle.contract, bundle.onnx_bytes, bundle.golden, bundle.lineage, bundle.version + 1, bundle.robot_sha256
    write_bundle(path, *sealed)
    return path


@pytest.fixture
def store(tmp_path: Path, newer: Path) -> BundleStore:
    """The shipped policy is confirmed, a newer one on trial."""
    store = BundleStore(tmp_path / "store")
    store.install(SHIPPED.read_bytes())
    with store.session() as first:
        first.faultless()
    store.confirm()
    store.install(newer.read_bytes())
    return store


def name_of(path: Path) -> str:
    bundle = read_bundle(path)
    return f"{bundle.sha256[:12]} (version {bundle.version})"


def run(store: BundleStore, summary: Optional[object]) -> None:
    with bundle_to_run(options(store)) as (_, ended):
        if summary is not None:
            ended(summary)  # type: ignore[arg-type]


def told(capsys: pytest.CaptureFixture[str]) -> "list[str]":
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("summary", "end"),
    [
        (WALKED, "is on trial, and has walked without fault: go1 robot confirm, or go1 robot rollback"),
        (NO_WALK, "is on trial, and has not walked for 5 s in one session yet"),
    ],
)
def test_a_policy_on_trial(
    store: BundleStore, newer: Path, summary: object, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(store, summary)
    assert told(capsys) == [
        f"go1: this session drives the policy {name_of(newer)}, on trial",
        f"go1: the policy {name_of(newer)} {end}",
    ]


@pytest.mark.parametrize("summary", [FELL, session((265,), (), PILOT_KILLED), None])
def test_a_failed_trial_and_the_run_after_it(
    store: BundleStore, newer: Path, summary: object, capsys: pytest.CaptureFixture[str]
) -> None:
    run(store, summary)
    failed = f"the policy {name_of(newer)} was on trial, and the trial has FAILED"
    assert told(capsys)[1:] == [f"go1: {failed}: the next session runs {name_of(SHIPPED)}"]
    run(store, FELL)
    assert told(capsys) == [
        f"go1: the policy {name_of(newer)} has FAILED its trial and is taken out; back to the one before it",
        f"go1: this session drives the policy {name_of(SHIPPED)}, confirmed",
        f"go1: the policy {name_of(SHIPPED)} is confirmed",
    ]
    run(store, WALKED)
    assert told(capsys)[0] == f"go1: this session drives the policy {name_of(SHIPPED)}, confirmed"


def test_a_first_trial_that_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = BundleStore(tmp_path / "empty")
    store.install(SHIPPED.read_bytes())
    run(store, FELL)
    assert told(capsys)[1].endswith("and the trial has FAILED: nothing is left to run")


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (SilentRobotError, "has not walked for 5 s"),
        (LeaseTakenError, "has not walked"),
        (SupervisorError, "has FAILED"),
    ],
)
def test_an_error_says_what_became_of_the_trial_too(
    store: BundleStore, error: "type[Go1Error]", end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(error), bundle_to_run(options(store)):
        raise error("a robot", "none", "Look.")
    assert end in told(capsys)[1]


@pytest.mark.parametrize("change", ["flash", "rollback"])
def test_another_that_became_active_meanwhile_is_named(
    store: BundleStore, newer: Path, change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with bundle_to_run(options(store)) as (_, ended):
        if change == "flash":
            store.install(SHIPPED.read_bytes())
        else:
            store.rollback()
        ended(FELL)
    was, now = name_of(newer), name_of(SHIPPED)
    assert told(capsys)[1] == f"go1: the policy {was} is not the active one any more: meanwhile that has become {now}"


def test_a_first_trial_that_is_rolled_back_meanwhile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = BundleStore(tmp_path / "empty")
    store.install(SHIPPED.read_bytes())
    with bundle_to_run(options(store)) as (_, ended):
        with pytest.raises(Go1Error, match="is over all the same"):
            store.rollback()
        ended(WALKED)
    assert told(capsys)[1].endswith("meanwhile that has become none")
