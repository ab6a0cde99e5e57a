"""What the status tells: what drives now, what has failed, what the next run drives, and what a person should know."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from deploy.onboard.store import BundleStore
from tests.deploy.onboard.store.bench import Sealed, confirm, name_of


def plain(sealed: Sealed) -> dict[str, Any]:
    return {"sha256": sealed.bundle.sha256, "version": sealed.bundle.version}


def named(sealed: Sealed) -> str:
    return f"{sealed.bundle.sha256[:12]} (version {sealed.bundle.version})"


def test_an_empty_store(tmp_path: Path) -> None:
    assert BundleStore(tmp_path / "none").status() == {
        "root": str(tmp_path / "none"),
        "active": None,
        "previous": None,
        "failed": None,
        "next": None,
        "trial": None,
        "session": None,
        "highest_version": 0,
        "trusted_keys": [],
        "warnings": [],
    }
    assert not (tmp_path / "none").exists()


def test_a_trial_that_drives_now_and_one_that_has_failed_differ(store: BundleStore, sealed: list[Sealed]) -> None:
    store.install(sealed[1].content)
    status = store.status()
    assert (status["trial"], status["session"], status["next"]) == ("untried", None, plain(sealed[1]))
    with store.session():
        status = store.status()
        assert status["trial"] == "begun"
        assert status["session"] == {"pid": os.getpid(), "sha256": sealed[1].bundle.sha256}
        assert (status["failed"], status["next"], status["warnings"]) == (None, plain(sealed[1]), [])
    status = store.status()
    assert (status["trial"], status["session"]) == ("failed", None)
    assert (status["active"], status["failed"], status["next"]) == (
        plain(sealed[1]),
        plain(sealed[1]),
        plain(sealed[0]),
    )
    assert status["warnings"] == [
        f"{named(sealed[1])} has failed its trial: the next run takes it out, and goes back to {named(sealed[0])}."
    ]
    json.dumps(status)


def test_a_first_trial_that_has_failed_leaves_nothing_next(tmp_path: Path, sealed: list[Sealed]) -> None:
    store = BundleStore(tmp_path / "store")
    store.install(sealed[0].content)
    with store.session():
        pass
    status = store.status()
    assert (status["trial"], status["next"]) == ("failed", None)
    assert status["warnings"] == [
        f"{named(sealed[0])} has failed its trial: the next run takes it out, and there is no previous one."
    ]


def test_a_session_of_a_confirmed_bundle_is_shown_too(store: BundleStore, sealed: list[Sealed]) -> None:
    with store.session():
        assert store.status()["session"]["sha256"] == sealed[0].bundle.sha256
        assert store.status()["trial"] is None


@pytest.mark.parametrize("rotten", [0, 1])
def test_what_may_not_run_is_named(store: BundleStore, sealed: list[Sealed], rotten: int) -> None:
    store.install(sealed[1].content)
    confirm(store)
    (store.root / "slots" / name_of(sealed[rotten])).unlink()
    status = store.status()
    assert status["next"] == (plain(sealed[1]) if rotten == 0 else None)
    (warning,) = status["warnings"]
    assert f"for the bundle {named(sealed[rotten])} of this store; found no file" in warning
    assert ("with --allow-downgrade" in warning) == (rotten == 0)


def test_the_bundle_that_a_failed_trial_goes_back_to_is_looked_at(store: BundleStore, sealed: list[Sealed]) -> None:
    store.install(sealed[1].content)
    with store.session():
        pass
    (store.root / "slots" / name_of(sealed[0])).unlink()
    (store.root / "slots" / name_of(sealed[1])).unlink()  # that one is out already, whatever became of its file
    status = store.status()
    assert status["next"] is None
    assert len(status["warnings"]) == 2
    assert named(sealed[0]) in status["warnings"][1]
