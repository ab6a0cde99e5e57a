"""The store: killed at every step, out of power, out of space, there is always exactly one complete bundle to run."""

import errno
import functools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Optional

import pytest
import torch

from deploy.host.signing import make_key, sign
from deploy.onboard import store as store_module
from deploy.onboard.slot_state import BEGUN, PASSED, UNTRIED
from deploy.onboard.store import BundleStore, StoreError, active_bundle
from policy.bundle import Bundle, BundleError, Lineage
from policy.contract import ContractError, PolicyContract
from policy.export import export_bundle
from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from robot_configs.robot import RobotModel

KILLED = 9
SYSTEM_CALLS = ("open", "write", "fsync", "close", "replace", "unlink", "mkdir")


class Sealed(NamedTuple):
    """A bundle and its file's bytes."""

    bundle: Bundle
    content: bytes
    path: Path


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory, contract: PolicyContract, robot: RobotModel) -> list[Sealed]:
    """Bundles of versions 1, 2 and 3 with random weights."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("bundles")
    made = []
    for version in (1, 2, 3):
        graph = PolicyGraph(contract, GaussianActor(contract.observation_dim, contract.action_dim, (8,), 0.1))
        path = folder / f"{version}.go1policy"
        bundle = export_bundle(graph, path, Lineage("pretrain", (), (), "test", version, "test"), version, robot)
        made.append(Sealed(bundle, path.read_bytes(), path))
    return made


def confirm(store: BundleStore) -> None:
    """A session without fault, then a person's word."""
    with store.session() as session:
        session.faultless()
    store.confirm()


@pytest.fixture
def store(tmp_path: Path, sealed: list[Sealed]) -> BundleStore:
    """The first bundle confirmed."""
    store = BundleStore(tmp_path / "store")
    store.install(sealed[0].content)
    confirm(store)
    return store


