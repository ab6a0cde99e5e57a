"""Signatures of bundles in OpenSSH's own format: made by `ssh-keygen -Y sign` on a laptop, checked here in Python.

The format (OpenSSH's PROTOCOL.sshsig) is kept because `ssh-keygen` is wherever ssh is, takes keys with a passphrase or
from an agent, and lets anybody check a signature without this project. The signature covers the
SHA-512 or SHA-256 of the whole bundle file and a namespace, so that no signature made for something else fits.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from pathlib import Path
from typing import Dict, List

from deploy.onboard.ed25519 import KEY_BYTES, is_valid_signature
from deploy.onboard.store_error import StoreError

NAMESPACE = "go1-policy-bundle"
MAX_SIGNATURE_BYTES = 4096
MAX_KEY_FILE_BYTES = 4096
KEY_TYPE = b"ssh-ed25519"
_MAGIC, _VERSION = b"SSHSIG", 1
_BEGIN, _END = b"-----BEGIN SSH SIGNATURE-----", b"-----END SSH SIGNATURE-----"
_HASHES = {b"sha512": hashlib.sha512, b"sha256": hashlib.sha256}


def trusted_keys(folder: Path) -> Dict[str, bytes]:
    """Raw public keys by file name, from all *.pub files of a folder; none where there is no such folder.

    Raises:
        StoreError: a key file that is no ed25519 public key. It is not passed over: the person who put it there
            believes that it protects something.
    """
    keys = {}
    for path in sorted(folder.glob("*.pub")):
        with open(path, "rb") as stream:
            words = stream.read(MAX_KEY_FILE_BYTES).split()
        try:
            kind, key = _strings(base64.b64decode(words[1], validate=True), 2)
            if words[0] != KEY_TYPE or kind != KEY_TYPE or len(key) != KEY_BYTES:
                raise ValueError("another type of key")
        except (ValueError, IndexError) as error:
            raise StoreError(
                f"an OpenSSH ed25519 public key in {path}", f"{error}", "Replace that file, or remove it."
            ) from None
        keys[path.name] = key
    return keys


def check_signature(content: bytes, signature: bytes, keys: Dict[str, bytes]) -> str:
    """The name of the trusted key that signed `content`.

    Raises:
        StoreError: no signature, a malformed one, one of another key or purpose, or one of other content.
    """
    if not signature:
        raise _refused("no signature")
    try:
        blob = base64.b64decode(_armoured(signature), validate=True)
        if blob[:6] != _MAGIC or blob[6:10] != struct.pack(">I", _VERSION):
            raise ValueError("no SSH signature of version 1")
        public_key, namespace, reserved, hash_name, signed = _strings(blob[10:], 5)
        kind, key = _strings(public_key, 2)
        signature_kind, raw = _strings(signed, 2)
    except (ValueError, binascii.Error) as error:
        raise _refused(f"a malformed signature ({error})") from None
    if (kind, signature_kind) != (KEY_TYPE, KEY_TYPE) or namespace != NAMESPACE.encode() or hash_name not in _HASHES:
        raise _refused(f"a signature of type {kind!r:.40} for {namespace!r:.40} by {hash_name!r:.20}")
    names: List[str] = [name for name, trusted in keys.items() if trusted == key]
    if not names:
        raise _refused("a signature by another key")
    digest = _HASHES[hash_name](content).digest()
    message = _MAGIC + b"".join(_string(part) for part in (namespace, reserved, hash_name, digest))
    if not is_valid_signature(key, message, raw):
        raise _refused("a signature of something else")
    return names[0]


def _armoured(signature: bytes) -> bytes:
    lines = signature.strip().split(b"\n")
    if lines[0].strip() != _BEGIN or lines[-1].strip() != _END:
        raise ValueError("no BEGIN and END lines")
    return b"".join(line.strip() for line in lines[1:-1])


def _strings(blob: bytes, count: int) -> List[bytes]:
    """Exactly `count` strings of SSH's encoding: length u32, big endian, then the bytes."""
    strings, offset = [], 0
    for _ in range(count):
        if offset + 4 > len(blob):
            raise ValueError("it ends early")
        (size,) = struct.unpack_from(">I", blob, offset)
        offset += 4
        if offset + size > len(blob):
            raise ValueError("it ends early")
        strings.append(blob[offset : offset + size])
        offset += size
    if offset != len(blob):
        raise ValueError("it goes on after its end")
    return strings


def _string(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def _refused(found: str) -> StoreError:
    return StoreError(
        "a signature by one of this robot's trusted keys",
        found,
        "Sign it with a key whose .pub lies in the store's trusted_keys: go1 policy sign BUNDLE --key FILE.",
    )
