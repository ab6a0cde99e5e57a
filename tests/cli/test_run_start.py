"""What is refused before a session, and what the person is told: nothing is sent, no trial begins."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

import pytest

import cli.robot
from cli.main import main
from cli.run_start import NotATwinError, announce_keys, require_twin
from deploy.onboard.log_folder import LogFolderError, require_log_folder
from deploy.onboard.slot_state import UNTRIED
from deploy.onboard.store import BundleStore
from policy.bundle import BUNDLES

SHIPPED = str(BUNDLES / "go1_velocity.go1policy")
ROBOT = ("192.168.123.10", 8007)


def asked(robot: "tuple[str, int]" = ROBOT, **options: bool) -> argparse.Namespace:
    return argparse.Namespace(
        robot=robot, **{"lockstep": False, "auto_rearm": False, "twin_elsewhere": False, **options}
    )


@pytest.mark.parametrize("option", ["lockstep", "auto_rearm"])
@pytest.mark.parametrize("host", ["192.168.123.10", "10.0.0.7", "0.0.0.0", "no-such-host.invalid"])
def test_what_only_a_twin_can_do_is_refused_elsewhere(host: str, option: str) -> None:
    with pytest.raises(NotATwinError, match=f"--{option.replace('_', '-')}; found {host}:8007"):
        require_twin(asked((host, 8007), **{option: True}))
    require_twin(asked((host, 8007), twin_elsewhere=True, **{option: True}))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.1.1", "localhost"])
def test_a_twin_on_this_computer_may_do_both(host: str) -> None:
    require_twin(asked((host, 8007), lockstep=True, auto_rearm=True))


def test_a_robot_is_a_robot_without_them() -> None:
    require_twin(asked())


@pytest.mark.parametrize(
    "words",
    [
        ["robot", "run", "--commands", "vx=0,vy=0,yaw=0", "--duration", "1", "--log-dir", "logs"],
        ["finetune", "--steps", "4000", "--out", "runs"],
    ],
)
def test_the_commands_refuse_it_at_once(
    words: "list[str]", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--bundle", SHIPPED, "--robot", "192.168.123.10:8007", "--auto-rearm"]) == 2
    assert "found    192.168.123.10:8007, where a robot may be" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_closed_folder_is_no_log_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """(root may write everywhere: the answer is the system's, so it is replaced here.)"""
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(LogFolderError, match="closed to it"):
        require_log_folder(tmp_path)


@pytest.mark.parametrize("words", [["robot", "run", "--duration", "1", "--commands", "remote"], ["teleop"]])
def test_a_session_without_a_place_for_its_log_does_not_begin(
    words: "list[str]", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    line = [*words, "--bundle", SHIPPED, "--robot", "127.0.0.1:1", "--log-dir", str(tmp_path / "file")]
    assert main(line) == 2
    said = capsys.readouterr().err
    assert "expected to make the folder of the logs" in said
    assert f"found    a file of the name {tmp_path}/file\n" in said


@pytest.mark.parametrize("lockstep", [[], ["--lockstep"]])
def test_a_full_disk_is_refused_before_the_trial_begins(
    lockstep: "list[str]", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = BundleStore(tmp_path / "store")
    store.install(Path(SHIPPED).read_bytes())
    state = (store.root / "state.json").read_bytes()
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: argparse.Namespace(free=1_250_000))
    line = ["robot", "run", "--slots", str(store.root), "--robot", "127.0.0.1:1", "--commands", "remote", *lockstep]
    assert main([*line, "--duration", "60", "--log-dir", str(tmp_path / "logs")]) == 2
    said = capsys.readouterr().err
    assert f"expected 24.0 MB free for the log in {tmp_path}/logs\n     found    1.2 MB\n" in said
    assert "remote" not in said  # nothing waits for a person
    assert list((tmp_path / "logs").iterdir()) == []
    assert store.state().trial == UNTRIED
    assert (store.root / "state.json").read_bytes() == state


def test_walks_that_are_counted_need_no_room_for_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two walks of 10 s at most need room for 80 s, whatever the duration would allow."""
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: argparse.Namespace(free=16_000_000))
    line = ["robot", "run", "--bundle", SHIPPED, "--robot", "127.0.0.1:1", "--commands", "no", "--duration", "600"]
    line += ["--lockstep", "--log-dir", str(tmp_path), "--episodes", "2", "--episode-s"]
    with pytest.raises(SystemExit, match="past the folder"):
        monkeypatch.setattr(cli.robot, "bundle_to_run", lambda options: sys.exit("past the folder"))
        main([*line, "10"])
    assert main([*line, "10.1"]) == 2


def test_the_person_is_told_which_keys_count(capsys: pytest.CaptureFixture[str]) -> None:
    announce_keys("remote")
    said = capsys.readouterr().err
    assert "waits for its remote" in said
    assert "START" in said
    announce_keys("vx=0.4,vy=0,yaw=0")
    said = capsys.readouterr().err
    assert said.startswith("As soon as it answers, the robot stands up and walks by itself.")
    assert "B      STOP" in said
