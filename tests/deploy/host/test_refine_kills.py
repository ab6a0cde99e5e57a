"""A refinement that is killed, wherever, and given again ends with the bytes of one that nobody disturbed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

import pytest

import deploy.host.refine as refine_module
from deploy.host import refine_progress
from deploy.host.refine import refine
from deploy.host.refine_outputs import clone_path, report_path, trainer_state_path
from deploy.host.refine_progress import RefineProgressError, progress_path
from deploy.host.refine_settings import RefineSettings
from policy.trainer_state import TrainerState, save_trainer_state
from tests.deploy.host.conftest import tiny_refinement

ROOT = Path(__file__).resolve().parents[3]
COMMAND = "go1 refine in a test"
SETTINGS = {"ensemble": tiny_refinement(), "uni_o4": tiny_refinement(method="uni_o4")}


class Killed(BaseException):
    """Stands for a kill: nothing in the code under test may catch it."""


@pytest.fixture(autouse=True)
def every_piece_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refine_progress, "KEEP_EVERY_S", 0.0)


def run(dataset: Path, init: Optional[Path], out: Path, settings: RefineSettings) -> None:
    refine(dataset, init, out, settings, command=COMMAND)


@pytest.fixture(scope="module")
def undisturbed(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """By method, from the logs alone: every stage that there is."""
    folder = tmp_path_factory.mktemp("undisturbed")
    outs = {method: folder / method / "refined.go1policy" for method in SETTINGS}
    for method, out in outs.items():
        run(dataset, None, out, SETTINGS[method])
        assert sorted(path.name for path in out.parent.iterdir()) == [
            "refined.clone.go1policy", "refined.go1policy", "refined.report.json", "refined.trainer.safetensors",
        ]  # fmt: skip
    return outs


def assert_same_outputs(out: Path, wanted: Path) -> None:
    """Every byte but the report's wall time; and nothing else is left."""
    for path_of in (lambda path: path, clone_path, trainer_state_path):
        assert path_of(out).read_bytes() == path_of(wanted).read_bytes(), path_of(out).name
    reports = [json.loads(report_path(path).read_text()) for path in (out, wanted)]
    assert all(report.pop("wall_s") > 0.0 for report in reports)
    assert reports[0] == reports[1]
    assert sorted(path.name for path in out.parent.iterdir()) == sorted(path.name for path in wanted.parent.iterdir())


class DiesAt:
    """`save_trainer_state` of a process that is killed at its n-th piece: before or after that one is on disk."""

    def __init__(self, piece: int, before: bool) -> None:
        self._piece, self._before, self._count = piece, before, 0

    def __call__(self, path: Path, state: TrainerState) -> None:
        self._count += 1
        if self._count == self._piece and self._before:
            raise Killed
        save_trainer_state(path, state)
        if self._count == self._piece:
            raise Killed


