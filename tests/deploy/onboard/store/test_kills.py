"""The store, killed at every system call and at random moments: there is always exactly one complete bundle to run."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.onboard.store import BundleStore
from tests.deploy.onboard.store.bench import (
    SYSTEM_CALLS,
    Sealed,
    assert_one_complete_bundle,
    name_of,
    slots_of,
)

KILLED = 9


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
