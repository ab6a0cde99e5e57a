"""The folder in which a refinement keeps its stages: whose it is, what is in it, and what is damaged."""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from deploy.host import refine_progress
from deploy.host.refine_progress import (
    RefineProgress,
    RefineProgressError,
    RunIdentity,
    kept_progress,
    progress_path,
)
from policy.run_lock import FolderInUseError
from policy.trainer_state import TrainerState, load_trainer_state
from policy.uni_o4.settings import seeded_generator
from robot_configs.robot import load_robot
from tests.deploy.host.conftest import tiny_refinement

IDENTITY = RunIdentity(("a" * 64, "b" * 64), "c" * 64, asdict(tiny_refinement()), load_robot().sha256)


class Killed(BaseException):
    """Stands for a kill: nothing in the code under test may catch it."""


@pytest.fixture(autouse=True)
def every_piece_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refine_progress, "KEEP_EVERY_S", 0.0)


def state(piece: int) -> TrainerState:
    return TrainerState({"weight": torch.full((3,), float(piece))}, {"piece": piece})


def keep(progress: RefineProgress, *pieces: int, stage: str = "cloning") -> None:
    keeper = progress.stage(stage, seeded_generator(1))
    for piece in pieces:
        keeper.keep(lambda: state(piece))  # noqa: B023


def piece_kept(out: Path, stage: str = "cloning") -> Any:
    with kept_progress(out, IDENTITY) as progress:
        found = progress.stage(stage, seeded_generator(1)).kept()
    return None if found is None else found.record["piece"]


def test_a_stage_comes_back_with_its_luck(tmp_path: Path):
    out, luck = tmp_path / "out.go1policy", seeded_generator(1)
    with kept_progress(out, IDENTITY) as progress:
        keeper = progress.stage("cloning", luck)
        assert keeper.kept() is None
        torch.rand(7, generator=luck)
        keeper.keep(lambda: state(4))
    wanted = torch.rand(3, generator=luck)
    with kept_progress(out, IDENTITY) as progress:
        again = seeded_generator(1)
        found = progress.stage("cloning", again).kept()
        assert found is not None and torch.equal(found.tensors["weight"], torch.full((3,), 4.0))
        assert found.record["piece"] == 4
        assert torch.equal(torch.rand(3, generator=again), wanted)
        other = progress.stage("dynamics", again)
        before = again.get_state()
        assert other.kept() is None and torch.equal(again.get_state(), before)


def test_a_finished_stage_is_kept_at_once_and_a_piece_only_every_so_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(refine_progress, "KEEP_EVERY_S", 3600.0)
    with kept_progress(tmp_path / "out", IDENTITY) as progress:
        keeper = progress.stage("cloning", seeded_generator(1))
        keeper.keep(lambda: state(1))
        assert not list(progress_path(tmp_path / "out").iterdir())
        keeper.keep(lambda: state(2), finished=True)
    assert piece_kept(tmp_path / "out") == 2


def test_a_run_that_kept_nothing_leaves_no_folder(tmp_path: Path):
    with pytest.raises(Killed), kept_progress(tmp_path / "out", IDENTITY):
        assert progress_path(tmp_path / "out").is_dir()
        raise Killed
    assert list(tmp_path.iterdir()) == []


def test_with_success_the_folder_is_gone(tmp_path: Path):
    with kept_progress(tmp_path / "out", IDENTITY) as progress:
        keep(progress, 1, 2)
        progress.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_second_process_is_refused(tmp_path: Path):
    with kept_progress(tmp_path / "out", IDENTITY) as progress:
        keep(progress, 1)
        with pytest.raises(FolderInUseError, match=re.escape(str(progress_path(tmp_path / "out")))):
            with kept_progress(tmp_path / "out", IDENTITY):
                pass
        with kept_progress(tmp_path / "other", IDENTITY):
            pass
    assert piece_kept(tmp_path / "out") == 1