@pytest.fixture
def remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal bytes are parsed and replayed once: hundreds of installations follow, and both have tests of their own."""
    monkeypatch.setattr(store_module, "parse_bundle", functools.lru_cache(maxsize=None)(store_module.parse_bundle))
    monkeypatch.setattr(store_module, "verify_bundle", functools.lru_cache(maxsize=None)(store_module.verify_bundle))
    monkeypatch.setattr(store_module, "load_robot", functools.lru_cache(maxsize=None)(store_module.load_robot))


def slots_of(store: BundleStore) -> set[str]:
    return {path.name for path in (store.root / "slots").iterdir()}


def name_of(sealed: Sealed) -> str:
    return f"{sealed.bundle.sha256}.go1policy"


def test_without_a_store_there_is_nothing_to_run(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"found none\. Flash one"):
        active_bundle(tmp_path / "none")


def test_an_installation_switches_and_keeps_the_previous(store: BundleStore, sealed: list[Sealed]) -> None:
    installed = store.install(sealed[1].content)
    assert (installed.active.version, installed.trial, installed.golden_steps) == (2, UNTRIED, 512)
    assert installed.previous is not None and installed.previous.sha256 == sealed[0].bundle.sha256
    assert active_bundle(store.root).read_bytes() == sealed[1].content
    assert slots_of(store) == {name_of(sealed[0]), name_of(sealed[1])}


def test_a_third_bundle_pushes_the_first_out(store: BundleStore, sealed: list[Sealed]) -> None:
    store.install(sealed[1].content)
    confirm(store)
    store.install(sealed[2].content)
    assert slots_of(store) == {name_of(sealed[1]), name_of(sealed[2])}


def test_rollback_and_back(store: BundleStore, sealed: list[Sealed]) -> None:
    store.install(sealed[1].content)
    confirm(store)
    store.rollback()
    assert active_bundle(store.root).name == name_of(sealed[0])
    store.rollback()
    assert active_bundle(store.root).name == name_of(sealed[1])


def test_a_trial_that_passes_can_be_confirmed(store: BundleStore, sealed: list[Sealed]) -> None:
    store.install(sealed[1].content)
    with store.session() as session:
        assert session.bundle_path.name == name_of(sealed[1])
        assert store.state().trial == BEGUN
        session.faultless()
    assert store.state().trial == PASSED
    assert store.confirm().trial is None


def test_a_session_that_did_not_start_costs_no_trial(store: BundleStore, sealed: list[Sealed]) -> None:
    store.install(sealed[1].content)
    with store.session() as session:
        session.not_started()
    assert store.state().trial == UNTRIED


@pytest.mark.parametrize("end", ["silent", "raises", "killed"])
def test_a_trial_that_fails_is_taken_out_by_the_next_run(
    store: BundleStore, sealed: list[Sealed], end: str, remembered: None
) -> None:
    store.install(sealed[1].content)
    if end == "killed":
        child = os.fork()
        if child == 0:
            with store.session():
                os._exit(KILLED)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED
    elif end == "raises":
        with pytest.raises(RuntimeError), store.session():
            raise RuntimeError
    else:
        with store.session():
            pass
    assert store.state().trial == BEGUN
    with store.session() as session:
        assert session.bundle_path.name == name_of(sealed[0])
    assert store.status()["failed"] == {"sha256": sealed[1].bundle.sha256, "version": 2}
    assert slots_of(store) == {name_of(sealed[0])}
    assert active_bundle(store.root).name == name_of(sealed[0])


def test_a_failed_first_trial_leaves_nothing_to_run(tmp_path: Path, sealed: list[Sealed]) -> None:
    store = BundleStore(tmp_path / "store")
    store.install(sealed[0].content)
    with store.session():
        pass
    with pytest.raises(StoreError, match=f"the trial of {sealed[0].bundle.sha256[:12]} failed"):
        store.active_bundle()


def test_two_sessions_can_not_run_at_once(store: BundleStore) -> None:
    with store.session(), pytest.raises(StoreError, match="no other session"), BundleStore(store.root).session():
        pass


def test_a_bundle_is_flashed_while_another_walks(store: BundleStore, sealed: list[Sealed]) -> None:
    store.install(sealed[1].content)
    with store.session() as session:
        store.install(sealed[2].content)
        session.faultless()
    assert (store.state().trial, active_bundle(store.root).name) == (UNTRIED, name_of(sealed[2]))


def test_a_downgrade_needs_a_word(store: BundleStore, sealed: list[Sealed]) -> None:
    store.install(sealed[2].content)
    confirm(store)
    with pytest.raises(StoreError, match="version 3 or newer: that one was confirmed here; found version 2"):
        store.install(sealed[1].content)
    assert active_bundle(store.root).name == name_of(sealed[2])
    assert slots_of(store) == {name_of(sealed[0]), name_of(sealed[2])}
    store.install(sealed[1].content, allow_downgrade=True)
    assert active_bundle(store.root).name == name_of(sealed[1])


def test_what_does_not_verify_never_reaches_a_slot(store: BundleStore, sealed: list[Sealed], robot: RobotModel) -> None:
    before = sorted(store.root.rglob("*"))
    with pytest.raises(BundleError, match="seal"):
        store.install(sealed[1].content[:-1] + b"\0")
    with pytest.raises(ContractError, match="robot"):
        BundleStore(store.root, replace(robot, name="another")).install(sealed[1].content)
    assert sorted(store.root.rglob("*")) == before
    assert active_bundle(store.root).name == name_of(sealed[0])


def test_a_slot_that_rotted_is_not_run(store: BundleStore, sealed: list[Sealed]) -> None:
    path = store.root / "slots" / name_of(sealed[0])
    content = bytearray(sealed[0].content)
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match="seal"):
        store.active_bundle()
    path.write_bytes(sealed[1].content)
    with pytest.raises(StoreError, match=sealed[1].bundle.sha256):
        store.active_bundle()
    path.unlink()
    with pytest.raises(BundleError, match="no file"):
        store.active_bundle()


def test_a_rollback_to_a_rotten_slot_is_refused(store: BundleStore, sealed: list[Sealed]) -> None:
    store.install(sealed[1].content)
    (store.root / "slots" / name_of(sealed[0])).unlink()
    with pytest.raises(BundleError, match="no file"):
        store.rollback()
    assert active_bundle(store.root).name == name_of(sealed[1])


# Killed, out of power, out of space


def in_child(action: Callable[[], object]) -> int:
    """Exit status of a forked process that carries out the action."""
    child = os.fork()
    if child == 0:
        action()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def patch_system_calls(before: Callable[[int, str, tuple], None], after: Callable[[int], None]) -> None:
    """Call `before` and `after` around every system call of the store with its number; only for a forked process."""
    number = iter(range(10_000))

    def wrap(name: str) -> None:
        real = getattr(os, name)

        def wrapped(*arguments: Any, **options: Any) -> Any:
            mine = next(number)
            before(mine, name, arguments)
            result = real(*arguments, **options)
            after(mine)
            return result

        setattr(os, name, wrapped)

    for name in SYSTEM_CALLS:
        wrap(name)


def kill_at(moment: str, at: int) -> None:
    """Die before, after, or (writes) in the middle of a system call."""
    real_write = os.write

    def before(number: int, name: str, arguments: tuple) -> None:
        if number != at or moment == "after":
            return
        if moment == "torn":
            if name != "write":
                os._exit(0)
            real_write(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
        os._exit(KILLED)

    def after(number: int) -> None:
        if number == at and moment == "after":
            os._exit(KILLED)

    patch_system_calls(before, after)


def assert_one_complete_bundle(store: BundleStore, allowed: list[Sealed]) -> str:
    """Name of the active bundle, which is one of these, byte by byte."""
    path = active_bundle(store.root)
    assert path.read_bytes() == {name_of(sealed): sealed.content for sealed in allowed}[path.name]
    return path.name


@pytest.mark.parametrize("moment", ["before", pytest.param("after", marks=pytest.mark.slow), "torn"])
def test_killed_at_every_system_call_of_an_installation(
    store: BundleStore, sealed: list[Sealed], tmp_path: Path, moment: str, remembered: None
) -> None:
    old, new, next_one = sealed
    BundleStore(tmp_path / "warm").install(new.content)
    seen = []
    for at in range(200):
        root = tmp_path / f"{at}"
        shutil.copytree(store.root, root)
        victim = BundleStore(root)

        def install(victim: BundleStore = victim, at: int = at) -> None:
            kill_at(moment, at)
            victim.install(new.content)
            os._exit(1)

        status = in_child(install)
        if status == 1:
            break
        if status == KILLED:
            seen.append(assert_one_complete_bundle(victim, [old, new]))
            victim.install(next_one.content)
            assert_one_complete_bundle(victim, [next_one])
            assert list((root / "staging").iterdir()) == []
            # The interrupted bundle was on trial at most: it is not kept as one to go back to.
            assert slots_of(victim) == {name_of(old), name_of(next_one)}
        shutil.rmtree(root)
    assert status == 1, "the installation was never reached to its end"
    assert len(seen) >= (2 if moment == "torn" else 15)
    assert seen[0] == name_of(old)
    assert seen == sorted(seen, key=lambda name: name == name_of(new)), "it switches once and never back"
    assert moment == "torn" or seen[-1] == name_of(new)


@pytest.mark.parametrize("change", ["confirm", pytest.param("rollback", marks=pytest.mark.slow), "session", "revert"])
def test_killed_at_every_system_call_of_a_change(
    store: BundleStore, sealed: list[Sealed], tmp_path: Path, change: str, remembered: None
) -> None:
    store.install(sealed[1].content)
    if change in ("confirm", "revert"):
        with store.session() as session:
            if change == "confirm":
                session.faultless()
    action = {"revert": "active_bundle"}.get(change, change)
    kills = 0
    for at in range(200):
        root = tmp_path / f"{at}"
        shutil.copytree(store.root, root)
        victim = BundleStore(root)

        def change_it(victim: BundleStore = victim, at: int = at) -> None:
            kill_at("before", at)
            if action == "session":
                with victim.session() as session:
                    session.faultless()
            else:
                getattr(victim, action)()
            os._exit(1)

        status = in_child(change_it)
        if status == 1:
            break
        kills += 1
        assert_one_complete_bundle(victim, sealed[:2])
        shutil.rmtree(root)
    assert status == 1 and kills >= 5


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


@pytest.mark.slow
def test_random_kills_of_the_robots_own_command(store: BundleStore, sealed: list[Sealed]) -> None:
    """kill -9 at random moments of a real installation process, on one store that lives through them all."""
    import random
    import sys
    import time

    moments = random.Random(0)
    switched = 0
    for round_ in range(60):
        new = sealed[1 + round_ % 2]
        message = b"%d 0\n" % len(new.content) + new.content
        command = [sys.executable, "-m", "deploy.onboard.slot_command", str(store.root), "install"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
        assert process.stdin is not None
        process.stdin.write(message)
        process.stdin.close()
        time.sleep(moments.uniform(0.0, 1.2))
        process.kill()
        process.wait()
        switched += assert_one_complete_bundle(store, sealed) == name_of(new)
    store.install(sealed[2].content)
    assert list((store.root / "staging").iterdir()) == []
    assert switched > 0


# Signatures


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
