"""Keys and signatures of bundles, by OpenSSH's ssh-keygen (8.1 or newer) on the laptop."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import List

from deploy.onboard.slot_files import SIGNATURE_SUFFIX
from deploy.onboard.ssh_signature import NAMESPACE
from policy.bundle import read_bundle
from robot_configs.errors import Go1Error


class SigningError(Go1Error):
    """ssh-keygen is missing, too old, or refused."""


def make_key(path: Path) -> Path:
    """An ed25519 key pair without passphrase at `path` and `path`.pub; returns the public one.

    Raises:
        SigningError: the file exists already, or ssh-keygen refused.
    """
    if path.exists():
        raise SigningError(f"no file at {path}", "one", "Choose another name: a key is never overwritten.")
    path.parent.mkdir(parents=True, exist_ok=True)
    _ssh_keygen(["-q", "-t", "ed25519", "-N", "", "-C", NAMESPACE, "-f", str(path)])
    return path.with_name(path.name + ".pub")


def sign(bundle: Path, key: Path) -> Path:
    """Sign a bundle, `key` being a private key file, or a public one whose other half is in the agent.

    Raises:
        BundleError: what is no sound bundle is not signed.
        SigningError: ssh-keygen refused.
    """
    read_bundle(bundle)
    signature = bundle.with_name(bundle.name + SIGNATURE_SUFFIX)
    if signature.exists():
        os.unlink(signature)  # ssh-keygen would stop and ask
    _ssh_keygen(["-q", "-Y", "sign", "-f", str(key), "-n", NAMESPACE, str(bundle)])
    return signature


def _ssh_keygen(words: List[str]) -> None:
    try:
        process = subprocess.run(
            ["ssh-keygen", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise SigningError("the program ssh-keygen", "none", "Install openssh-client 8.1 or newer.") from None
    if process.returncode:
        raise SigningError(
            "ssh-keygen to succeed",
            process.stderr.strip().splitlines()[-1] if process.stderr.strip() else f"status {process.returncode}",
            "Give an ed25519 key, and OpenSSH 8.1 or newer.",
        )
