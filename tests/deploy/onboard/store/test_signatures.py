"""The store with trusted keys: what is not signed by one of them is neither installed nor run."""

import shutil
from pathlib import Path

import pytest

from deploy.host.signing import make_key, sign
from deploy.onboard.store import BundleStore, StoreError, active_bundle
from tests.deploy.onboard.store.bench import Sealed, name_of, slots_of


@pytest.fixture
def key(tmp_path: Path) -> Path:
    make_key(tmp_path / "keys" / "ours")
    return tmp_path / "keys" / "ours"


def trust(store: BundleStore, key: Path) -> None:
    (store.root / "trusted_keys").mkdir(parents=True, exist_ok=True)
    shutil.copy(key.with_suffix(".pub"), store.root / "trusted_keys")


def test_with_a_trusted_key_only_signed_bundles_are_installed(
    store: BundleStore, sealed: list[Sealed], key: Path, tmp_path: Path
) -> None:
    trust(store, key)
    path = Path(shutil.copy(sealed[1].path, tmp_path))
    make_key(tmp_path / "theirs")
    for signature, message in (
        (b"", "no signature"),
        (sign(path, tmp_path / "theirs").read_bytes(), "another key"),
        (sign(path, key).read_bytes()[:-40], "malformed"),
    ):
        with pytest.raises(StoreError, match=message):
            store.install(sealed[1].content, signature)
    signature = sign(path, key).read_bytes()
    with pytest.raises(StoreError, match="something else"):
        store.install(sealed[2].content, signature)
    store.install(sealed[1].content, signature)
    assert active_bundle(store.root).name == name_of(sealed[1])


def test_with_a_trusted_key_an_unsigned_bundle_does_not_run(
    store: BundleStore, sealed: list[Sealed], key: Path
) -> None:
    """It was installed before the key was trusted, or put there by hand."""
    trust(store, key)
    with pytest.raises(StoreError, match="no signature"):
        store.active_bundle()
    with pytest.raises(StoreError, match="no signature"), store.session():
        pass
    (store.root / "slots" / (name_of(sealed[0]) + ".sig")).write_bytes(sign(sealed[0].path, key).read_bytes())
    assert active_bundle(store.root).name == name_of(sealed[0])


def test_a_signature_goes_with_its_slot(store: BundleStore, sealed: list[Sealed], key: Path, tmp_path: Path) -> None:
    trust(store, key)
    path = Path(shutil.copy(sealed[1].path, tmp_path))
    store.install(sealed[1].content, sign(path, key).read_bytes())
    name = name_of(sealed[1])
    assert {name, name + ".sig"} < slots_of(store)
    (store.root / "slots" / (name_of(sealed[0]) + ".sig")).write_bytes(sign(sealed[0].path, key).read_bytes())
    store.rollback()
    assert slots_of(store) == {name_of(sealed[0]), name_of(sealed[0]) + ".sig"}


def test_a_file_that_is_no_key_is_not_passed_over(store: BundleStore) -> None:
    (store.root / "trusted_keys").mkdir()
    (store.root / "trusted_keys" / "broken.pub").write_text("ssh-rsa AAAA")
    with pytest.raises(StoreError, match=r"ed25519 public key in .*broken\.pub"):
        store.active_bundle()
