"""The offline stage's clock: on noise, and on a data set that was imported."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import benchmarks.offline_stage as offline_stage
from benchmarks.offline_stage import data_set, main, noise, run_stage
from deploy.host.refine_settings import RefineSettings
from offline_data.dataset import DatasetError
from offline_data.import_uni_o4 import import_uni_o4
from tests.deploy.host.conftest import tiny_refinement
from tests.offline_data.test_import_uni_o4 import standing_states, write

torch.set_num_threads(1)
PARTS = ["replay", "clones", "value", "dynamics", "improvement"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three recordings of 120 steps, imported."""
    folder = tmp_path_factory.mktemp("recorded")
    for number in range(3):
        write(folder / "files" / "session" / f"{number}.hdf5", *standing_states(120, first_phase=0.1 * number))
    import_uni_o4(folder / "files", folder / "dataset")
    return folder / "dataset"


def test_every_part_is_timed_on_a_data_set(recorded: Path) -> None:
    settings = tiny_refinement()
    steps, wall_s = run_stage(data_set(recorded, settings), settings, 0.5)
    assert 250 < steps < 360  # what comes before the gait clock's first zero is left out
    assert list(wall_s) == PARTS
    assert all(seconds > 0.0 for seconds in wall_s.values())


def test_without_a_data_set_there_is_noise_in_which_nothing_falls() -> None:
    settings = tiny_refinement()
    source = noise(1000, settings)
    assert source.fell is not None and not source.fell(torch.zeros(3, 33)).any()
    steps, wall_s = run_stage(source, settings, 1.0)
    assert steps == 1000
    assert list(wall_s) == PARTS


def test_a_share_is_scaled_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of four epochs counts four times, one of two iterations twice; the replay is done once and counts once."""
    factors: dict[str, float] = {}
    timed = offline_stage.Clock.timed

    def told(clock, name, factor, work):
        factors[name] = factor
        return timed(clock, name, factor, work)

    monkeypatch.setattr(offline_stage.Clock, "timed", told)
    settings = tiny_refinement()
    settings = replace(settings, dynamics=replace(settings.dynamics, epochs=4))
    run_stage(noise(1000, settings), settings, 0.01)
    assert factors == {"replay": 1.0, "clones": 4.0, "value": 4.0, "dynamics": 4.0, "improvement": 2.0}


@pytest.mark.parametrize(
    ("steps", "seconds", "verdict"), [(99_999, 1e4, ""), (100_000, 361.0, "MISSED"), (109_207, 359.0, "met")]
)
def test_only_a_log_of_the_full_size_is_held_to_the_target(
    steps: int, seconds: float, verdict: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(source: object, settings: RefineSettings, share: float) -> tuple[int, dict[str, float]]:
        return steps, {"value": seconds - 1.0, "dynamics": 1.0}

    monkeypatch.setattr(offline_stage, "run_stage", run)
    main(["--threads", "1"])
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "offline stage" in line)
    assert f"{steps:,} steps" in line
    assert line.split()[-1] == (verdict or "s")


def test_a_folder_without_a_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        main(["--dataset", str(tmp_path)])
