"""A run that begins with an earlier one: its networks come over, the lineage says so, and nothing else is mixed up."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from policy.bundle import read_bundle
from sim.earlier_run import EarlierRunError, read_earlier_run
from sim.ppo_runner import PpoRunner
from sim.pretrain import pretrain
from sim.pretrain_checkpoint import BUNDLE_FILE, CHECKPOINT_FILE, SETTINGS_FILE, PretrainFolderError
from sim.pretrain_command import train_bundle
from sim.pretrain_settings import PretrainSettings
from sim.velocity_settings import VelocityTaskSettings

EASY = PretrainSettings(
    steps=8 * 4 * 2,
    steps_per_iteration=4,
    actor_hidden=(8,),
    critic_hidden=(8,),
    initial_std=0.5,
    epochs=1,
    minibatches=1,
    threads=1,
    task=VelocityTaskSettings(num_envs=8),
)
# Another seed and another standard deviation: what comes over is the earlier run's.
HARD = replace(EASY, initial_std=0.9, begin_with_trot=True, task=replace(EASY.task, seed=7))


class Looked(Exception):
    """Raised instead of learning."""


@pytest.fixture(scope="module")
def easy(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("easy")
    train_bundle(EASY, out, "go1 sim train", film=False)
    return out


def test_actor_and_critic_come_over(easy, tmp_path, monkeypatch):
    found = {}

    def look(runner: PpoRunner, iterations: int, init_at_random_ep_len: bool) -> None:
        for name, model in (("actor", runner.alg.actor), ("critic", runner.alg.critic)):
            found.update({f"{name}.{key}": value.clone() for key, value in model.state_dict().items()})
        raise Looked

    monkeypatch.setattr(PpoRunner, "learn", look)
    with pytest.raises(Looked):
        train_bundle(HARD, tmp_path / "hard", "go1 sim train", film=False, begin_with=easy)
    before = load_file(str(easy / CHECKPOINT_FILE))
    assert {"actor.mlp.0.weight", "actor.distribution.log_std_param", "critic.mlp.2.bias"} <= found.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_a_gait_begins_with_a_velocity_policy_that_heeds_no_gait(easy, tmp_path, monkeypatch):
    found = {}

    def look(runner: PpoRunner, iterations: int, init_at_random_ep_len: bool) -> None:
        found["actor"] = runner.alg.actor.state_dict()["mlp.0.weight"]
        found["critic"] = runner.alg.critic.state_dict()["mlp.0.weight"]
        raise Looked

    monkeypatch.setattr(PpoRunner, "learn", look)
    with pytest.raises(Looked):
        train_bundle(replace(HARD, policy="gait"), tmp_path / "gait", "go1 sim train", film=False, begin_with=easy)
    before = load_file(str(easy / CHECKPOINT_FILE))
    for name, layer in found.items():
        old = before[f"{name}.mlp.0.weight"]
        # gravity 3, angular velocity 3, three velocities; then the gait's three commands, and all the rest
        torch.testing.assert_close(layer[:, :9], old[:, :9])
        assert layer[:, 9:12].abs().max() == 0.0
        torch.testing.assert_close(layer[:, 12:], old[:, 9:])
    monkeypatch.undo()
    gait = tmp_path / "told"
    train_bundle(replace(EASY, policy="gait"), gait, "go1 sim train", film=False)
    with pytest.raises(EarlierRunError, match="'velocity'"):
        read_earlier_run(gait).continued_by(EASY)


def test_the_run_names_the_earlier_one_and_goes_on_with_it_only(easy, tmp_path):
    out = tmp_path / "hard"
    train_bundle(HARD, out, "go1 sim train", film=False, begin_with=easy)
    sha256 = read_bundle(easy / BUNDLE_FILE).sha256
    assert read_bundle(out / BUNDLE_FILE).lineage.parents == (sha256,)
    assert json.loads((out / SETTINGS_FILE).read_text())["begin_with_run"] == sha256
    before = load_file(str(out / CHECKPOINT_FILE))
    train_bundle(HARD, out, "go1 sim train", film=False, begin_with=easy)  # finished before
    after = load_file(str(out / CHECKPOINT_FILE))
    assert all(torch.equal(before[name], after[name]) for name in before)
    with pytest.raises(PretrainFolderError, match="begin_with_run"):
        train_bundle(replace(HARD, begin_with_trot=False), out, "go1 sim train", film=False)


def test_settings_that_name_a_run_do_not_begin_without_it(easy, tmp_path):
    """They used to begin with the trot, or with nothing, and to say otherwise in settings.json."""
    with pytest.raises(EarlierRunError, match="begin_with_run"):
        pretrain(replace(HARD, begin_with_run="ab" * 32), tmp_path)
    with pytest.raises(EarlierRunError, match="begin_with_run"):
        pretrain(HARD, tmp_path / "other", earlier=read_earlier_run(easy))


def test_another_network_is_refused_by_its_name(easy):
    with pytest.raises(EarlierRunError, match="critic_hidden"):
        read_earlier_run(easy).continued_by(replace(HARD, critic_hidden=(8, 8)))


@pytest.mark.parametrize("missing", [BUNDLE_FILE, CHECKPOINT_FILE])
def test_a_run_that_is_not_there_is_refused(easy, tmp_path, missing):
    shutil.copytree(easy, tmp_path / "run")
    (tmp_path / "run" / missing).unlink()
    with pytest.raises(EarlierRunError, match=missing):
        read_earlier_run(tmp_path / "run")


def test_a_run_that_has_not_ended_is_refused(easy, tmp_path):
    """One that was trained for longer after its bundle was sealed has a checkpoint of another policy."""

    def stop(done: int, total: int, row: dict[str, float]) -> None:
        if done == 2:
            raise Looked

    with pytest.raises(Looked):
        train_bundle(replace(EASY, steps=8 * 4 * 3, save_every=1), tmp_path, "go1 sim train", stop, film=False)
    shutil.copy(easy / BUNDLE_FILE, tmp_path)
    with pytest.raises(EarlierRunError, match="of 3"):
        read_earlier_run(tmp_path)
