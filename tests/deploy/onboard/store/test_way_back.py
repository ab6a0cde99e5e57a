"""The way back where it leads to a bundle that may not run: trust has changed since it was confirmed, or its file has.

Nothing that the robot's owner does not trust any more is driven, and no trial that a person or a fault has ended goes
on for want of a better one: then nothing runs, and it is said which bundle is meant and what to do.
"""

import shutil
from pathlib import Path

import pytest

from deploy.host.signing import make_key, sign
from deploy.onboard.slot_state import UNTRIED, SlotState
from deploy.onboard.store import BundleStore, StoreError, active_bundle
from tests.deploy.onboard.store.bench import Sealed, confirm, name_of, slots_of


@pytest.fixture
def key(tmp_path: Path) -> Path:
    make_key(tmp_path / "keys" / "ours")
    return tmp_path / "keys" / "ours"


def signature_of(sealed: Sealed, key: Path, tmp_path: Path) -> bytes:
    path = Path(shutil.copy(sealed.path, tmp_path))
    return sign(path, key).read_bytes()


@pytest.fixture
def signed_trial(store: BundleStore, sealed: list[Sealed], key: Path, tmp_path: Path) -> BundleStore:
    """The first bundle, unsigned, was confirmed; then a key was trusted, and the second, signed, is on trial."""
    (store.root / "trusted_keys").mkdir()
    shutil.copy(key.with_suffix(".pub"), store.root / "trusted_keys")
    store.install(sealed[1].content, signature_of(sealed[1], key, tmp_path))
    return store


def first_refused(sealed: list[Sealed], found: str, otherwise: str) -> str:
    """Pattern of the error that says so."""
    first = rf"{sealed[0].bundle.sha256[:12]} \(version 1\)"
    return rf"for the bundle {first} of this store; found {found}.*Then flash it again.*, or flash another; {otherwise}"


def over(sealed: list[Sealed]) -> str:
    trial = rf"{sealed[1].bundle.sha256[:12]} \(version 2\)"
    return rf"the trial of {trial} is over all the same, and nothing runs here until then\.$"


def nothing_runs_but_what_is_signed(
    store: BundleStore, sealed: list[Sealed], key: Path, tmp_path: Path, found: str = "no signature"
) -> None:
    """The first bundle is the active one, refused in every run, and runs once it is flashed with a signature."""
    for _ in range(2):
        with pytest.raises(StoreError, match=first_refused(sealed, found, "nothing runs here until then")):
            with store.session():
                pass
    assert slots_of(store) <= {name_of(sealed[0])}, "the trial's file has gone"
    status = store.status()
    assert (status["active"]["version"], status["trial"], status["next"]) == (1, None, None)
    assert store.install(sealed[0].content, signature_of(sealed[0], key, tmp_path)).trial is None
    assert active_bundle(store.root).name == name_of(sealed[0])


def test_a_persons_rollback_to_an_unsigned_bundle_ends_the_trial(
    signed_trial: BundleStore, sealed: list[Sealed], key: Path, tmp_path: Path
) -> None:
    with pytest.raises(StoreError, match=first_refused(sealed, "no signature", over(sealed))):
        signed_trial.rollback()
    nothing_runs_but_what_is_signed(signed_trial, sealed, key, tmp_path)


def test_a_failed_trial_before_an_unsigned_bundle_leaves_nothing_to_run(
    signed_trial: BundleStore, sealed: list[Sealed], key: Path, tmp_path: Path
) -> None:
    with signed_trial.session():
        pass
    nothing_runs_but_what_is_signed(signed_trial, sealed, key, tmp_path)
    assert signed_trial.status()["failed"]["version"] == 2


def test_the_person_is_warned_as_long_as_the_way_back_is_closed(
    signed_trial: BundleStore, sealed: list[Sealed]
) -> None:
    (warning,) = signed_trial.status()["warnings"]
    assert f"for the bundle {sealed[0].bundle.sha256[:12]} (version 1) of this store; found no signature" in warning
    assert signed_trial.status()["next"]["version"] == 2


