"""The lease: one holder at a time, whoever ends how, and epochs that only grow."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

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
