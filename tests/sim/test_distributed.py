"""Several processes train one policy: what they share, and that together they are one run."""

import math
import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from policy.bundle import read_bundle, verify_bundle
from policy.trainer_state import load_trainer_state
from robot_configs.robot import load_robot
from sim.distributed import ALONE, DistributedError, Processes, joined_processes
from sim.pretrain import pretrain
from sim.pretrain_checkpoint import BUNDLE_FILE, CHECKPOINT_FILE, PretrainFolderError, open_folder
from sim.pretrain_command import main
from sim.velocity_settings import VelocityTaskSettings
from tests.sim.distributed_worker import STEPS_PER_ITERATION, settings_of
from tests.sim.test_pretrain_resume import assert_same_run, curve

ROOT = Path(__file__).resolve().parents[2]
ROBOTS = 16
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def test_without_torchrun_a_process_is_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined_processes() as processes:
        assert processes == ALONE and processes.writes


def test_robots_are_dealt_out_and_seeds_differ():
    task = VelocityTaskSettings(num_envs=12, seed=7)
    shares = [Processes(rank, 3).share_of(task) for rank in range(3)]
    assert [share.num_envs for share in shares] == [4, 4, 4]
    assert shares[0].seed == 7 and len({share.seed for share in shares}) == 3
    neighbours = [Processes(rank, 3).share_of(VelocityTaskSettings(num_envs=12, seed=8)).seed for rank in range(3)]
    assert not {share.seed for share in shares} & set(neighbours)
    assert ALONE.share_of(task) == task


def test_robots_that_can_not_be_dealt_out_evenly_are_refused():
    with pytest.raises(DistributedError, match="divide 10 robots"):
        Processes(0, 3).share_of(VelocityTaskSettings(num_envs=10))


def test_alone_nothing_is_exchanged():
    assert ALONE.mean({"reward": 2.0}) == {"reward": 2.0}
    tensors = {"task.command": torch.ones(2)}
    assert ALONE.gather(tensors) == tensors and ALONE.name_of("task") == "task"


def test_the_mean_is_over_those_that_have_a_value(monkeypatch):
    rows = [{"reward": 1.0, "fall": 4.0}, {"reward": 3.0}]

    def all_gather(found: list, own: dict) -> None:
        found[:] = rows

    monkeypatch.setattr(torch.distributed, "all_gather_object", all_gather)
    assert Processes(0, 2).mean(rows[0]) == {"reward": 2.0, "fall": 4.0}


def test_each_process_finds_its_own_part_of_what_was_gathered(monkeypatch):
    parts = [{"task.command": torch.tensor([float(rank)])} for rank in range(3)]

    def gather(own: dict, found: list) -> None:
        found[:] = parts

    monkeypatch.setattr(torch.distributed, "gather_object", gather)
    gathered = Processes(0, 3).gather(parts[0])
    for rank in range(3):
        assert gathered[Processes(rank, 3).name_of("task.command")].tolist() == [float(rank)]


def test_another_number_of_processes_does_not_go_on(tmp_path):
    class Stop(Exception):
        pass

    def stop(done: int, *_) -> None:
        if done == 3:
            raise Stop

    settings = settings_of(1, 4, ROBOTS)
    with pytest.raises(Stop):
        pretrain(settings, tmp_path, stop)
    with pytest.raises(PretrainFolderError, match="processes: 1.*2 to go on"):
        open_folder(settings, tmp_path, Processes(1, 2))


def torchrun(out: Path, seed: int, iterations: int, robots: int = ROBOTS, stop_after: int = 0) -> int:
    """Two processes of `distributed_worker`; returns the exit status."""
    words = [str(out), *(str(number) for number in (seed, iterations, robots, stop_after))]
    command = [*TORCHRUN, "tests/sim/distributed_worker.py", *words]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, check=False).returncode


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    """A run of two processes."""
    out = tmp_path_factory.mktemp("two") / "run"
    assert torchrun(out, seed=1, iterations=5) == 0
    return out


