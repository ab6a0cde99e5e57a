"""Which bundle the robot runs, which one it goes back to, and what is still on trial: pure, one small file.

::

                 install           begin          walked without fault      confirm
    (confirmed) --------> UNTRIED -------> BEGUN -------------------> PASSED -----> (confirmed)
                             ^               |  ^                        |  ^
                             +---------------+  +------------------------+  |
                             |  undecided               begin               |
                             +-------- as it was before the session --------+

A session that does not report its end leaves BEGUN behind, whatever ended it: a fault, a kill, a brown-out. The next
begin finds it and goes back to the previous bundle, which is always a confirmed one. A session in which the policy did
not drive, or not for long enough (`trial_evidence`), leaves the trial as it found it. No program can see whether a gait
is any good: only a person confirms, and only after the policy has walked without fault.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from typing import Any, Optional

from deploy.onboard.store_error import StoreError
from robot_configs.robot import canonical_json

UNTRIED, BEGUN, PASSED = "untried", "begun", "passed"
FAILED = "failed"
"""How BEGUN reads once its session has ended; never in the file."""

MAX_STATE_BYTES = 4096
LEAST_WALK_S = 5.0
"""A session shows something of a bundle if its policy drove for this long, over all walks [s]: two or three times what
it takes to start, and ten strides of a trot (`trial_evidence`)."""

_NOT_PASSED_REMEDY = {
    UNTRIED: "Walk it (`go1 robot run --slots ~/.go1/store ...`), look at the walk, then confirm.",
    BEGUN: "Its session is running, or has failed: `go1 robot status` tells which, and what the next one drives.",
}
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Slot:
    """A bundle in the store, by its seal and version counter."""

    sha256: str
    version: int

    def __str__(self) -> str:
        return f"{self.sha256[:12]} (version {self.version})"


@dataclass(frozen=True)
class SlotState:
    """Everything the store knows.

    Attributes:
        active: what runs next.
        previous: what ran before it; always confirmed.
        trial: None when the active bundle is confirmed, else UNTRIED, BEGUN or PASSED.
        highest_version: of all bundles that were ever confirmed here; older ones are downgrades.
        failed: the newest bundle whose trial a session ended in a fault, until that very bundle is confirmed.
    """

    active: Optional[Slot] = None
    previous: Optional[Slot] = None
    trial: Optional[str] = None
    highest_version: int = 0
    failed: Optional[Slot] = None

    @property
    def confirmed(self) -> Optional[Slot]:
        """The newest bundle that a person has confirmed."""
        return self.active if self.trial is None else self.previous

    @property
    def failing(self) -> Optional[Slot]:
        """The bundle on trial whose session has not ended well: it runs, or it has failed."""
        return self.active if self.trial == BEGUN else None

    def check_version(self, version: int) -> None:
        """Refuse a downgrade.

        Raises:
            StoreError
        """
        if version < self.highest_version:
            raise StoreError(
                f"version {self.highest_version} or newer: that one was confirmed here",
                f"version {version}",
                "Export it with a higher version, or give --allow-downgrade if the old behaviour is wanted.",
            )

    def installed(self, slot: Slot) -> SlotState:
        """`slot` active and on trial; what was on trial before is dropped, what was confirmed is kept."""
        confirmed = self.confirmed
        if slot == confirmed:
            # Back to what is known to be good. Only a trial is dropped, so what lay before stays where it was.
            return replace(self, active=slot, previous=self.previous if self.trial is None else None, trial=None)
        return replace(self, active=slot, previous=confirmed, trial=UNTRIED)

    def reverted(self) -> SlotState:
        """Without the bundle on trial, if its session did not end well; otherwise unchanged."""
        if self.trial != BEGUN:
            return self
        return replace(self.with_failure_on_record(), active=self.previous, previous=None, trial=None)

    def with_failure_on_record(self) -> SlotState:
        """The same, with the bundle on trial named as failed if its session did not end well."""
        return replace(self, failed=self.active) if self.failing else self

    def session_begun(self) -> SlotState:
        """A trial counts as failed from here on, until it reports otherwise."""
        return self if self.trial is None else replace(self, trial=BEGUN)

    def session_ended(self, sha256: str, trial: str) -> SlotState:
        """How that bundle's session left it: UNTRIED, PASSED, or BEGUN (a fault). Another's trial stays untouched."""
        if self.active is None or self.active.sha256 != sha256 or self.trial != BEGUN:
            return self
        return replace(self, trial=trial)

    def with_confirmation(self) -> SlotState:
        """The active bundle trusted for good.

        Raises:
            StoreError: nothing is on trial, or its trial has not passed.
        """
        if self.active is None:
            history = "" if self.failed is None else f": the trial of {self.failed} failed"
            raise StoreError("a bundle on trial", f"an empty store{history}", "Flash one: go1 robot flash BUNDLE.")
        if self.trial is None:
            raise StoreError("a bundle on trial", "none: the active one is confirmed already", "Nothing is to be done.")
        if self.trial != PASSED:
            raise StoreError(
                f"a trial that has passed: a session with {LEAST_WALK_S:g} s of walking and no fault",
                f"one that is {self.trial}",
                _NOT_PASSED_REMEDY[self.trial],
            )
        failed = None if self.failed == self.active else self.failed
        highest_version = max(self.highest_version, self.active.version)
        return replace(self, trial=None, highest_version=highest_version, failed=failed)

    def rolled_back(self) -> SlotState:
        """The previous bundle active again; the one it replaces can be returned to if it was confirmed.

        From a trial there is a way back even where there was no bundle before it: to an empty store.

        Raises:
            StoreError: the active bundle is confirmed, and there is no previous one.
        """
        if self.previous is None and self.trial is None:
            raise StoreError("a previous bundle to go back to", "none", "Flash the bundle that you want.")
        came_from = self.active if self.trial is None else None
        return replace(self, active=self.previous, previous=came_from, trial=None)

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return canonical_json(asdict(self)).encode()

    @staticmethod
    def from_bytes(content: bytes) -> SlotState:
        """Parse strictly.

        Raises:
            StoreError: not what `to_bytes` writes.
        """
        try:
            values = json.loads(content[:MAX_STATE_BYTES].decode("ascii"))
            state = SlotState(
                _slot(values["active"]),
                _slot(values["previous"]),
                values["trial"],
                _version(values["highest_version"]),
                _slot(values["failed"]),
            )
            if state.to_bytes() != content or state.trial not in (None, UNTRIED, BEGUN, PASSED):
                raise ValueError("another spelling")
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                "the store's state as this program writes it",
                f"something else ({type(error).__name__}: {error})",
                "Remove the file state.json and flash again: nothing says any more which bundle was trusted.",
            ) from None
        return state


def _slot(values: Any) -> Optional[Slot]:
    if values is None:
        return None
    if not _SHA256.fullmatch(values["sha256"]):
        raise ValueError("no SHA-256")
    return Slot(values["sha256"], _version(values["version"]))


def _version(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError("no version")
    return value
