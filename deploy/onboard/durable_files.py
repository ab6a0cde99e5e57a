"""Files that are there whole or not at all, also after a power cut: written, synced, then renamed into place.

A rename is atomic for everybody who looks, but after a power cut only a synced file still has its bytes, and only a
synced folder still has the rename (Linux manual, fsync(2)).
"""

from __future__ import annotations

import os
from pathlib import Path


def write_durably(content: bytes, staging: Path, target: Path) -> None:
    """Put `content` at `target` through a file of the same name in the folder `staging`, on the same file system."""
    part = staging / target.name
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    try:
        remaining = memoryview(content)
        while remaining:
            remaining = remaining[os.write(descriptor, remaining) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(part, target)
    sync_folder(target.parent)


def make_folder(path: Path) -> None:
    """A folder that is still there after a power cut; its parents as well."""
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        os.mkdir(path, 0o755)
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Bring a folder's entries to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