def test_a_key_that_is_trusted_no_more_takes_its_bundles_along(
    signed_trial: BundleStore, sealed: list[Sealed], key: Path, tmp_path: Path
) -> None:
    """The trial itself is refused, and is no failure of the bundle's."""
    make_key(tmp_path / "keys" / "new")
    shutil.copy(tmp_path / "keys" / "new.pub", signed_trial.root / "trusted_keys")
    (signed_trial.root / "trusted_keys" / "ours.pub").unlink()
    trial = (
        rf"for the bundle {sealed[1].bundle.sha256[:12]} \(version 2\) of this store; found a signature by another key"
    )
    with pytest.raises(StoreError, match=trial):
        with signed_trial.session():
            pass
    assert signed_trial.state().trial == UNTRIED


def test_without_keys_the_way_back_is_open_again(signed_trial: BundleStore, sealed: list[Sealed]) -> None:
    (signed_trial.root / "trusted_keys" / "ours.pub").unlink()
    signed_trial.rollback()
    assert active_bundle(signed_trial.root).name == name_of(sealed[0])


def test_a_confirmed_bundle_stays_where_the_previous_one_may_not_run(
    signed_trial: BundleStore, sealed: list[Sealed]
) -> None:
    confirm(signed_trial)
    before = signed_trial.state()
    stays = rf"until then {sealed[1].bundle.sha256[:12]} \(version 2\) stays active\.$"
    with pytest.raises(StoreError, match=first_refused(sealed, "no signature", stays)) as refused:
        signed_trial.rollback()
    assert "go1 policy sign BUNDLE --key FILE. Then flash it again, with --allow-downgrade, or" in str(refused.value)
    assert signed_trial.state() == before
    assert active_bundle(signed_trial.root).name == name_of(sealed[1])


def test_a_rollback_to_a_rotten_slot_ends_the_trial(store: BundleStore, sealed: list[Sealed]) -> None:
    store.install(sealed[1].content)
    (store.root / "slots" / name_of(sealed[0])).unlink()
    with pytest.raises(StoreError, match=first_refused(sealed, "no file", over(sealed))):
        store.rollback()
    with pytest.raises(StoreError, match=first_refused(sealed, "no file", "nothing runs here until then")):
        store.active_bundle()
    assert store.install(sealed[0].content).trial is None
    assert active_bundle(store.root).name == name_of(sealed[0])


def test_a_rollback_from_the_first_trial_ends_it(tmp_path: Path, sealed: list[Sealed]) -> None:
    store = BundleStore(tmp_path / "store")
    store.install(sealed[0].content)
    first = rf"{sealed[0].bundle.sha256[:12]} \(version 1\)"
    words = rf"a previous bundle to go back to; found none\. .*the trial of {first} is over all the same"
    with pytest.raises(StoreError, match=words):
        store.rollback()
    assert store.state() == SlotState()
    assert slots_of(store) == set()


def test_a_broken_key_file_is_the_matter_whatever_lies_in_the_slots(
    signed_trial: BundleStore, sealed: list[Sealed]
) -> None:
    (signed_trial.root / "trusted_keys" / "broken.pub").write_text("ssh-rsa AAAA")
    with pytest.raises(StoreError, match=r"Replace that file, or remove it\.$"):
        signed_trial.active_bundle()
    before = signed_trial.state()
    with pytest.raises(StoreError, match=r"Replace that file, or remove it\.$"):
        signed_trial.rollback()
    assert signed_trial.state() == before


def test_what_lies_in_anothers_place_is_not_run(store: BundleStore, sealed: list[Sealed]) -> None:
    (store.root / "slots" / name_of(sealed[0])).write_bytes(sealed[1].content)
    words = rf"the seal {sealed[0].bundle.sha256} at .*; found {sealed[1].bundle.sha256}\. Another bundle lies in"
    with pytest.raises(StoreError, match=words):
        store.active_bundle()
