"""`go1 policy keygen` and `go1 policy sign`: signatures that a robot with trusted keys asks for."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.arguments import add_bundle
from cli.commands import Commands


def add_signing(commands: Commands) -> None:
    """Keys and signatures."""
    keygen = commands.command(
        "keygen",
        run_keygen,
        "Make a key pair for signing policies; its .pub goes into the robot's store, in trusted_keys.",
        "go1 policy keygen --out ~/.go1/policy_key",
    )
    keygen.add_argument("--out", type=Path, required=True, metavar="FILE", help="the private key to write")
    sign = commands.command(
        "sign",
        run_sign,
        "Sign a policy with ssh-keygen (OpenSSH 8.1 or newer); the signature lies beside it, as BUNDLE.sig.",
        "go1 policy sign walk.go1policy --key policy_key.pub",
    )
    add_bundle(sign)
    sign.add_argument(
        "--key", type=Path, required=True, metavar="FILE", help="private key, or .pub if ssh-agent has it"
    )


def run_keygen(options: argparse.Namespace) -> int:
    """A new key."""
    from deploy.host.signing import make_key

    print(make_key(options.out.expanduser()))
    return 0


def run_sign(options: argparse.Namespace) -> int:
    """A detached signature."""
    from deploy.host.signing import sign

    print(sign(options.bundle, options.key))
    return 0
