"""While a session runs: who it is, and that nobody makes the store forget that a trial has begun."""

import errno
import fcntl
import os
from pathlib import Path

import pytest

from deploy.onboard.slot_state import BEGUN, PASSED, UNTRIED
from deploy.onboard.store import BundleStore, StoreError
from deploy.onboard.store_lock import Holder, SessionLock, change_lock
from tests.deploy.onboard.store.bench import Sealed, confirm

A_SEAL = "ab" * 32
KILLED = 9


@pytest.fixture
def lock(tmp_path: Path) -> SessionLock:
    return SessionLock(tmp_path / "session.lock")


def test_nobody_holds_what_is_not_there_and_a_look_makes_no_file(lock: SessionLock, tmp_path: Path) -> None:
    assert lock.holder() is None
    assert list(tmp_path.iterdir()) == []


def test_the_holder_is_on_record_while_it_lasts(lock: SessionLock) -> None:
    with lock.held(0.0) as put_on_record:
        assert lock.holder() == Holder(os.getpid(), None)
        put_on_record(A_SEAL)
        assert lock.holder() == Holder(os.getpid(), A_SEAL)
    assert lock.holder() is None


def test_what_an_earlier_session_left_is_nobodys_record(lock: SessionLock) -> None:
    with lock.held(0.0) as put_on_record:
        put_on_record(A_SEAL)
    with lock.held(0.0):
        assert lock.holder() == Holder(os.getpid(), None)


def test_two_who_look_are_no_session_to_each_other(lock: SessionLock, tmp_path: Path) -> None:
    with lock.held(0.0):
        pass
    with open(tmp_path / "session.lock", "rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert lock.holder() is None


@pytest.mark.parametrize(
    "record", [b"", b"1234", b"1234 \n1", b"x \n", b"12345678901 \n", b"1234 " + b"a" * 63 + b"\n", b"1" * 200]
)
def test_a_record_that_is_none_of_ours_names_nobody(lock: SessionLock, tmp_path: Path, record: bytes) -> None:
    with lock.held(0.0):
        (tmp_path / "session.lock").write_bytes(record)
        assert lock.holder() == Holder(None, None)


def test_a_full_disk_keeps_no_session_from_running(lock: SessionLock, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with lock.held(0.0) as put_on_record:
        put_on_record(A_SEAL)
    monkeypatch.setattr(os, "pwrite", full)
    with lock.held(0.0) as put_on_record:
        put_on_record("cd" * 32)
        assert lock.holder() == Holder(None, None), "and above all not the one before"


def test_the_lock_is_held_by_the_last_of_a_sessions_processes(lock: SessionLock) -> None:
    reading, writing = os.pipe()
    with lock.held(0.0):
        child = os.fork()
        if child == 0:
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
    try:
        assert lock.holder() == Holder(os.getpid(), None)
    finally:
        os.close(writing)
        os.waitpid(child, 0)
        os.close(reading)
    assert lock.holder() is None


def test_the_second_runner_is_told_the_process_of_the_first(store: BundleStore) -> None:
    words = rf"no other session on this robot; found one of process {os.getpid()}\. .*end it: kill -INT {os.getpid()}\."
    with store.session(), pytest.raises(StoreError, match=words), BundleStore(store.root).session():
        pass


def test_who_is_not_on_record_is_said_to_be_so() -> None:
    assert Holder(None, None).who == "a process that is not on record"
    assert Holder(None, None).remedy == "Wait for its end, or end it: kill -INT PID."


def test_a_change_waits_for_another_only_so_long(tmp_path: Path) -> None:
    path = tmp_path / "change.lock"
    with change_lock(path, 0.0), pytest.raises(StoreError, match=rf"another change .* to end; found {path} held"):
        with change_lock(path, 0.02):
            pass
    with change_lock(path, 0.0):
        pass


@pytest.fixture
def on_trial(store: BundleStore, sealed: list[Sealed]) -> BundleStore:
    """The second bundle is on trial; the first is confirmed."""
    store.install(sealed[1].content)
    return store


def refused(store: BundleStore, sealed: Sealed) -> None:
    """It can not be flashed, by the name of who drives it, and nothing is as it was not before."""
    before = store.state()
    words = rf"no session of the bundle {sealed.bundle.sha256[:12]} \(version {sealed.bundle.version}\) while.*"
    with pytest.raises(StoreError, match=words + rf"process {os.getpid()} drives it.*kill -INT {os.getpid()}"):
        store.install(sealed.content)
    assert store.state() == before


def test_what_drives_on_trial_is_not_flashed_again(on_trial: BundleStore, sealed: list[Sealed]) -> None:
    with on_trial.session() as session:
        refused(on_trial, sealed[1])
        assert on_trial.state().trial == BEGUN
        session.faultless()
    assert on_trial.state().trial == PASSED
    assert not on_trial.install(sealed[1].content).failed_here_before


def test_a_runner_killed_after_such_an_attempt_has_failed_its_trial(
    on_trial: BundleStore, sealed: list[Sealed], remembered: None
) -> None:
    child = os.fork()
    if child == 0:
        with on_trial.session():
            try:
                on_trial.install(sealed[1].content)
            except StoreError:
                os._exit(KILLED)
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED
    status = on_trial.status()
    assert (status["trial"], status["failed"]["sha256"]) == ("failed", sealed[1].bundle.sha256)
    assert on_trial.install(sealed[1].content).failed_here_before


@pytest.mark.parametrize("detour", ["another", "rollback"])
def test_nor_is_it_by_a_detour(on_trial: BundleStore, sealed: list[Sealed], detour: str) -> None:
    """Taken out while it drives, and flashed anew while it still does."""
    with on_trial.session():
        if detour == "another":
            on_trial.install(sealed[2].content)
        else:
            on_trial.rollback()
        refused(on_trial, sealed[1])


def test_of_a_session_without_a_record_the_active_bundle_is_thought(
    on_trial: BundleStore, sealed: list[Sealed]
) -> None:
    with on_trial.session():
        (on_trial.root / "session.lock").write_bytes(b"")
        with pytest.raises(StoreError, match="a process that is not on record drives it, on trial"):
            on_trial.install(sealed[1].content)
        assert on_trial.install(sealed[2].content).trial == UNTRIED


def test_without_an_active_bundle_nothing_drives(tmp_path: Path, sealed: list[Sealed]) -> None:
    store = BundleStore(tmp_path / "empty")
    store.root.mkdir()
    with SessionLock(store.root / "session.lock").held(0.0):
        assert store.install(sealed[0].content).trial == UNTRIED


def test_what_drives_and_is_confirmed_may_be_flashed_again(store: BundleStore, sealed: list[Sealed]) -> None:
    with store.session():
        assert store.install(sealed[0].content).trial is None
        store.install(sealed[1].content)
        assert store.install(sealed[0].content).trial is None, "it is the one to go back to"


def test_another_bundle_may_be_flashed_while_a_session_begins(store: BundleStore, sealed: list[Sealed]) -> None:
    store.install(sealed[1].content)
    confirm(store)
    with store.session():
        assert store.install(sealed[2].content).trial == UNTRIED
