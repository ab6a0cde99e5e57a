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
import os
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Union

from deploy.onboard.durable_files import make_folder, write_durably
from deploy.onboard.slot_files import SlotFiles, check_trust
from deploy.onboard.slot_state import BEGUN, FAILED, MAX_STATE_BYTES, PASSED, UNTRIED, Slot, SlotState
from deploy.onboard.store_error import StoreError
from deploy.onboard.store_lock import SessionLock, change_lock
from policy.bundle import parse_bundle, verify_bundle
from robot_configs.errors import Go1Error
from robot_configs.robot import RobotModel, load_robot

DEFAULT_ROOT = "~/.go1/store"
LOCK_WAIT_S = 5.0
"""How long a change waits for another one; an installation takes well under a second."""

SESSION_LOCK_WAIT_S = 0.1
"""How long a session waits for whoever only looks whether one runs."""

NOTHING_RUNS = "nothing runs here until then"

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
        trial_before: of the bundle, as the session found it; None if it is confirmed.
        taken_out: the bundle that the last session drove, if it failed its trial in it.
    """

    def __init__(
        self, bundle_path: Path, slot: Slot, trial_before: Optional[str], taken_out: Optional[Slot] = None
    ) -> None:
        self.bundle_path, self.slot, self.taken_out = bundle_path, slot, taken_out
        self.on_trial = trial_before is not None
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
        self._staging = self.root / "staging"
        self._files = SlotFiles(self.root / "slots", self._staging, self.root / "trusted_keys")
        self._state_path = self.root / "state.json"
        self._session_lock = SessionLock(self.root / "session.lock")

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
            StoreError: no trusted signature where one is needed, a downgrade, a bundle on trial whose session runs, a
                disk that does not take it.
        """
        bundle = parse_bundle(content)
        check_trust(content, signature, self._files.keys())
        report = verify_bundle(bundle, self._robot or load_robot())
        with self._changing():
            state = self._state_between_sessions()
            if not allow_downgrade:
                state.check_version(bundle.version)
            slot = Slot(bundle.sha256, bundle.version)
            self._refuse_what_drives_on_trial(slot, state)
            self._files.keep(slot, content, signature)
            state = state.installed(slot)
            self._switch(state)
        failed_before = state.failed == slot
        return Installed(slot, state.previous, state.trial, report.steps, report.largest_error, failed_before)

    def active_bundle(self) -> Path:
        """The bundle to run, intact and signed as this store demands; a failed trial is taken out first.

        Raises:
            StoreError: there is none, or what is there can not be trusted.
        """
        with self._in_session(), self._changing():
            return self._intact(self._revert_failed_trial(), NOTHING_RUNS)

    @contextmanager
    def session(self) -> Iterator[SlotSession]:
        """Hold the active bundle for one session; report its end to what this yields.

        Raises:
            StoreError: another session runs; else as `active_bundle`.
        """
        with self._in_session() as put_on_record:
            with self._changing():
                found = self.state()
                state = self._revert_failed_trial()
                slot = self._active(state)
                session = SlotSession(self._intact(state, NOTHING_RUNS), slot, state.trial, found.failing)
                put_on_record(slot.sha256)
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
        """Make the previous bundle active again.

        A bundle on trial is out afterwards in any case: who rolls back from it does not want it to run again. A
        confirmed one stays active where the previous one may not run.

        Raises:
            StoreError: there is no previous bundle, it is not intact any more, or no trusted key has signed it.
        """
        with self._changing():
            self._files.keys()  # a broken one is to be mended first; until then nothing runs anyway
            before = self._state_between_sessions()
            state = before.rolled_back()
            if before.trial is None:
                self._intact(state, f"until then {before.active} stays active")
                self._switch(state)
                return state
            self._switch(state)
            over = f"the trial of {before.active} is over all the same"
            if state.active is None:
                raise StoreError(
                    "a previous bundle to go back to",
                    "none",
                    f"Flash the bundle that you want; {over}, and nothing runs here until then.",
                )
            self._intact(state, f"{over}, and {NOTHING_RUNS}")
        return state

    def status(self) -> Dict[str, Any]:
        """The state as plain values, with the folder, the names of the trusted keys, and what the next run would meet.

        `trial` is that of the active bundle: untried, begun (`session` drives it now), passed or failed; `next` is the
        bundle that the next run drives, None if it would be refused; `warnings` say why, in whole sentences.
        """
        holder = self._session_lock.holder()
        state = self.state() if holder else self.state().with_failure_on_record()
        keys = sorted(self._files.keys())
        following, warnings = self._outlook(state, running=holder is not None)
        slots = {"active": state.active, "previous": state.previous, "failed": state.failed, "next": following}
        failed = state.trial == BEGUN and holder is None
        return {
            "root": str(self.root),
            **{name: None if slot is None else asdict(slot) for name, slot in slots.items()},
            "trial": FAILED if failed else state.trial,
            "session": None if holder is None else holder._asdict(),
            "highest_version": state.highest_version,
            "trusted_keys": keys,
            "warnings": warnings,
        }

    def _outlook(self, state: SlotState, running: bool) -> Tuple[Optional[Slot], List[str]]:
        """What the next run drives, and what a person should know of it and of what a rollback leads to."""
        warnings = []
        following = state if running else state.reverted()
        if state.failing and not running:
            goes_back = "there is no previous one" if following.active is None else f"goes back to {following.active}"
            warnings.append(f"{state.failing} has failed its trial: the next run takes it out, and {goes_back}.")
        refused = set()
        for slot in (state.active, state.previous):
            if slot is None or (slot == state.failing and not running):
                continue
            try:
                self._intact(replace(state, active=slot), "it can not run as it is")
            except StoreError as error:
                refused.add(slot)
                warnings.append(str(error))
        return None if following.active in refused else following.active, warnings

    def _refuse_what_drives_on_trial(self, slot: Slot, state: SlotState) -> None:
        """Its session decides the trial: one that began anew meanwhile would forget that this one has begun."""
        holder = self._session_lock.holder()
        if holder is None or state.installed(slot).trial is None:
            return
        driven = holder.sha256 or (None if state.active is None else state.active.sha256)
        if driven == slot.sha256:
            raise StoreError(
                f"no session of the bundle {slot} while it is flashed",
                f"that {holder.who} drives it, on trial",
                f"{holder.remedy} Its end decides the trial.",
            )

    def _switch(self, state: SlotState) -> None:
        """The one step that changes what runs; afterwards nothing needs the other slots any more."""
        if state != self.state():
            write_durably(state.to_bytes(), self._staging, self._state_path)
        self._files.keep_only([slot for slot in (state.active, state.previous) if slot is not None])

    def _revert_failed_trial(self) -> SlotState:
        state = self.state()
        reverted = state.reverted()
        if reverted != state:
            self._switch(reverted)
        return reverted

    def _active(self, state: SlotState) -> Slot:
        if state.active is None:
            found = "none" if state.failed is None else f"none: the trial of {state.failed} failed"
            raise StoreError(f"an active bundle in {self.root}", found, "Flash one: go1 robot flash BUNDLE --host ...")
        return state.active

    def _intact(self, state: SlotState, otherwise: str) -> Path:
        """Path of the active bundle, whose bytes are still the sealed and signed ones.

        Args:
            otherwise: what becomes of the store if they are not, for the person who reads the error.

        Raises:
            StoreError: they are not; says of which bundle, and what to do.
        """
        slot = self._active(state)
        keys = self._files.keys()
        try:
            return self._files.require_sound(slot, keys)
        except Go1Error as error:
            older = ", with --allow-downgrade" if slot.version < state.highest_version else ""
            raise StoreError(
                f"{error.expected}, for the bundle {slot} of this store",
                error.found,
                f"{error.remedy} Then flash it again{older}, or flash another; {otherwise}.",
            ) from error

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Alone in the store, with its folders there and nothing staged; turns the disk's errors into ours."""
        try:
            for folder in (self.root, self._files.folder, self._staging):
                make_folder(folder)
            with change_lock(self.root / "change.lock", LOCK_WAIT_S):
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
        state = self.state()
        return state if self._session_lock.holder() else state.with_failure_on_record()

    @contextmanager
    def _in_session(self) -> Iterator[Callable[[str], None]]:
        make_folder(self.root)
        with self._session_lock.held(SESSION_LOCK_WAIT_S) as put_on_record:
            yield put_on_record


def active_bundle(root: Union[str, Path]) -> Path:
    """The bundle that a robot with its store at `root` runs; see `BundleStore.active_bundle`."""
    return BundleStore(root).active_bundle()
