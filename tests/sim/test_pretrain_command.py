"""What a person gets from a run: a bundle and pictures, and the same command again."""

import contextlib
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import sim.pretrain_command
import sim.pretrain_pictures
from policy.bundle import read_bundle
from sim.engines.choice import EngineChoice
from sim.play import PlayError
from sim.pretrain_command import BUNDLE_FILE, main, train_bundle
from sim.pretrain_pictures import draw_curve, film_walk
from sim.pretrain_settings import PretrainSettings, PretrainSettingsError
from sim.velocity_settings import VelocityTaskSettings

TINY = PretrainSettings(
    steps=8 * 4 * 2,
    steps_per_iteration=4,
    actor_hidden=(8,),
    critic_hidden=(8,),
    epochs=1,
    minibatches=1,
    threads=1,
    save_every=1,
    task=VelocityTaskSettings(num_envs=8),
)


class Stop(Exception):
    """What interrupts a run here."""


def stop_after_two(done: int, total: int, row: dict[str, float]) -> None:
    if done == 2:
        raise Stop


@pytest.fixture(scope="module")
def no_film() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sim.pretrain_command, "film_walk", lambda bundle, out: "no film: not in this test")
        yield


@pytest.fixture(scope="module")
def stopped(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("stopped")
    with pytest.raises(Stop):
        train_bundle(TINY, out, "go1 sim train --seed 1", stop_after_two)
    return out


@pytest.fixture(scope="module")
def ended(stopped, no_film) -> tuple[Path, str, str]:
    """The same, ended by the same command again; what that said, on standard output and on standard error."""
    said, complained = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
        train_bundle(TINY, stopped, "go1 sim train --seed 1")
    return stopped, said.getvalue(), complained.getvalue()


def test_a_run_that_stopped_says_where_it_goes_on(ended):
    _, _, complained = ended
    assert "going on after iteration 1 of 2" in complained


def test_a_run_ends_in_a_sealed_bundle_and_pictures(ended):
    out, said, _ = ended
    bundle = read_bundle(out / BUNDLE_FILE)
    assert bundle.sha256 in said and "curve.png" in said and "no film: not in this test" in said
    assert bundle.lineage.stage == "pretrain" and bundle.lineage.command == "go1 sim train --seed 1"
    with Image.open(out / "curve.png") as picture:
        assert picture.width > 600


def test_the_same_command_once_more_does_nothing(ended, capsys):
    out, _, _ = ended
    before = (out / BUNDLE_FILE).stat().st_mtime_ns
    train_bundle(TINY, out, "go1 sim train --seed 1", stop_after_two)
    assert "finished before; nothing to do" in capsys.readouterr().out
    assert (out / BUNDLE_FILE).stat().st_mtime_ns == before


def test_a_kill_between_the_last_checkpoint_and_the_bundle_costs_no_training(ended, tmp_path):
    out, _, _ = ended
    killed = tmp_path / "killed"
    shutil.copytree(out, killed)
    os.remove(killed / BUNDLE_FILE)
    train_bundle(TINY, killed, "again", stop_after_two, film=False)
    assert read_bundle(killed / BUNDLE_FILE).onnx_bytes == read_bundle(out / BUNDLE_FILE).onnx_bytes


def test_of_several_processes_the_others_say_and_write_nothing(tmp_path, no_film, capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    train_bundle(TINY, tmp_path, "first")
    train_bundle(TINY, tmp_path, "first")
    assert "policy" not in capsys.readouterr().out
    assert not (tmp_path / BUNDLE_FILE).exists()


def test_a_film_that_can_not_be_drawn_is_a_plain_message(tmp_path, monkeypatch):
    def nothing_to_draw_with(*asked):
        raise PlayError("a library that draws", "none", "Install one.")

    monkeypatch.setattr(sim.pretrain_pictures, "play_bundle", nothing_to_draw_with)
    assert (
        film_walk(tmp_path / BUNDLE_FILE, tmp_path)
        == "no film: expected a library that draws; found none. Install one."
    )


def test_the_film_is_of_the_bundle_on_the_nominal_twin(tmp_path, monkeypatch):
    asked: list[tuple] = []
    monkeypatch.setattr(sim.pretrain_pictures, "play_bundle", lambda *words: asked.append(words))
    assert film_walk(tmp_path / BUNDLE_FILE, tmp_path) == str(tmp_path / "walk.gif")
    assert asked[0][:2] == (tmp_path / BUNDLE_FILE, "nominal") and asked[0][4] == tmp_path / "walk.gif"


def test_a_curve_with_gaps_is_drawn(tmp_path):
    columns = ("steps", *sim.pretrain_pictures._PANELS)
    rows = [",".join(columns), ",".join(["1000"] + ["0.5"] * 6), ",".join(["2000", *["0.25"] * 5, ""])]
    (tmp_path / "curve.csv").write_text("\n".join(rows) + "\n")
    assert Path(draw_curve(tmp_path)).stat().st_size > 1000


def test_too_few_steps_for_an_iteration_are_refused():
    with pytest.raises(PretrainSettingsError, match="at least 32 steps"):
        PretrainSettings(steps=31, steps_per_iteration=4, task=VelocityTaskSettings(num_envs=8))


def test_an_unknown_preset_ends_with_a_message(tmp_path, capsys):
    with pytest.raises(SystemExit) as ending:
        main(["--preset", "fast", "--out", str(tmp_path)])
    assert "fast" in str(ending.value.code)


@pytest.mark.parametrize(
    ("words", "engine"),
    [
        ([], EngineChoice()),
        (["--engine", "mujoco_warp", "--device", "cuda:0"], EngineChoice("mujoco_warp", "cuda:0")),
        (["--engine", "isaacgym", "--engine-python", "py38"], EngineChoice("isaacgym", python="py38")),
    ],
)
def test_processes_of_torchrun_have_the_engine_that_is_asked_for(tmp_path, monkeypatch, words, engine):
    given: list[EngineChoice] = []
    monkeypatch.setattr(sim.pretrain_command, "train_bundle", lambda settings, *_, **__: given.append(settings.engine))
    main(["--out", str(tmp_path), *words])
    assert given == [engine]


def test_isaac_gym_in_the_process_of_torch_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="--engine-python"):
        main(["--out", str(tmp_path), "--engine", "isaacgym"])
