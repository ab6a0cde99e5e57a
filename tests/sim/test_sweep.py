"""A sweep on a local Ray: processes of their own, going on where it stopped, and failures that stop nobody else."""

import dataclasses
import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import sim.pretrain_command
import sim.sweep
from cli.main import main
from policy.bundle import Bundle, read_bundle
from policy.export import load_graph
from policy.graph import PolicyGraph
from sim.earlier_run import EarlierRunError
from sim.pretrain import pretrain
from sim.pretrain_command import train_bundle
from sim.sweep import SweepError, SweepResources, checked_cpus, run_sweep
from sim.sweep_plan import SweepPlan, Trial
from sim.sweep_trial import TrialError, TrialRecord, json_settings, read_record, run_trial, write_record

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="a sweep needs ray: pip install '.[sweep]'")

ONE_CORE = SweepResources(cpus_per_trial=1)
TINY = (
    ("task.num_envs", (8,)),
    ("steps_per_iteration", (8,)),
    ("task.episode_s", (0.1,)),
    ("actor_hidden", ([8],)),
    ("critic_hidden", ([8],)),
    ("minibatches", (1,)),
    ("save_every", (1,)),
    ("threads", (1,)),
)


def tiny(*varied, seeds=(1,), iterations: int = 2) -> tuple[Trial, ...]:
    return SweepPlan(seeds=seeds, varied=(*TINY, *varied), steps=8 * 8 * iterations).trials()


def finished(trial: Trial) -> TrialRecord:
    return TrialRecord("finished", json_settings(trial), "v1", bundle_sha256="ab")


@needs_ray
@pytest.mark.slow
def test_trials_that_fail_or_die_are_reported_and_the_others_end(tmp_path):
    """What a trial does is a stand-in here; it tells what process it was."""

    def work(trial: Trial, folder: Path, command: str, film: bool) -> None:
        import signal

        from sim.sweep_trial import TrialRecord, json_settings, write_record

        if trial.seed == 2:
            raise ValueError("a number\nthat is none")
        if trial.seed == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        write_record(folder, TrialRecord("finished", json_settings(trial), command, bundle_sha256=str(os.getpid())))

    trials = tiny(seeds=(2, 3, 1))
    told: list[tuple[int, int]] = []
    records = run_sweep(trials, tmp_path, ONE_CORE, "typed", lambda *call: told.append(call), work)
    assert [record.status for record in records] == ["failed", "failed", "finished"]
    assert records[0].failure == "ValueError: a number that is none"
    assert "raise ValueError" in (tmp_path / trials[0].name / "failure.txt").read_text()
    assert "died" in (records[1].failure or "")
    assert records[2].code_version == "typed"
    assert records[2].bundle_sha256 != str(os.getpid()), "a process of its own"
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]

    def second_work(trial: Trial, folder: Path, command: str, film: bool) -> None:
        from sim.sweep_trial import TrialRecord, json_settings, write_record

        assert trial.seed in (2, 3), "what is finished is not run again"
        write_record(folder, TrialRecord("finished", json_settings(trial), "later"))

    again = run_sweep(trials, tmp_path, ONE_CORE, "typed", work=second_work)
    assert [record.code_version for record in again] == ["later", "later", "typed"]


class FakeRay:
    """Two machines, one of which has a GPU but few cores, and one that is gone."""

    def nodes(self) -> list[dict[str, Any]]:
        machines = [({"CPU": 2.0, "GPU": 1.0}, True), ({"CPU": 8.0, "memory": 1e9}, True), ({"CPU": 64.0}, False)]
        return [{"Resources": resources, "Alive": alive} for resources, alive in machines]


@pytest.mark.parametrize(
    ("resources", "cpus"),
    [
        (SweepResources(), 8.0),
        (SweepResources(cpus_per_trial=8), 8.0),
        (SweepResources(cpus_per_trial=2, gpus_per_trial=0.5), 2.0),
    ],
)
def test_what_a_trial_asks_for_is_on_one_machine(resources, cpus):
    assert checked_cpus(FakeRay(), resources) == cpus


