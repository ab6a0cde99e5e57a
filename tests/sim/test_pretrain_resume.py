"""A run that was interrupted ends, bit for bit, as one that was not."""

import csv
import dataclasses
import functools
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import policy.whole_files
import sim.pretrain
from policy.trainer_state import load_trainer_state
from robot_configs.robot import load_robot
from sim.curve_log import CurveError
from sim.engines.choice import EngineChoice
from sim.engines.mujoco import MujocoEngine
from sim.engines.protocol import Engine
from sim.pretrain import pretrain
from sim.pretrain_checkpoint import (
    CHECKPOINT_FILE,
    CHECKPOINT_FORMAT,
    PretrainFolderError,
    curve_mark,
    iterations_done,
    last_checkpoint,
)
from sim.pretrain_settings import PretrainSettings
from sim.terrain.settings import TerrainSettings
from sim.velocity_settings import VelocityTaskSettings
from tests.sim.distributed_worker import settings_of

ROOT = Path(__file__).resolve().parents[2]
ITERATIONS = 7
# Small, but with all that a checkpoint must hold: terrain with levels, mirrored samples, delays, episodes that end.
SETTINGS = PretrainSettings(
    steps=16 * 8 * ITERATIONS,
    steps_per_iteration=8,
    actor_hidden=(16, 8),
    critic_hidden=(16,),
    epochs=2,
    minibatches=2,
    threads=1,
    save_every=2,
    mirror=True,
    task=VelocityTaskSettings(num_envs=16, seed=4, episode_s=0.3, terrain=TerrainSettings(levels=2)),
)


class Stop(Exception):
    """What interrupts a run here; leaves on the disk what a kill would."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The run that nobody interrupts."""
    out = tmp_path_factory.mktemp("whole")
    pretrain(SETTINGS, out)
    return out


def curve(out: Path) -> list[dict[str, str]]:
    """All of it but the time that it took."""
    with open(out / "curve.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [{name: value for name, value in row.items() if name != "wall_s"} for row in rows]


def assert_same_run(one: Path, other: Path) -> None:
    assert curve(one) == curve(other)
    first, second = (load_trainer_state(out / "trainer.safetensors") for out in (one, other))
    assert first.tensors.keys() == second.tensors.keys()
    for name, tensor in first.tensors.items():
        assert torch.equal(tensor, second.tensors[name]), name
    assert first.record["learning_rate"] == second.record["learning_rate"]


def stop_after(iterations: int):
    """A progress that interrupts once the row of this iteration is written, before its checkpoint."""

    def progress(done: int, total: int, row: dict[str, float]) -> None:
        if done == iterations:
            raise Stop

    return progress


def interrupt(out: Path, iterations: int) -> None:
    with pytest.raises(Stop):
        pretrain(SETTINGS, out, stop_after(iterations))


@pytest.mark.parametrize(("stopped_in", "goes_on_after"), [(1, 0), (4, 2), (5, 4)])
def test_going_on_ends_where_the_whole_run_does(whole, tmp_path, stopped_in, goes_on_after):
    interrupt(tmp_path, stopped_in)
    assert iterations_done(last_checkpoint(SETTINGS, tmp_path)) == goes_on_after
    assert len(curve(tmp_path)) == stopped_in
    calls: list[int] = []
    graph = pretrain(SETTINGS, tmp_path, lambda done, *_: calls.append(done))
    assert calls == list(range(goes_on_after + 1, ITERATIONS + 1))
    assert_same_run(tmp_path, whole)
    finished = pretrain(SETTINGS, whole, stop_after(1))
    for name, tensor in finished.actor.state_dict().items():
        assert torch.equal(tensor, graph.actor.state_dict()[name]), name


def test_the_time_goes_on_and_never_back(whole, tmp_path):
    interrupt(tmp_path, 5)
    before = curve_mark(last_checkpoint(SETTINGS, tmp_path)).wall_s
    pretrain(SETTINGS, tmp_path)
    with open(tmp_path / "curve.csv", newline="") as stream:
        seconds = [float(row["wall_s"]) for row in csv.DictReader(stream)]
    assert seconds == sorted(seconds)
    assert seconds[3] == pytest.approx(before, rel=1e-5) and seconds[4] > before


def test_tensorboard_shows_every_iteration_once(tmp_path):
    interrupt(tmp_path, 5)
    pretrain(SETTINGS, tmp_path)
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    steps = [event.step for event in board.Scalars("reward_per_step")]
    assert steps == [16 * 8 * done for done in range(1, ITERATIONS + 1)]


def test_half_a_row_of_a_killed_run_is_cut_off(whole, tmp_path):
    interrupt(tmp_path, 3)
    with open(tmp_path / "curve.csv", "a") as stream:
        stream.write("512,0.3")
    pretrain(SETTINGS, tmp_path)
    assert_same_run(tmp_path, whole)


def test_a_kill_while_the_checkpoint_is_written_leaves_the_one_before(whole, tmp_path, monkeypatch):
    saved: list[Path] = []

    def killed(path: str, target: Path) -> None:
        saved.extend([Path(target)] * (target.name == CHECKPOINT_FILE))
        if len(saved) == 2:
            raise Stop
        os.rename(path, target)

    monkeypatch.setattr(policy.whole_files, "os", SimpleNamespace(**{**vars(os), "replace": killed}))
    with pytest.raises(Stop):
        pretrain(SETTINGS, tmp_path)
    monkeypatch.undo()
    assert iterations_done(last_checkpoint(SETTINGS, tmp_path)) == 2
    pretrain(SETTINGS, tmp_path)
    assert_same_run(tmp_path, whole)


def test_a_process_killed_at_any_moment_goes_on(whole, tmp_path):
    program = (
        "import sys; from pathlib import Path; import tests.sim.test_pretrain_resume as run;"
        "run.pretrain(run.SETTINGS, Path(sys.argv[1]))"
    )
    # However busy the machine: where the run is faster than the kill, a finished run is what must be left alone.
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdout=subprocess.DEVNULL)
    moment = random.uniform(0.0, 0.4)
    while process.poll() is None and not (tmp_path / "trainer.safetensors").exists():
        time.sleep(0.002)
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    assert process.wait() in (-signal.SIGKILL, 0)
    pretrain(SETTINGS, tmp_path)
    assert_same_run(tmp_path, whole)