@pytest.mark.slow
def test_every_step_has_the_same_gradients_and_weights_in_both_processes(two):
    first, second = (
        two.with_name(f"{two.name}_steps_of_process{rank}.txt").read_text().splitlines() for rank in range(2)
    )
    assert first == second
    settings = settings_of(1, 5, ROBOTS)
    assert len(first) == 5 * settings.epochs * settings.minibatches
    assert len(first) == len(set(first))  # every step is a step


@pytest.mark.slow
def test_the_processes_have_robots_of_their_own_and_one_folder(two):
    checkpoint = load_trainer_state(two / "trainer.safetensors")
    own, others = checkpoint.tensors["task.command"], checkpoint.tensors["process1.task.command"]
    assert own.shape == others.shape == (ROBOTS // 2, 3) and not torch.equal(own, others)
    assert [float(row["steps"]) for row in curve(two)] == [ROBOTS * STEPS_PER_ITERATION * done for done in range(1, 6)]


@pytest.mark.slow
def test_two_processes_go_on_together_where_they_were_stopped(two, tmp_path):
    assert torchrun(tmp_path / "run", seed=1, iterations=5, stop_after=3) != 0
    assert len(curve(tmp_path / "run")) == 3
    assert torchrun(tmp_path / "run", seed=1, iterations=5) == 0
    assert_same_run(tmp_path / "run", two)


@pytest.mark.slow
def test_the_command_of_two_processes_begins_with_a_run_and_seals_one_bundle(tmp_path):
    """The module as a person starts it, to its end, and once more; an iteration each."""
    first, second = tmp_path / "first", tmp_path / "second"
    one_iteration = str(24 * 1024)
    main(["--out", str(first), "--steps", one_iteration, "--no-film"])
    words = ["--out", str(second), "--steps", one_iteration, "--seed", "2", "--engine", "mujoco", "--no-film"]
    command = [*TORCHRUN, "-m", "sim.pretrain", *words, "--begin-with", str(first)]
    ended = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    bundle = read_bundle(second / BUNDLE_FILE)
    assert ended.stdout.count(bundle.sha256) == ended.stdout.count("curve.png") == 1, "one of them speaks"
    parent = read_bundle(first / BUNDLE_FILE).sha256
    assert (bundle.lineage.parents, bundle.lineage.seed) == ((parent,), 2)
    assert bundle.lineage.command.startswith("python -m sim.pretrain --out") and str(first) in bundle.lineage.command
    assert verify_bundle(bundle, load_robot()).sequences >= 64
    record = load_trainer_state(second / CHECKPOINT_FILE).record
    assert record["processes"] == 2 and record["settings"]["begin_with_run"] == parent
    again = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert again.returncode == 0 and again.stdout.count("finished before; nothing to do") == 1, again.stderr


@pytest.mark.slow
def test_two_processes_learn_as_one_with_twice_the_robots(tmp_path):
    """Mean reward of the last third of the iterations, within the spread that the seed alone makes."""
    iterations, robots, seeds = 24, 128, (1, 2, 3)

    def reward(out: Path, first: int, last: int) -> float:
        return statistics.mean(float(row["reward_per_step"]) for row in curve(out)[first:last])

    for seed in seeds:
        pretrain(settings_of(seed, iterations, robots), tmp_path / f"one{seed}")
        assert torchrun(tmp_path / f"two{seed}", seed, iterations, robots) == 0
    runs = {name: [tmp_path / f"{name}{seed}" for seed in seeds] for name in ("one", "two")}
    began = {name: statistics.mean(reward(out, 1, 6) for out in runs[name]) for name in runs}
    learned = {name: [reward(out, 16, 24) for out in runs[name]] for name in runs}
    spread = math.sqrt(statistics.mean(statistics.variance(learned[name]) for name in runs))
    print(f"reward a step in iterations 2 to 6 {began}, 17 to 24 {learned}, spread of a seed {spread:.4f}")
    error = math.sqrt(2.0 / len(seeds)) * spread  # of the difference of two means
    for name in runs:
        assert statistics.mean(learned[name]) - began[name] > 4.0 * error, "else there is no learning to compare"
    assert abs(statistics.mean(learned["two"]) - statistics.mean(learned["one"])) <= 4.0 * error
