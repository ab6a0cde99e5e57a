"""Which version of this project made a file."""

from __future__ import annotations

import subprocess
from importlib import metadata
from pathlib import Path

DISTRIBUTION = "go1-sim-to-real"


def code_version() -> str:
    """Version of the installed package, with the commit where the source is a git checkout."""
    try:
        version = metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        version = "source"
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return version
    answer = subprocess.run(
        ["git", "-C", str(root), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return f"{version}+{answer.stdout.strip()}" if answer.returncode == 0 else version
