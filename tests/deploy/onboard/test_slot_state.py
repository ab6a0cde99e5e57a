"""The trial: every transition by hand, and for any sequence of them that what was confirmed is never lost."""

from dataclasses import replace
from typing import Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.onboard.slot_state import BEGUN, MAX_STATE_BYTES, PASSED, UNTRIED, Slot, SlotState
from deploy.onboard.store_error import StoreError

A, B, C = (Slot(letter * 64, version) for letter, version in (("a", 1), ("b", 2), ("c", 3)))
CONFIRMED_A = SlotState(active=A, highest_version=1)


def test_the_first_bundle_is_on_trial_too() -> None:
    assert SlotState().installed(A) == SlotState(active=A, trial=UNTRIED)


def test_an_installation_keeps_what_was_confirmed() -> None:
    assert CONFIRMED_A.installed(B) == SlotState(active=B, previous=A, trial=UNTRIED, highest_version=1)


def test_a_trial_that_is_overtaken_is_dropped_not_kept() -> None:
    assert CONFIRMED_A.installed(B).installed(C) == SlotState(active=C, previous=A, trial=UNTRIED, highest_version=1)


def test_a_confirmed_bundle_that_is_flashed_again_stays_confirmed() -> None:
    state = SlotState(active=B, previous=A, highest_version=2)
    assert state.installed(B) == state
    assert CONFIRMED_A.installed(B).installed(A) == CONFIRMED_A


@pytest.mark.parametrize("trial", [UNTRIED, BEGUN, PASSED])
def test_a_bundle_on_trial_that_is_flashed_again_starts_its_trial_anew(trial: str) -> None:
    state = SlotState(active=B, previous=A, trial=trial, highest_version=1)
    assert state.installed(B) == SlotState(active=B, previous=A, trial=UNTRIED, highest_version=1)


def test_a_session_without_fault_lets_a_person_confirm() -> None:
    state = CONFIRMED_A.installed(B).session_begun()
    assert state.trial == BEGUN
    state = state.session_ended(B.sha256, PASSED)
    assert state.with_confirmation() == SlotState(active=B, previous=A, highest_version=2)


def test_a_session_that_never_reports_is_a_failure() -> None:
    state = CONFIRMED_A.installed(B).session_begun()
    assert state.reverted() == SlotState(active=A, highest_version=1, failed=B)


def test_a_reported_fault_is_a_failure() -> None:
    state = CONFIRMED_A.installed(B).session_begun().session_ended(B.sha256, BEGUN)
    assert state.reverted().active == A


def test_a_later_session_may_still_fail() -> None:
    state = CONFIRMED_A.installed(B).session_begun().session_ended(B.sha256, PASSED).session_begun()
    assert state.reverted().active == A


@pytest.mark.parametrize("trial", [UNTRIED, PASSED, None])
def test_only_a_begun_trial_goes_on_record_as_failed(trial: Optional[str]) -> None:
    state = SlotState(active=B, previous=A, trial=trial, highest_version=1)
    assert state.with_failure_on_record() == state
    assert replace(state, trial=BEGUN).with_failure_on_record() == replace(state, trial=BEGUN, failed=B)


def test_a_confirmation_clears_that_bundles_failure_and_no_other() -> None:
    passed = SlotState(active=B, previous=A, trial=PASSED, highest_version=1)
    assert replace(passed, failed=B).with_confirmation().failed is None
    assert replace(passed, failed=C).with_confirmation().failed == C


def test_an_empty_store_says_so_and_what_failed_in_it() -> None:
    with pytest.raises(StoreError, match=r"found an empty store\."):
        SlotState().with_confirmation()
    with pytest.raises(StoreError, match=r"found an empty store: the trial of bbbbbbbbbbbb \(version 2\) failed\."):
        SlotState(failed=B).with_confirmation()


@pytest.mark.parametrize("trial", [None, UNTRIED, PASSED])
def test_nothing_else_is_reverted(trial: str) -> None:
    state = SlotState(active=B, previous=A, trial=trial)
    assert state.reverted() is state


def test_a_session_of_a_confirmed_bundle_changes_nothing() -> None:
    assert CONFIRMED_A.session_begun() is CONFIRMED_A
    assert CONFIRMED_A.session_ended(A.sha256, BEGUN) is CONFIRMED_A


def test_the_end_of_an_older_bundles_session_touches_no_other_trial() -> None:
    state = CONFIRMED_A.installed(B).session_begun()
    assert state.session_ended(A.sha256, PASSED) is state
    assert SlotState().session_ended(A.sha256, PASSED) == SlotState()


def test_a_failed_first_bundle_leaves_none() -> None:
    assert SlotState().installed(A).session_begun().reverted() == SlotState(failed=A)


@pytest.mark.parametrize("trial", [UNTRIED, BEGUN])
def test_only_a_passed_trial_can_be_confirmed(trial: str) -> None:
    with pytest.raises(StoreError, match=f"one that is {trial}"):
        SlotState(active=B, previous=A, trial=trial).with_confirmation()


