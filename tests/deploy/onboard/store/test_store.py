"""The store: what is installed, tried, confirmed and returned to."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.onboard.slot_state import BEGUN, PASSED, UNTRIED
from deploy.onboard.store import BundleStore, StoreError, active_bundle
from policy.bundle import BundleError
from policy.contract import ContractError
from robot_configs.robot import RobotModel
from tests.deploy.onboard.store.bench import Sealed, confirm, name_of, slots_of

KILLED = 9


def test_without_a_store_there_is_nothing_to_run(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"found none\. Flash one"):
        active_bundle(tmp_path / "none")


def test_an_installation_switches_and_keeps_the_previous(store: BundleStore, sealed: list[Sealed]) -> None:
    installed = store.install(sealed[1].content)
    assert (installed.active.version, installed.trial, installed.golden_steps) == (2, UNTRIED, 512)
    assert installed.previous is not None and installed.previous.sha256 == sealed[0].bundle.sha256
    assert active_bundle(store.root).read_bytes() == sealed[1].content
    assert slots_of(store) == {name_of(sealed[0]), name_of(sealed[1])}


def test_a_third_bundle_pushes_the_first_out(store: BundleStore, sealed: list[Sealed]) -> None:
    store.install(sealed[1].content)
    confirm(store)
    store.install(sealed[2].content)
    assert slots_of(store) == {name_of(sealed[1]), name_of(sealed[2])}


def test_rollback_and_back(store: BundleStore, sealed: list[Sealed]) -> None:
    store.install(sealed[1].content)
    confirm(store)
    store.rollback()
    assert active_bundle(store.root).name == name_of(sealed[0])
    store.rollback()
    assert active_bundle(store.root).name == name_of(sealed[1])


def test_a_trial_that_passes_can_be_confirmed(store: BundleStore, sealed: list[Sealed]) -> None:
    store.install(sealed[1].content)
    with store.session() as session:
        assert session.bundle_path.name == name_of(sealed[1])
        assert store.state().trial == BEGUN
        session.faultless()
    assert store.state().trial == PASSED
    assert store.confirm().trial is None


@pytest.mark.parametrize("before", [UNTRIED, PASSED])
def test_a_session_that_shows_nothing_leaves_the_trial_as_it_was(
    store: BundleStore, sealed: list[Sealed], before: str
) -> None:
    store.install(sealed[1].content)
    if before == PASSED:
        with store.session() as session:
            session.faultless()
    with store.session() as session:
        assert store.state().trial == BEGUN
        session.undecided()
    assert store.state().trial == before


def test_of_a_confirmed_bundle_nothing_is_decided(store: BundleStore) -> None:
    with store.session() as session:
        session.undecided()
    assert store.state().trial is None


def test_a_fault_stays_on_record_when_the_same_bundle_is_flashed_again(
    store: BundleStore, sealed: list[Sealed]
) -> None:
    assert not store.install(sealed[1].content).failed_here_before
    with store.session():
        pass
    again = store.install(sealed[1].content)
    assert (again.trial, again.failed_here_before) == (UNTRIED, True)
    assert store.status()["failed"] == {"sha256": sealed[1].bundle.sha256, "version": 2}
    confirm(store)
    assert store.status()["failed"] is None


def test_a_fault_stays_on_record_when_its_bundle_is_rolled_back(store: BundleStore, sealed: list[Sealed]) -> None:
    store.install(sealed[1].content)
    with store.session():
        pass
    store.rollback()
    assert store.status()["failed"] == {"sha256": sealed[1].bundle.sha256, "version": 2}


def test_nothing_can_be_confirmed_in_an_empty_store_and_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"expected a bundle on trial; found an empty store\. Flash one"):
        BundleStore(tmp_path / "none").confirm()
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("end", ["silent", "raises", "killed"])
def test_a_trial_that_fails_is_taken_out_by_the_next_run(
    store: BundleStore, sealed: list[Sealed], end: str, remembered: None
) -> None:
    store.install(sealed[1].content)
    if end == "killed":
        child = os.fork()
        if child == 0:
            with store.session():
                os._exit(KILLED)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED
    elif end == "raises":
        with pytest.raises(RuntimeError), store.session():
            raise RuntimeError
    else:
        with store.session():
            pass
    assert store.state().trial == BEGUN
    with store.session() as session:
        assert session.bundle_path.name == name_of(sealed[0])
    assert store.status()["failed"] == {"sha256": sealed[1].bundle.sha256, "version": 2}
    assert slots_of(store) == {name_of(sealed[0])}
    assert active_bundle(store.root).name == name_of(sealed[0])


def test_a_failed_first_trial_leaves_nothing_to_run(tmp_path: Path, sealed: list[Sealed]) -> None:
    store = BundleStore(tmp_path / "store")
    store.install(sealed[0].content)
    with store.session():
        pass
    with pytest.raises(StoreError, match=rf"the trial of {sealed[0].bundle.sha256[:12]} \(version 1\) failed"):
        store.active_bundle()


def test_two_sessions_can_not_run_at_once(store: BundleStore) -> None:
    with store.session(), pytest.raises(StoreError, match="no other session"), BundleStore(store.root).session():
        pass


def test_a_bundle_is_flashed_while_another_walks(store: BundleStore, sealed: list[Sealed]) -> None:
    store.install(sealed[1].content)
    with store.session() as session:
        store.install(sealed[2].content)
        session.faultless()
    assert (store.state().trial, active_bundle(store.root).name) == (UNTRIED, name_of(sealed[2]))


def test_a_downgrade_needs_a_word(store: BundleStore, sealed: list[Sealed]) -> None:
    store.install(sealed[2].content)
    confirm(store)
    with pytest.raises(StoreError, match="version 3 or newer: that one was confirmed here; found version 2"):
        store.install(sealed[1].content)
    assert active_bundle(store.root).name == name_of(sealed[2])
    assert slots_of(store) == {name_of(sealed[0]), name_of(sealed[2])}
    store.install(sealed[1].content, allow_downgrade=True)
    assert active_bundle(store.root).name == name_of(sealed[1])


def test_what_does_not_verify_never_reaches_a_slot(store: BundleStore, sealed: list[Sealed], robot: RobotModel) -> None:
    before = sorted(store.root.rglob("*"))
    with pytest.raises(BundleError, match="seal"):
        store.install(sealed[1].content[:-1] + b"\0")
    with pytest.raises(ContractError, match="robot"):
        BundleStore(store.root, replace(robot, name="another")).install(sealed[1].content)
    assert sorted(store.root.rglob("*")) == before
    assert active_bundle(store.root).name == name_of(sealed[0])


def test_a_slot_that_rotted_is_not_run(store: BundleStore, sealed: list[Sealed]) -> None:
    path = store.root / "slots" / name_of(sealed[0])
    content = bytearray(sealed[0].content)
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match="seal"):
        store.active_bundle()
    path.write_bytes(sealed[1].content)
    with pytest.raises(StoreError, match=sealed[1].bundle.sha256):
        store.active_bundle()
    path.unlink()
    with pytest.raises(StoreError, match="no file"):
        store.active_bundle()