def test_a_finished_run_is_left_as_it_is(whole):
    before = {path: path.stat().st_mtime_ns for path in whole.glob("*.*") if path.name != "settings.json"}
    pretrain(SETTINGS, whole, stop_after(1))
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_run_may_be_made_longer(whole, tmp_path):
    pretrain(dataclasses.replace(SETTINGS, steps=16 * 8 * 5), tmp_path)
    pretrain(SETTINGS, tmp_path)
    assert_same_run(tmp_path, whole)
    assert json.loads((tmp_path / "settings.json").read_text())["steps"] == SETTINGS.steps


def test_a_run_may_end_at_its_last_checkpoint(tmp_path):
    shorter = dataclasses.replace(SETTINGS, steps=16 * 8 * 4)
    planned, cut = tmp_path / "planned", tmp_path / "cut"
    pretrain(shorter, planned)
    interrupt(cut, 5)
    assert len(curve(cut)) == 5
    policy = pretrain(shorter, cut)
    assert_same_run(cut, planned)
    assert torch.equal(next(policy.actor.parameters()), next(pretrain(shorter, planned).actor.parameters()))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (dataclasses.replace(SETTINGS, gamma=0.98), "gamma = 0.98"),
        (dataclasses.replace(SETTINGS, steps=16 * 8 * 6), "at least the 896 steps that are done"),
        (dataclasses.replace(SETTINGS, task=dataclasses.replace(SETTINGS.task, seed=5)), "task.seed = 5"),
        (dataclasses.replace(SETTINGS, task=dataclasses.replace(SETTINGS.task, terrain=None)), "task.terrain = None"),
    ],
)
def test_a_folder_with_other_settings_is_refused_by_name(whole, changed, named):
    before = (whole / "settings.json").read_text()
    with pytest.raises(PretrainFolderError) as refusal:
        pretrain(changed, whole)
    assert named in str(refusal.value)
    assert (whole / "settings.json").read_text() == before