def test_without_a_trial_there_is_nothing_to_confirm() -> None:
    with pytest.raises(StoreError, match="confirmed already"):
        CONFIRMED_A.with_confirmation()


def test_a_rollback_can_be_undone_between_confirmed_bundles() -> None:
    state = SlotState(active=B, previous=A, highest_version=2)
    assert state.rolled_back() == SlotState(active=A, previous=B, highest_version=2)
    assert state.rolled_back().rolled_back() == state


def test_a_rollback_from_a_trial_drops_it() -> None:
    assert CONFIRMED_A.installed(B).rolled_back() == CONFIRMED_A


@pytest.mark.parametrize("state", [CONFIRMED_A, SlotState(), SlotState(failed=B)])
def test_a_rollback_from_what_is_confirmed_to_nothing_is_refused(state: SlotState) -> None:
    with pytest.raises(StoreError, match="a previous bundle to go back to; found none"):
        state.rolled_back()


@pytest.mark.parametrize("trial", [UNTRIED, BEGUN, PASSED])
def test_a_rollback_from_the_first_trial_leaves_nothing_to_run(trial: str) -> None:
    assert SlotState(active=A, trial=trial, failed=C).rolled_back() == SlotState(failed=C)


@pytest.mark.parametrize("trial", [UNTRIED, PASSED, None])
def test_only_a_begun_trial_is_failing(trial: Optional[str]) -> None:
    assert SlotState(active=B, trial=trial).failing is None
    assert SlotState(active=B, trial=BEGUN).failing == B


def test_a_slot_is_named_as_people_read_it() -> None:
    assert str(B) == "bbbbbbbbbbbb (version 2)"


def test_versions_count_once_confirmed_and_never_go_down() -> None:
    state = CONFIRMED_A.installed(C)
    state.check_version(1)
    state = state.session_begun().session_ended(C.sha256, PASSED).with_confirmation()
    state.check_version(3)
    with pytest.raises(StoreError, match="version 3 or newer.*found version 2"):
        state.check_version(2)
    older = state.installed(A).session_begun().session_ended(A.sha256, PASSED).with_confirmation()
    assert older.highest_version == 3


def test_the_file_says_the_same_after_a_round_trip() -> None:
    for state in (SlotState(), CONFIRMED_A, SlotState(B, A, PASSED, 7, C)):
        assert SlotState.from_bytes(state.to_bytes()) == state
        assert len(state.to_bytes()) < MAX_STATE_BYTES


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        CONFIRMED_A.to_bytes()[:-1],
        CONFIRMED_A.to_bytes() + b" ",
        CONFIRMED_A.to_bytes() + b" " * MAX_STATE_BYTES,
        CONFIRMED_A.to_bytes().replace(b"a" * 64, b"../../../../etc/passwd"),
        CONFIRMED_A.to_bytes().replace(b"a" * 64, b"A" * 64),
        CONFIRMED_A.to_bytes().replace(b'"highest_version":1', b'"highest_version":-1'),
        CONFIRMED_A.to_bytes().replace(b'"highest_version":1', b'"highest_version":true'),
        CONFIRMED_A.to_bytes().replace(b'"highest_version":1', b'"highest_version":1.0'),
        CONFIRMED_A.to_bytes().replace(b'"trial":null', b'"trial":"maybe"'),
        CONFIRMED_A.to_bytes().replace(b'"trial":null', b'"trial":null,"zebra":1'),
        b"\xff" * 10,
    ],
)
def test_a_file_that_says_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(StoreError, match="state as this program writes it"):
        SlotState.from_bytes(content)


EVENTS = st.lists(
    st.one_of(
        st.sampled_from([("install", slot) for slot in (A, B, C)]),
        st.sampled_from([("begin", None), ("revert", None), ("confirm", None), ("rollback", None)]),
        st.sampled_from([("end", trial) for trial in (UNTRIED, BEGUN, PASSED)]),
    ),
    max_size=30,
)


@given(EVENTS)
def test_what_was_confirmed_is_never_lost(events) -> None:
    """After the first confirmation some confirmed bundle is always active or the one to go back to."""
    state, confirmed = SlotState(), set()
    for event, value in events:
        try:
            if event == "install":
                state = state.installed(value)
            elif event == "begin":
                state = state.reverted().session_begun()
            elif event == "revert":
                state = state.reverted()
            elif event == "end" and state.active:
                state = state.session_ended(state.active.sha256, value)
            elif event == "confirm":
                state = state.with_confirmation()
                confirmed.add(state.active)
            elif event == "rollback":
                state = state.rolled_back()
        except StoreError:
            pass
        assert (state.confirmed in confirmed) == bool(confirmed)
        assert state.previous is None or state.previous in confirmed
        assert state.active != state.previous or state.active is None
        assert state.highest_version == max((slot.version for slot in confirmed if slot is not None), default=0)
        assert SlotState.from_bytes(state.to_bytes()) == state