def test_who_waited_for_a_run_that_has_just_ended_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It has opened the folder that the other one then took away: what it would write there, nobody would find."""
    opened = os.open

    def late(path: Any, *rest: Any, **named: Any) -> int:
        descriptor = opened(path, *rest, **named)
        if Path(path) == progress_path(tmp_path / "out"):
            os.rmdir(path)
        return descriptor

    monkeypatch.setattr(os, "open", late)
    with pytest.raises(FolderInUseError, match="ended just now"), kept_progress(tmp_path / "out", IDENTITY):
        pass


@pytest.mark.parametrize(
    ("other", "name"),
    [
        (replace(IDENTITY, datasets=("a" * 64,)), "datasets"),
        (replace(IDENTITY, datasets=("b" * 64, "a" * 64)), "datasets"),
        (replace(IDENTITY, start=None), "start"),
        (replace(IDENTITY, start="d" * 64), "start"),
        (replace(IDENTITY, settings=asdict(tiny_refinement(seed=1))), "settings.seed"),
        (replace(IDENTITY, settings=asdict(tiny_refinement(method="uni_o4"))), "settings.method"),
        (replace(IDENTITY, settings=asdict(tiny_refinement(threads=2))), "settings.threads"),
        (replace(IDENTITY, robot="e" * 64), "robot"),
    ],
)
def test_progress_of_another_run_is_refused_by_the_first_thing_that_differs(
    other: RunIdentity, name: str, tmp_path: Path
):
    out = tmp_path / "out.go1policy"
    with kept_progress(out, IDENTITY) as progress:
        keep(progress, 1)
    before = {path: path.read_bytes() for path in progress_path(out).iterdir()}
    with pytest.raises(RefineProgressError, match=f"a run with {re.escape(name)} = ") as refusal:
        with kept_progress(out, other):
            pass
    assert f"remove {progress_path(out)}" in str(refusal.value)
    assert {path: path.read_bytes() for path in progress_path(out).iterdir()} == before


def test_a_setting_inside_a_stage_is_named_with_both_values(tmp_path: Path):
    with kept_progress(tmp_path / "out", IDENTITY) as progress:
        keep(progress, 1)
    settings = tiny_refinement()
    changed = replace(settings, dynamics=replace(settings.dynamics, epochs=9))
    with pytest.raises(RefineProgressError, match=r"settings\.dynamics\.epochs = 9") as refusal:
        with kept_progress(tmp_path / "out", replace(IDENTITY, settings=asdict(changed))):
            pass
    assert refusal.value.found.startswith("3 in ")


@pytest.mark.parametrize(
    ("place", "name"),
    [("PROGRESS_FORMAT", "format"), ("_programs", "programs"), ("torch", "torch")],
)
def test_other_code_or_another_format_is_refused(
    place: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with kept_progress(tmp_path / "out", IDENTITY) as progress:
        keep(progress, 1)
    if place == "torch":
        monkeypatch.setattr(torch, "__version__", "0.0.1")
    else:
        monkeypatch.setattr(refine_progress, place, (lambda: "other") if place == "_programs" else 99)
    with pytest.raises(RefineProgressError, match=f"a run with {name} = "):
        with kept_progress(tmp_path / "out", IDENTITY):
            pass


def file_of(out: Path, stage: str = "cloning") -> Path:
    return progress_path(out) / f"{stage}.safetensors"


@pytest.mark.parametrize("length", [0, 7, 0.5, -1])
def test_a_torn_file_gives_way_to_the_one_before_it(length: float, tmp_path: Path):
    out = tmp_path / "out"
    with kept_progress(out, IDENTITY) as progress:
        keep(progress, 1, 2, 3)
    whole = file_of(out).read_bytes()
    file_of(out).write_bytes(whole[: int(length * len(whole)) if isinstance(length, float) else length])
    assert piece_kept(out) == 2
    with kept_progress(out, IDENTITY) as progress:
        keep(progress, 4)
    assert piece_kept(out) == 4
    assert load_trainer_state(file_of(out).with_name("cloning.safetensors.before")).record["piece"] == 2


def test_where_no_whole_file_is_left_the_stage_is_refused_and_the_others_stay(tmp_path: Path):
    out = tmp_path / "out"
    with kept_progress(out, IDENTITY) as progress:
        keep(progress, 1)
        keep(progress, 7, stage="dynamics")
    content = bytearray(file_of(out, "dynamics").read_bytes())
    content[-1] ^= 1
    file_of(out, "dynamics").write_bytes(content)
    with pytest.raises(RefineProgressError, match="whole progress of the stage dynamics") as refusal:
        piece_kept(out)
    assert f"Remove {file_of(out, 'dynamics')}" in str(refusal.value)
    file_of(out, "dynamics").unlink()
    assert (piece_kept(out), piece_kept(out, "dynamics")) == (1, None)


@pytest.mark.parametrize("renames_before", range(3))
def test_a_kill_inside_a_write_loses_one_piece_at_most(
    renames_before: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Of the second piece: before its predecessor has its other name, between the two renames, after both."""
    out, replaced, count = tmp_path / "out", os.replace, 0

    def killed(source: Path, target: Path) -> None:
        nonlocal count
        if count == renames_before:
            raise Killed
        count += 1
        replaced(source, target)

    with kept_progress(out, IDENTITY) as progress:
        keep(progress, 1)
        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", killed)
            if renames_before < 2:
                with pytest.raises(Killed):
                    keep(progress, 2)
            else:
                keep(progress, 2)
    assert piece_kept(out) == (2 if renames_before == 2 else 1)


def test_what_a_killed_write_leaves_is_no_progress(tmp_path: Path):
    """The kernel kills without asking: nobody clears up the half of a file."""
    folder = progress_path(tmp_path / "out")
    folder.mkdir()
    (folder / "cloning.safetensors.partial").write_bytes(b"half")
    assert piece_kept(tmp_path / "out") is None
    with kept_progress(tmp_path / "out", IDENTITY) as progress:
        keep(progress, 1)
    assert piece_kept(tmp_path / "out") == 1


def test_seconds_of_processes_that_were_killed_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    now = [100.0]
    monkeypatch.setattr(refine_progress.time, "monotonic", lambda: now[0])
    with kept_progress(tmp_path / "out", IDENTITY) as progress:
        now[0] += 30.0
        keep(progress, 1)
        now[0] += 500.0  # lost with the kill
    with kept_progress(tmp_path / "out", IDENTITY) as progress:
        now[0] += 5.0
        assert progress.wall_s == pytest.approx(35.0)


def test_the_record_of_a_run_is_json_and_names_everything(tmp_path: Path):
    record = IDENTITY.record()
    assert json.loads(json.dumps(record)) == record
    assert list(record) == ["format", "datasets", "start", "settings", "robot", "programs", "torch"]
