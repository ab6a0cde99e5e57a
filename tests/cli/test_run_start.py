"""What is refused before a session, and what the person is told: nothing is sent, no trial begins."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest

from cli.main import main
from cli.run_start import LogFolderError, NotATwinError, announce_keys, require_log_folder, require_twin
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


def test_the_log_folder_is_made(tmp_path: Path) -> None:
    require_log_folder(tmp_path / "a" / "b")
    require_log_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_is_no_log_folder(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LogFolderError, match="Name another folder with --log-dir"):
        require_log_folder(tmp_path / place)


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
    assert "expected to make the folder of the logs" in capsys.readouterr().err


def test_the_person_is_told_which_keys_count(capsys: pytest.CaptureFixture[str]) -> None:
    announce_keys("remote")
    said = capsys.readouterr().err
    assert "waits for its remote" in said
    assert "START" in said
    announce_keys("vx=0.4,vy=0,yaw=0")
    said = capsys.readouterr().err
    assert "walks by itself" in said
    assert "B      STOP" in said
