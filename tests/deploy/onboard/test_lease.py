"""The lease: one holder at a time, whoever ends how, and epochs that only grow."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Optional

import pytest

from deploy.onboard import lease as lease_module
from deploy.onboard.lease import Lease, LeaseError, LeaseTakenError, lease_directory

ROBOT = "192.168.123.10:8007"


def test_a_second_holder_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    lease = Lease(ROBOT, tmp_path)
    with pytest.raises(LeaseTakenError, match=f"process {os.getpid()}") as refusal:
        Lease(ROBOT, tmp_path)
    assert f"kill -INT {os.getpid()}" in refusal.value.remedy
    lease.release()


def test_a_released_lease_is_free_and_leaves_nothing(tmp_path: Path) -> None:
    lease = Lease(ROBOT, tmp_path)
    lease.release()
    lease.release()
    lease.disown()
    assert list(tmp_path.iterdir()) == []
    Lease(ROBOT, tmp_path).release()


def test_every_robot_has_its_own(tmp_path: Path) -> None:
    leases = [Lease(f"127.0.0.1:{port}", tmp_path) for port in (8007, 8008)]
    for lease in leases:
        lease.release()


def test_epochs_grow(tmp_path: Path) -> None:
    epochs = []
    for _ in range(3):
        lease = Lease(ROBOT, tmp_path)
        epochs.append(lease.epoch)
        lease.release()
    assert epochs == sorted(set(epochs))


def test_a_child_holds_the_lease_of_a_parent_that_let_go(tmp_path: Path) -> None:
    """As the gate does, after its supervisor was killed: it may still be sending."""
    lease = Lease(ROBOT, tmp_path)
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    lease.disown()
    with pytest.raises(LeaseTakenError):
        Lease(ROBOT, tmp_path)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    Lease(ROBOT, tmp_path).release()


def test_a_child_that_disowns_it_does_not_hold_it(tmp_path: Path) -> None:
    lease = Lease(ROBOT, tmp_path)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        lease.disown()
        os.write(writing, b"\1")
        signal.pause()
        os._exit(0)
    os.read(reading, 1)
    lease.release()
    Lease(ROBOT, tmp_path).release()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(reading)
    os.close(writing)


def test_a_file_left_by_a_killed_holder_does_not_matter(tmp_path: Path) -> None:
    Lease(ROBOT, tmp_path).disown()
    assert len(list(tmp_path.iterdir())) == 1
    Lease(ROBOT, tmp_path).release()


def test_a_file_removed_by_hand_is_not_shared_with_its_successor(tmp_path: Path) -> None:
    """The old holder still locks a file without a name: who comes now is alone with the new one."""
    old = Lease(ROBOT, tmp_path)
    old.path.unlink()
    new = Lease(ROBOT, tmp_path)
    with pytest.raises(LeaseTakenError):
        Lease(ROBOT, tmp_path)
    new.release()
    old.release()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LeaseError, match="nowhere"):
        Lease(ROBOT, tmp_path / "nowhere")


def test_a_link_in_the_files_place_is_refused(tmp_path: Path) -> None:
    """The folder is open to all: another user must not get us to write where they cannot."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "go1_192.168.123.10_8007.lease").symlink_to(victim)
    with pytest.raises(LeaseError):
        Lease(ROBOT, tmp_path)
    assert victim.read_text() == "precious"


def test_leases_are_where_all_users_look(monkeypatch: pytest.MonkeyPatch) -> None:
    before = lease_directory()
    monkeypatch.setenv("TMPDIR", "/nowhere")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nowhere")
    assert lease_directory() == before


@pytest.mark.parametrize(("mode", "there"), [(0o777, True), (0o775, False), (None, False)])
def test_where_the_locks_folder_is_not_open_to_all_leases_are_in_tmp(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: Optional[int], there: bool
) -> None:
    folder = tmp_path / "lock"
    if mode is not None:
        folder.mkdir()
        folder.chmod(mode)
    monkeypatch.setattr(lease_module, "_RUN_LOCK", folder)
    assert lease_directory() == (folder if there else Path("/tmp"))


def test_a_file_that_may_not_be_removed_is_left_and_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made by another user, in a folder in which everybody may remove only their own."""

    def refuse(path: Path) -> None:
        raise PermissionError

    lease = Lease(ROBOT, tmp_path)
    monkeypatch.setattr(Path, "unlink", refuse)
    lease.release()
    assert lease.path.exists()
    Lease(ROBOT, tmp_path).disown()


def locks(monkeypatch: pytest.MonkeyPatch, before: Callable[[int], None]) -> list[int]:
    """Do something before every lock; the descriptors that are locked, in order."""
    asked: list[int] = []
    flock = lease_module.fcntl.flock

    def lock(descriptor: int, operation: int) -> None:
        assert operation == lease_module.fcntl.LOCK_EX | lease_module.fcntl.LOCK_NB
        asked.append(descriptor)
        before(len(asked))
        flock(descriptor, operation)

    monkeypatch.setattr(lease_module.fcntl, "flock", lock)
    return asked


def test_a_file_that_vanishes_before_it_is_locked_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its holder released it between our opening and locking it: a lock on a file without a name excludes nobody."""
    path = tmp_path / "go1_192.168.123.10_8007.lease"
    open_before = len(os.listdir("/proc/self/fd"))

    def vanish(number: int) -> None:
        if number <= 9:
            path.unlink()

    asked = locks(monkeypatch, vanish)
    lease = Lease(ROBOT, tmp_path)
    assert (len(asked), path.exists()) == (10, True)
    lease.release()
    assert len(os.listdir("/proc/self/fd")) == open_before, "the others were closed"


def test_a_file_that_keeps_vanishing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = locks(monkeypatch, lambda number: (tmp_path / "go1_192.168.123.10_8007.lease").unlink())
    with pytest.raises(LeaseError, match="keeps vanishing"):
        Lease(ROBOT, tmp_path)
    assert len(asked) == 10


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_before = len(os.listdir("/proc/self/fd"))

    def no_locks(number: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    locks(monkeypatch, no_locks)
    with pytest.raises(LeaseError, match="No locks available"):
        Lease(ROBOT, tmp_path)
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_a_holder_that_has_not_signed_yet_is_unknown(tmp_path: Path) -> None:
    lease = Lease(ROBOT, tmp_path)
    lease.path.write_bytes(b"")
    with pytest.raises(LeaseTakenError, match="process unknown") as refusal:
        Lease(ROBOT, tmp_path)
    assert "kill -INT PID" in refusal.value.remedy
    lease.release()


def test_any_user_may_lock_the_file(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        lease = Lease(ROBOT, tmp_path)
    finally:
        os.umask(before)
    assert lease.path.stat().st_mode & 0o777 == 0o666
    assert lease.path.read_bytes() == f"{os.getpid()}\n".encode().ljust(64)
    lease.release()
