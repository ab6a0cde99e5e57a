"""The files of the store: bundles by their seal, the signature beside each, and the keys that count."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Collection, Dict

from deploy.onboard.durable_files import write_durably
from deploy.onboard.slot_state import Slot
from deploy.onboard.ssh_signature import MAX_SIGNATURE_BYTES, check_signature, trusted_keys
from deploy.onboard.store_error import StoreError
from policy.bundle import MAX_FILE_BYTES, SUFFIX, parse_bundle
from policy.sealed_file import read_bounded

SIGNATURE_SUFFIX = ".sig"


class SlotFiles:
    """The folder of the slots. Who changes it holds the store's lock.

    Args:
        folder: of bundles and signatures.
        staging: on the same file system; where files are written before they are moved to their place.
        keys_folder: of trusted public keys, *.pub.
    """

    def __init__(self, folder: Path, staging: Path, keys_folder: Path) -> None:
        self.folder, self._staging, self._keys_folder = folder, staging, keys_folder

    def keys(self) -> Dict[str, bytes]:
        """See `ssh_signature.trusted_keys`."""
        return trusted_keys(self._keys_folder)

    def keep(self, slot: Slot, content: bytes, signature: bytes) -> None:
        """Signature first: a slot without its signature must never be what the state names."""
        path = self._path(slot)
        if signature:
            write_durably(signature, self._staging, _signature_path(path))
        write_durably(content, self._staging, path)

    def keep_only(self, slots: Collection[Slot]) -> None:
        """Remove the files of all others."""
        kept = {slot.sha256 for slot in slots}
        for path in self.folder.iterdir():
            if path.name.split(".")[0] not in kept:
                os.unlink(path)

    def require_sound(self, slot: Slot, keys: Dict[str, bytes]) -> Path:
        """Path of the bundle, whose bytes are still the sealed ones, and signed by one of `keys` if there are any.

        Raises:
            BundleError: no sealed bundle is there.
            StoreError: it is another one, or not signed as it must be.
        """
        path = self._path(slot)
        content = read_bounded(path, MAX_FILE_BYTES)
        found = parse_bundle(content).sha256
        if found != slot.sha256:
            raise StoreError(f"the seal {slot.sha256} at {path}", found, "Another bundle lies in its place.")
        signature_path = _signature_path(path)
        signature = read_bounded(signature_path, MAX_SIGNATURE_BYTES) if signature_path.is_file() else b""
        check_trust(content, signature, keys)
        return path

    def _path(self, slot: Slot) -> Path:
        return self.folder / (slot.sha256 + SUFFIX)


def check_trust(content: bytes, signature: bytes, keys: Dict[str, bytes]) -> None:
    """Refuse what no trusted key has signed, on a robot that has any.

    Raises:
        StoreError: see `ssh_signature.check_signature`.
    """
    if keys:
        check_signature(content, signature, keys)


def _signature_path(path: Path) -> Path:
    return path.with_name(path.name + SIGNATURE_SUFFIX)