def test_another_version_of_the_checkpoint_is_refused(whole, tmp_path):
    state = load_trainer_state(whole / "trainer.safetensors")
    record = {**state.record, "checkpoint_format": CHECKPOINT_FORMAT + 1}
    policy.trainer_state.save_trainer_state(
        tmp_path / "trainer.safetensors", policy.trainer_state.TrainerState(state.tensors, record)
    )
    with pytest.raises(PretrainFolderError, match=f"checkpoint format {CHECKPOINT_FORMAT}.*{CHECKPOINT_FORMAT + 1}"):
        pretrain(SETTINGS, tmp_path)


def test_a_checkpoint_of_the_time_before_versions_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"actor.mlp.0.weight": torch.zeros(1)}, str(tmp_path / "trainer.safetensors"), {"iteration": "1"})
    with pytest.raises(PretrainFolderError, match="another folder"):
        pretrain(SETTINGS, tmp_path)


def test_a_curve_that_lost_rows_is_refused(tmp_path):
    interrupt(tmp_path, 3)
    os.truncate(tmp_path / "curve.csv", 100)
    with pytest.raises(CurveError, match="bytes"):
        pretrain(SETTINGS, tmp_path)


class WithoutSnapshot:
    """An engine as Isaac Gym's: its state can not be told."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.num_envs, self.physics_dt_s = engine.num_envs, engine.physics_dt_s
        self.set_parameters, self.step, self.state = engine.set_parameters, engine.step, engine.state
        self.reset, self.push = engine.reset, engine.push


def test_an_engine_that_can_not_tell_its_state_trains_but_is_not_resumed(whole, tmp_path, monkeypatch):
    make = sim.pretrain.make_engine
    monkeypatch.setattr(sim.pretrain, "make_engine", lambda *asked: WithoutSnapshot(make(*asked)))
    interrupt(tmp_path, 3)
    with pytest.raises(PretrainFolderError, match="engine whose state"):
        pretrain(SETTINGS, tmp_path)
    pretrain(SETTINGS, tmp_path / "again")
    assert curve(tmp_path / "again") == curve(whole)
    pretrain(SETTINGS, tmp_path / "again", stop_after(1))  # finished: there is nothing to go on with


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_any_number_of_engine_threads_is_the_same_run(whole, tmp_path, monkeypatch, threads):
    monkeypatch.setattr(sim.pretrain, "make_engine", functools.partial(_engine_with, threads))
    pretrain(SETTINGS, tmp_path)
    assert_same_run(tmp_path, whole)


def _engine_with(threads, choice, robot, num_envs, terrain):
    return MujocoEngine(robot, num_envs, threads, terrain)


@pytest.mark.slow
def test_any_number_of_torch_threads_is_the_same_run(tmp_path):
    """With as many robots as torch needs to share its work out: 32768 values an operation."""
    for threads in (1, 2, 3):
        pretrain(dataclasses.replace(settings_of(1, 2, 128), threads=threads), tmp_path / str(threads))
    assert_same_run(tmp_path / "1", tmp_path / "2")
    assert_same_run(tmp_path / "1", tmp_path / "3")


def test_an_engine_continues_another_ones_motion():
    robot = load_robot()
    first, second = MujocoEngine(robot, 3), MujocoEngine(robot, 3)
    target = torch.tensor(robot.stand_position, dtype=torch.float32).repeat(3, 1)
    rows, upright = torch.arange(3), torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(3, 1)
    first.reset(rows, torch.tensor([0.0, 0.0, 0.3]).repeat(3, 1), upright, target)
    first.step(target + 0.1, 40)
    second.restore(first.snapshot())
    for steps in (0, 1, 37):
        if steps:
            first.step(target - 0.1, steps)
            second.step(target - 0.1, steps)
        one, other = first.state(), second.state()
        for field in dataclasses.fields(one):
            assert torch.equal(getattr(one, field.name), getattr(other, field.name)), (steps, field.name)


def test_the_settings_are_those_of_the_run(whole):
    assert json.loads((whole / "settings.json").read_text())["engine"]["name"] == EngineChoice().name