@pytest.mark.parametrize(
    "resources", [SweepResources(9), SweepResources(3, gpus_per_trial=1), SweepResources(2, gpus_per_trial=2)]
)
def test_what_no_machine_has_is_refused(resources):
    """Ray itself would wait for it for ever."""
    with pytest.raises(SweepError, match="found 2 cores, 1 GPUs; 8 cores, 0 GPUs"):
        checked_cpus(FakeRay(), resources)


def test_a_finished_sweep_needs_no_ray(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    (trial,) = tiny()
    with pytest.raises(SweepError, match=r"pip install '\.\[sweep\]'"):
        run_sweep([trial], tmp_path, ONE_CORE, "")
    write_record(tmp_path / trial.name, finished(trial))
    assert run_sweep([trial], tmp_path, ONE_CORE, "") == (finished(trial),)


def test_a_folder_of_other_settings_is_found_before_anything_runs(tmp_path):
    first, second = tiny(seeds=(1, 2))
    other = dataclasses.replace(second.settings, epochs=4)
    write_record(tmp_path / second.name, finished(dataclasses.replace(second, settings=other)))
    with pytest.raises(TrialError, match="another epochs"):
        run_sweep([first, second], tmp_path, ONE_CORE, "")
    assert not (tmp_path / first.name).exists()


class Interrupted(Exception):
    """What stops a training here."""


def begin(trial: Trial, folder: Path) -> list[str]:
    """A trial that stops after the second of its three checkpoints; the lines of its curve up to there."""

    def stop(done: int, total: int, row: dict[str, float]) -> None:
        if done == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        pretrain(trial.settings, folder, stop)
    write_record(folder, TrialRecord("started", json_settings(trial), "v0"))
    return (folder / "curve.csv").read_text().splitlines()[:3]


def test_a_trial_is_a_training_of_its_own_and_goes_on_half_way(tmp_path):
    """The real thing in this process: what it leaves is what `pretrain` leaves, also after an interruption."""
    (trial,) = tiny(iterations=3)
    alone = pretrain(trial.settings, tmp_path / "alone")
    folder = tmp_path / trial.name
    begin(trial, folder)
    run_trial(trial, folder, "go1 sim sweep", film=False)
    record = read_record(trial, folder)
    assert record is not None and record.status == "finished"
    bundle = read_bundle(folder / "policy.go1policy")
    assert (bundle.sha256, bundle.lineage.seed) == (record.bundle_sha256, trial.seed)
    assert_same_actor(bundle, alone)
    assert (folder / "curve.png").stat().st_size > 1000


def assert_same_actor(bundle: Bundle, graph: PolicyGraph) -> None:
    for name, tensor in load_graph(bundle).actor.state_dict().items():
        assert tensor.equal(graph.actor.state_dict()[name]), name


@needs_ray
@pytest.mark.slow
def test_a_process_of_ray_goes_on_half_way(tmp_path):
    (trial,) = tiny(iterations=3)
    alone = pretrain(trial.settings, tmp_path / "alone")
    folder = tmp_path / trial.name
    before = begin(trial, folder)
    (record,) = run_sweep([trial], tmp_path, ONE_CORE, "go1 sim sweep", film=False)
    assert record.status == "finished", record.failure
    assert_same_actor(read_bundle(folder / "policy.go1policy"), alone)
    rows = (folder / "curve.csv").read_text().splitlines()
    assert rows[:3] == before and len(rows) == 4, "the time in them tells that they were not computed anew"


@pytest.mark.parametrize("film", [True, False])
def test_a_trial_leaves_the_pictures_that_a_run_leaves(tmp_path, monkeypatch, film):
    filmed: list[tuple[Path, Path]] = []

    def film_walk(bundle: Path, out: Path) -> str:
        filmed.append((bundle, out))
        return "walk.gif"

    monkeypatch.setattr(sim.pretrain_command, "film_walk", film_walk)
    (trial,) = tiny(iterations=1)
    run_trial(trial, tmp_path / "trial", "go1 sim sweep", film)
    assert filmed == ([(tmp_path / "trial" / "policy.go1policy", tmp_path / "trial")] if film else [])
    assert (tmp_path / "trial" / "curve.png").exists()


@pytest.fixture(scope="module")
def earlier(tmp_path_factory) -> Path:
    """A finished run of the same networks."""
    folder = tmp_path_factory.mktemp("earlier")
    (trial,) = tiny(seeds=(5,), iterations=1)
    run_trial(trial, folder, "go1 sim sweep", film=False)
    return folder


def test_a_trial_begins_with_an_earlier_run_as_a_run_of_its_own_does(earlier, tmp_path):
    """Same weights at the end, same parent; another beginning is another trial."""
    plan = SweepPlan(seeds=(2,), varied=TINY, steps=8 * 8, begin_with=earlier)
    (trial,) = plan.trials()
    (plain,) = dataclasses.replace(plan, begin_with=None).trials()
    run_trial(trial, tmp_path / trial.name, "go1 sim sweep", film=False)
    train_bundle(plain.settings, tmp_path / "alone", "go1 sim train", film=False, begin_with=earlier)
    begun, alone = (read_bundle(tmp_path / name / "policy.go1policy") for name in (trial.name, "alone"))
    assert begun.onnx_bytes == alone.onnx_bytes
    assert begun.lineage.parents == alone.lineage.parents == (read_bundle(earlier / "policy.go1policy").sha256,)
    with pytest.raises(TrialError, match="another begin_with_run"):
        run_sweep([plain], tmp_path, ONE_CORE, "")


def test_a_trial_whose_earlier_run_has_changed_since_is_refused(earlier, tmp_path):
    shutil.copytree(earlier, tmp_path / "earlier")
    (trial,) = SweepPlan(varied=TINY, steps=8 * 8, begin_with=tmp_path / "earlier").trials()
    (other,) = tiny(seeds=(6,), iterations=1)
    shutil.rmtree(tmp_path / "earlier")
    run_trial(other, tmp_path / "earlier", "go1 sim sweep", film=False)
    with pytest.raises(EarlierRunError, match="begin_with_run"):
        run_trial(trial, tmp_path / "trial", "go1 sim sweep", film=False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "begin_with_run=abc"], "a run as --begin-with RUN"),
        (["--begin-with", "no/such"], "no/such/policy.go1policy"),
        (["--plan", "PLAN", "--begin-with", "no/such"], "--plan and --begin-with"),
    ],
)
def test_a_sweep_that_can_not_begin_as_asked_is_refused(tmp_path, capsys, words, message):
    (tmp_path / "plan.yaml").write_text("seeds: [1]\n")
    words = [str(tmp_path / "plan.yaml") if word == "PLAN" else word for word in words]
    assert main(["sim", "sweep", "--out", str(tmp_path / "out"), *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_film_and_beginning_reach_the_trials(earlier, tmp_path, monkeypatch):
    """From the command line, without Ray: what would be given to it is taken down."""
    given = []

    def outcomes(trials, folders, resources, command, work, film):
        given.append((trials[0].begin_with, trials[0].settings.begin_with_run, film))
        for trial in trials:
            write_record(folders[trial.name], finished(trial))
            yield trial, None

    monkeypatch.setattr(sim.sweep, "_outcomes", outcomes)
    words = ["sim", "sweep", "--seed", "3", "--steps", "64", "--begin-with", str(earlier)]
    for path, (value,) in TINY:
        words += ["--set", f"{path}={value}"]
    assert main([*words, "--out", str(tmp_path / "one")]) == 0
    assert main([*words, "--out", str(tmp_path / "other"), "--no-film"]) == 0
    sha256 = read_bundle(earlier / "policy.go1policy").sha256
    assert given == [(earlier, sha256, True), (earlier, sha256, False)]


@needs_ray
@pytest.mark.slow
def test_a_sweep_from_the_command_line(tmp_path, capsys: pytest.CaptureFixture[str]):
    words = ["sim", "sweep", "--out", str(tmp_path), "--seed", "1", "2", "--steps", "128", "--cpus-per-trial", "1"]
    words += ["--no-film"]
    for path, (value,) in TINY:
        words += ["--set", f"{path}={value}"]
    words += ["--set", "engine.python=none.py,null", "--set", "engine.name=mujoco"]
    assert main(words) == 0
    assert "| 2 of 2 |" in capsys.readouterr().out
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.go1policy")}
    assert len(stamps) == 4
    assert main([*words, "--seed", "1", "2", "3"]) == 0
    assert "| 3 of 3 |" in capsys.readouterr().out
    for path, stamp in stamps.items():
        assert path.stat().st_mtime_ns == stamp, "what is finished is not run again"
