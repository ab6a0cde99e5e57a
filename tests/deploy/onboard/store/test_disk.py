"""The store out of power, out of space, on a disk that fails: there is always exactly one complete bundle to run."""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

from deploy.onboard.store import BundleStore, StoreError
from tests.deploy.onboard.store.bench import (
    SYSTEM_CALLS,
    Sealed,
    assert_one_complete_bundle,
    confirm,
    name_of,
)


class Disk:
    """What a power cut leaves: contents that were synced, and any part of the entries whose folder was not.

    Records an installation's system calls, then rebuilds the folder as it may look after losing power anywhere.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[tuple[str, Any, Any]] = []
        paths: dict[int, Path] = {}
        real = {name: getattr(os, name) for name in SYSTEM_CALLS}

        def opened(path: Any, flags: int, *rest: Any, **options: Any) -> int:
            descriptor = real["open"](path, flags, *rest, **options)
            paths[descriptor] = Path(path)
            if flags & os.O_CREAT:
                self.events.append(("create", Path(path), None))
            return descriptor

        def recorded(name: str, event: Callable[..., tuple[str, Any, Any]]) -> None:
            def wrapped(*arguments: Any, **options: Any) -> Any:
                self.events.append(event(*arguments))
                return real[name](*arguments, **options)

            monkeypatch.setattr(os, name, wrapped)

        monkeypatch.setattr(os, "open", opened)
        recorded("write", lambda descriptor, content: ("write", paths[descriptor], bytes(content)))
        recorded("fsync", lambda descriptor: ("fsync", paths[descriptor], None))
        recorded("replace", lambda source, target: ("replace", Path(source), Path(target)))
        recorded("unlink", lambda path: ("unlink", Path(path), None))

    def after_power_cut(self, at: int, base: dict[Path, bytes]) -> Iterator[dict[Path, bytes]]:
        """Every folder that may be found after the first `at` calls: entries not synced all lost, all or one kept."""
        changes: list[tuple[int, str, Any, Any]] = []
        inodes: dict[Path, list[bytes]] = {path: [content, content] for path, content in base.items()}
        durable: set[int] = set()
        for index, (kind, path, value) in enumerate(self.events[:at]):
            if kind == "create":
                inodes[path] = [b"", b""]
            elif kind == "write":
                inodes[path][0] += value
            elif kind == "fsync" and path in inodes:
                inodes[path][1] = inodes[path][0]
            elif kind == "fsync":
                durable |= {number for number, _, target, _ in changes if target.parent == path}
            elif kind == "replace":
                inodes[value] = inodes.pop(path)
                changes.append((index, "link", value, inodes[value]))
            elif kind == "unlink":
                inodes.pop(path, None)
                changes.append((index, "unlink", path, None))
        pending = {index for index, *_ in changes} - durable
        for chosen in ({*()}, pending, *({one} for one in pending)):
            found = dict(base)
            for index, kind, path, inode in changes:
                if index in durable | chosen:
                    if kind == "link":
                        found[path] = inode[1]
                    else:
                        found.pop(path, None)
            yield found


def test_without_power_at_every_step_of_an_installation(
    store: BundleStore, sealed: list[Sealed], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remembered: None
) -> None:
    store.install(sealed[1].content)
    confirm(store)
    base = {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}
    with monkeypatch.context() as patch:
        disk = Disk(patch)
        store.install(sealed[2].content)
    active, cases = [], 0
    for at in range(len(disk.events) + 1):
        for number, files in enumerate(disk.after_power_cut(at, base)):
            root = tmp_path / f"{at}_{number}"
            for path, content in files.items():
                target = root / path.relative_to(store.root)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            active.append(assert_one_complete_bundle(BundleStore(root), sealed[1:]))
            shutil.rmtree(root)
            cases += 1
    assert cases >= 20 and set(active) == {name_of(one) for one in sealed[1:]}
    assert active[-1] == name_of(sealed[2])


@pytest.mark.parametrize(
    ("call", "number", "message"),
    [
        ("write", errno.ENOSPC, "No space left"),
        ("open", errno.EROFS, "Read-only"),
        ("replace", errno.EIO, "Input/output"),
    ]
    + [("fsync", errno.EIO, "Input/output"), ("unlink", errno.EACCES, "Permission denied")],
)
def test_a_disk_that_fails_at_any_call_loses_nothing(
    store: BundleStore,
    sealed: list[Sealed],
    call: str,
    number: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    remembered: None,
) -> None:
    store.install(sealed[1].content)
    confirm(store)
    real, failures = getattr(os, call), 0
    for at in range(50):
        calls = iter(range(1000))

        def failing(*arguments: Any, at: int = at, calls: Iterator[int] = calls, **options: Any) -> Any:
            if next(calls) == at:
                raise OSError(number, os.strerror(number))
            return real(*arguments, **options)

        error: Optional[StoreError] = None
        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing)
            try:
                store.install(sealed[2].content)
            except StoreError as caught:
                error = caught
        assert_one_complete_bundle(store, sealed[1:])
        if error is None:
            break
        assert message in str(error)
        failures += 1
    assert error is None and failures >= 1
    assert_one_complete_bundle(store, sealed[2:])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full_or_read_only(small_disk: Path, sealed: list[Sealed]) -> None:
    store = BundleStore(small_disk / "store")
    filler = small_disk / "filler"
    filler.write_bytes(bytes(20 * 1024))
    with pytest.raises(StoreError, match=r"No space left on device\. The active bundle is as it was\. Free some space"):
        store.install(sealed[0].content)
    filler.unlink()
    store = BundleStore(small_disk / "store")
    assert len(sealed[0].content) > 64 * 1024 or store.install(sealed[0].content)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(StoreError, match=r"Read-only file system.*Mount that file system for writing"):
        store.install(sealed[1].content)
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