@pytest.mark.parametrize(("method", "piece"), [("ensemble", 4), ("uni_o4", 9)])
def test_killed_again_and_again_within_and_between_its_stages(
    method: str,
    piece: int,
    undisturbed: dict[str, Path],
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    out, kills, ended = tmp_path / "run" / "refined.go1policy", 0, False
    while not ended:
        monkeypatch.setattr(refine_progress, "save_trainer_state", DiesAt(piece, before=kills % 2 == 1))
        try:
            run(dataset, None, out, SETTINGS[method])
            ended = True
        except Killed:
            kills += 1
            assert progress_path(out).is_dir()
    assert kills >= 3
    assert_same_outputs(out, undisturbed[method])


def test_a_kill_before_each_output_learns_nothing_anew(
    undisturbed: dict[str, Path], dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Each process dies where one output comes next: all those before it are written again, and are the same."""
    out, saved = tmp_path / "run" / "refined.go1policy", refine_progress.save_trainer_state
    stages: list[set[str]] = []

    def noted(path: Path, state: TrainerState) -> None:
        stages[-1].add(path.name.split(".")[0])
        saved(path, state)

    def killed(*_: Any) -> Any:
        raise Killed

    monkeypatch.setattr(refine_progress, "save_trainer_state", noted)
    for output in ("seal_clone", "seal_best", "save_learner", "write_report"):
        stages.append(set())
        with monkeypatch.context() as patch:
            patch.setattr(refine_module, output, killed)
            with pytest.raises(Killed):
                run(dataset, None, out, SETTINGS["ensemble"])
    stages.append(set())
    run(dataset, None, out, SETTINGS["ensemble"])
    assert stages == [{"cloning"}, {"dynamics", "value", "improvement"}, set(), set(), set()]
    assert_same_outputs(out, undisturbed["ensemble"])


def test_a_kill_while_the_progress_is_cleared_away(
    undisturbed: dict[str, Path], dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "run" / "refined.go1policy"

    def half_removed(folder: Path) -> None:
        (folder / "cloning.safetensors").unlink()
        (folder / "value.safetensors").unlink()
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(refine_progress.shutil, "rmtree", half_removed)
        with pytest.raises(Killed):
            run(dataset, None, out, SETTINGS["ensemble"])
    run(dataset, None, out, SETTINGS["ensemble"])
    assert_same_outputs(out, undisturbed["ensemble"])


def test_a_run_with_another_seed_is_refused_and_leaves_everything_as_it_was(
    dataset: Path, shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out = tmp_path / "refined.go1policy"

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(refine_module, "fit_value", killed)
        with pytest.raises(Killed):
            run(dataset, shipped, out, SETTINGS["ensemble"])
    before = {path: path.read_bytes() for path in progress_path(out).iterdir()}
    assert before
    with pytest.raises(RefineProgressError, match=r"settings\.seed = 1"):
        run(dataset, shipped, out, tiny_refinement(seed=1))
    with pytest.raises(RefineProgressError, match="start = None"):
        run(dataset, None, out, SETTINGS["ensemble"])
    assert {path: path.read_bytes() for path in progress_path(out).iterdir()} == before
    assert not out.exists()


CHILD = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from deploy.host import refine_progress
from tests.deploy.host.test_refine_kills import SETTINGS, run
refine_progress.KEEP_EVERY_S = 0.0
print("begun", flush=True)
run(Path(sys.argv[1]), None, Path(sys.argv[2]), SETTINGS[sys.argv[3]])
"""


def killed_at_random(dataset: Path, out: Path, method: str, luck: random.Random, kills: int) -> int:
    """Give the command until it ends; the first so many processes die by SIGKILL. How many did so with work kept."""
    found = 0
    for attempt in range(kills + 1):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(dataset), str(out), method], cwd=ROOT, stdout=subprocess.PIPE
        )
        assert child.stdout is not None and child.stdout.readline() == b"begun\n"
        if attempt < kills:
            wait_for_pieces(out, luck.randint(1, 4), child)
            time.sleep(luck.uniform(0.0, 0.1))
            os.kill(child.pid, signal.SIGKILL)
        ended = child.wait(timeout=300)
        child.stdout.close()
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        found += progress_path(out).is_dir()
    return found


def wait_for_pieces(out: Path, pieces: int, child: subprocess.Popen[bytes]) -> None:
    """Until so many more have come to disk, or the child has ended."""

    def written() -> set[tuple[str, int]]:
        return {(path.name, path.stat().st_mtime_ns) for path in progress_path(out).glob("*.safetensors")}

    seen = tolerant(written)
    news: set[tuple[str, int]] = set()
    while len(news) < pieces and child.poll() is None:
        time.sleep(0.002)
        news |= tolerant(written) - seen


def tolerant(look: Callable[[], set[tuple[str, int]]]) -> set[tuple[str, int]]:
    """A file may be renamed between its listing and its look."""
    while True:
        try:
            return look()
        except FileNotFoundError:
            continue


@pytest.mark.slow
@pytest.mark.parametrize("method", SETTINGS)
def test_killed_by_the_kernel_at_random_moments(
    method: str, undisturbed: dict[str, Path], dataset: Path, tmp_path: Path
):
    out = tmp_path / "run" / "refined.go1policy"
    assert killed_at_random(dataset, out, method, random.Random(3), kills=4) >= 2
    assert_same_outputs(out, undisturbed[method])
