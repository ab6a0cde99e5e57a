"""The robot's store of bundles: content-addressed slots, and one small file that says which of them is active.

::

    ROOT/state.json                   active, previous, trial, highest version: replaced whole, by one rename
    ROOT/slots/<sha256>.go1policy     never changed once there; with its signature <sha256>.go1policy.sig
    ROOT/staging/                     files on their way; emptied at every change
    ROOT/trusted_keys/*.pub           OpenSSH ed25519 public keys; any at all make signatures compulsory
    ROOT/change.lock, session.lock    held while the state is changed; while a session runs

An installation is killed anywhere, or loses power: `state.json` is either the old or the new one, and both name slots
that were on the disk before it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Union

from deploy.onboard.durable_files import make_folder, write_durably
from deploy.onboard.slot_state import BEGUN, MAX_STATE_BYTES, PASSED, UNTRIED, Slot, SlotState
from deploy.onboard.ssh_signature import MAX_SIGNATURE_BYTES, check_signature, trusted_keys
from deploy.onboard.store_error import StoreError
from policy.bundle import MAX_FILE_BYTES, SUFFIX, Bundle, parse_bundle, verify_bundle
from policy.sealed_file import read_bounded
from robot_configs.robot import RobotModel, load_robot

DEFAULT_ROOT = "~/.go1/store"
SIGNATURE_SUFFIX = ".sig"
LOCK_WAIT_S = 5.0
"""How long a change waits for another one; an installation takes well under a second."""

SESSION_LOCK_WAIT_S = 0.1
"""How long a session waits for whoever only looks whether one runs."""

_REMEDIES = {
    errno.ENOSPC: "Free some space on that disk, then try again.",
    errno.EDQUOT: "Free some space of that user's, then try again.",
    errno.EROFS: "Mount that file system for writing, or choose another folder.",
    errno.EACCES: "Use an account that may write there, or choose another folder.",
    errno.EIO: "The disk is failing: replace it.",
}


@dataclass(frozen=True)
class Installed:
    """What an installation did."""

    active: Slot
    previous: Optional[Slot]
    trial: Optional[str]
    golden_steps: int
    largest_error: float
    failed_here_before: bool
    """Whether a session of this very bundle, on trial, ended in a fault."""


class SlotSession:
    """One session of the active bundle; without a report of how it ended, a bundle on trial has failed.

    Args:
        trial_before: of the bundle, as the session found it.
    """

    def __init__(self, bundle_path: Path, slot: Slot, trial_before: Optional[str]) -> None:
        self.bundle_path = bundle_path
        self.slot = slot
        self.trial = BEGUN
        self._trial_before = trial_before or UNTRIED  # of a confirmed bundle nothing is decided, whatever is reported

    def undecided(self) -> None:
        """The policy did not drive, or not for long enough to show anything: the trial is left as it was."""
        self.trial = self._trial_before

    def faultless(self) -> None:
        """The policy walked, and the gate latched no fault."""
        self.trial = PASSED


class BundleStore:
    """A store in a folder, which the first installation makes."""

    def __init__(self, root: Union[str, Path] = DEFAULT_ROOT, robot: Optional[RobotModel] = None) -> None:
        self.root = Path(root).expanduser().absolute()
        self._robot = robot
        self._slots, self._staging = self.root / "slots", self.root / "staging"
        self._state_path = self.root / "state.json"

    def state(self) -> SlotState:
        """What the store knows; the empty state where there is no store.

        Raises:
            StoreError: a state that this program did not write.
        """
        try:
            with open(self._state_path, "rb") as stream:
                return SlotState.from_bytes(stream.read(MAX_STATE_BYTES + 1))
        except FileNotFoundError:
            return SlotState()

    def install(self, content: bytes, signature: bytes = b"", allow_downgrade: bool = False) -> Installed:
        """Verify a bundle as the session would, keep it in a slot, and make it active, on trial.

        Args:
            content: the bundle's bytes; these, and no file that might change meanwhile, are checked and kept.
            signature: of `content`, as `ssh-keygen -Y sign` makes it; empty for none.

        Raises:
            BundleError, ContractError: what `read_bundle` and `verify_bundle` refuse.
            StoreError: no trusted signature where one is needed, a downgrade, a disk that does not take it.
        """
        bundle = parse_bundle(content)
        self._check_signature(content, signature)
        report = verify_bundle(bundle, self._robot or load_robot())
        with self._changing():
            state = self._state_between_sessions()
            if not allow_downgrade:
                state.check_version(bundle.version)
            slot = Slot(bundle.sha256, bundle.version)
            self._keep(slot, content, signature)
            state = state.installed(slot)
            self._switch(state)
        failed_before = state.failed == slot
        return Installed(slot, state.previous, state.trial, report.steps, report.largest_error, failed_before)

    def active_bundle(self) -> Path:
        """The bundle to run, intact and signed as this store demands; a failed trial is taken out first.

        Raises:
            StoreError: there is none, or what is there can not be trusted.
        """
        with self._session_lock(), self._changing():
            return self._intact(self._revert_failed_trial())

    @contextmanager
    def session(self) -> Iterator[SlotSession]:
        """Hold the active bundle for one session; report its end to what this yields.

        Raises:
            StoreError: another session runs; else as `active_bundle`.
        """
        with self._session_lock():
            with self._changing():
                state = self._revert_failed_trial()
                session = SlotSession(self._intact(state), self._active(state), state.trial)
                self._switch(state.session_begun())
            try:
                yield session
            finally:
                with self._changing():
                    self._switch(self.state().session_ended(session.slot.sha256, session.trial))

    def confirm(self) -> SlotState:
        """Trust the active bundle for good, after it has walked without fault."""
        self.state().with_confirmation()  # refused before a store is made where there was none
        with self._changing():
            state = self.state().with_confirmation()
            self._switch(state)
        return state

    def rollback(self) -> SlotState:
        """Make the previous bundle active again, if it is still intact."""
        with self._changing():
            state = self._state_between_sessions().rolled_back()
            self._intact(state)
            self._switch(state)
        return state

    def status(self) -> Dict[str, Any]:
        """The state as plain values, with the folder and the names of the trusted keys."""
        state = self.state()
        plain = {
            name: None if slot is None else {"sha256": slot.sha256, "version": slot.version}
            for name, slot in (("active", state.active), ("previous", state.previous), ("failed", state.failed))
        }
        keys = sorted(trusted_keys(self.root / "trusted_keys"))
        trial = {"trial": state.trial, "highest_version": state.highest_version}
        return {"root": str(self.root), **plain, **trial, "trusted_keys": keys}

    def _check_signature(self, content: bytes, signature: bytes) -> None:
        keys = trusted_keys(self.root / "trusted_keys")
        if keys:
            check_signature(content, signature, keys)

    def _keep(self, slot: Slot, content: bytes, signature: bytes) -> None:
        """Signature first: a slot without its signature must never be what the state names."""
        path = self._slot_path(slot)
        if signature:
            write_durably(signature, self._staging, path.with_name(path.name + SIGNATURE_SUFFIX))
        write_durably(content, self._staging, path)

    def _switch(self, state: SlotState) -> None:
        """The one step that changes what runs; afterwards nothing needs the other slots any more."""
        if state != self.state():
            write_durably(state.to_bytes(), self._staging, self._state_path)
        kept = {slot.sha256 for slot in (state.active, state.previous) if slot is not None}
        for path in self._slots.iterdir():
            if path.name.split(".")[0] not in kept:
                os.unlink(path)

    def _revert_failed_trial(self) -> SlotState:
        state = self.state()
        reverted = state.reverted()
        if reverted != state:
            self._switch(reverted)
        return reverted

    def _active(self, state: SlotState) -> Slot:
        if state.active is None:
            found = "none" if state.failed is None else f"none: the trial of {state.failed.sha256[:12]} failed"
            raise StoreError(f"an active bundle in {self.root}", found, "Flash one: go1 robot flash BUNDLE --host ...")
        return state.active

    def _intact(self, state: SlotState) -> Path:
        """Path of the active bundle, whose bytes are still the sealed and signed ones."""
        slot = self._active(state)
        path = self._slot_path(slot)
        content = read_bounded(path, MAX_FILE_BYTES)
        bundle: Bundle = parse_bundle(content)
        if bundle.sha256 != slot.sha256:
            raise StoreError(f"the bundle {slot.sha256} at {path}", f"{bundle.sha256}", "Flash again.")
        signature_path = path.with_name(path.name + SIGNATURE_SUFFIX)
        signature = read_bounded(signature_path, MAX_SIGNATURE_BYTES) if signature_path.is_file() else b""
        self._check_signature(content, signature)
        return path

    def _slot_path(self, slot: Slot) -> Path:
        return self._slots / (slot.sha256 + SUFFIX)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Alone in the store, with its folders there and nothing staged; turns the disk's errors into ours."""
        try:
            for folder in (self.root, self._slots, self._staging):
                make_folder(folder)
            with _locked(self.root / "change.lock", LOCK_WAIT_S, "another change of the store to end"):
                for leftover in self._staging.iterdir():
                    os.unlink(leftover)
                yield
        except OSError as error:
            raise StoreError(
                f"to change the store {self.root}",
                f"{os.strerror(error.errno) if error.errno else error}",
                "The active bundle is as it was. " + _REMEDIES.get(error.errno or 0, "Look at that disk."),
            ) from error

    def _state_between_sessions(self) -> SlotState:
        """The state, in which a trial that was begun has failed unless its session is still running."""
        try:
            with self._session_lock(wait_s=0.0):
                return self.state().with_failure_on_record()
        except StoreError:
            return self.state()

    @contextmanager
    def _session_lock(self, wait_s: float = SESSION_LOCK_WAIT_S) -> Iterator[None]:
        make_folder(self.root)
        with _locked(self.root / "session.lock", wait_s, "no other session on this robot"):
            yield


def active_bundle(root: Union[str, Path]) -> Path:
    """The bundle that a robot with its store at `root` runs; see `BundleStore.active_bundle`."""
    return BundleStore(root).active_bundle()


@contextmanager
def _locked(path: Path, wait_s: float, expected: str) -> Iterator[None]:
    """An exclusive lock that the system drops with the process, however it ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline_s = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline_s:
                    raise StoreError(expected, f"{path} held by another process", "Wait for it to end.") from None
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)
