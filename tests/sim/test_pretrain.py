"""Pretraining, in miniature: what a run leaves behind, and that it can be repeated and read back."""

import csv
import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch

from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from policy.trainer_state import load_trainer_state
from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot
from sim.pretrain import PretrainSettings, policy_from_checkpoint, pretrain, with_deployed_std
from sim.pretrain_checkpoint import iterations_done
from sim.scripted_trot import imitate_trot
from sim.velocity_settings import VelocityTaskSettings

TINY = PretrainSettings(
    steps=16 * 8 * 2,
    steps_per_iteration=8,
    actor_hidden=(16, 8),
    critic_hidden=(16,),
    epochs=2,
    minibatches=2,
    threads=1,
    task=VelocityTaskSettings(num_envs=16, seed=4, episode_s=0.1),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[Path, PolicyGraph, list[tuple[int, int, dict[str, float]]]]:
    out = tmp_path_factory.mktemp("pretrain") / "run"
    calls: list[tuple[int, int, dict[str, float]]] = []
    graph = pretrain(TINY, out, lambda *call: calls.append(call))
    return out, graph, calls


def weights(graph: PolicyGraph) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in graph.actor.state_dict().items()}


def assert_same(first: PolicyGraph, second: PolicyGraph) -> None:
    one, two = weights(first), weights(second)
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, two[name], atol=0, rtol=0, msg=name)


def test_settings_are_written_beside_the_run(run):
    out, _, _ = run
    written = json.loads((out / "settings.json").read_text())
    assert written == json.loads(json.dumps(dataclasses.asdict(TINY)))
    assert written["task"]["seed"] == 4
    assert written["task"]["reward"]["fall"] == -10.0


def test_the_curve_has_a_row_an_iteration(run):
    out, _, calls = run
    with open(out / "curve.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["steps"]) for row in rows] == [128.0, 256.0]
    assert 0 < float(rows[0]["wall_s"]) < float(rows[1]["wall_s"])
    assert all(math.isfinite(float(row[name])) for row in rows for name in ("reward_per_step", "action_std"))
    # Episodes of 5 steps end within an iteration of 8, so that their terms are in the curve.
    assert all(math.isfinite(float(row["reward/track_linear_velocity"])) for row in rows)
    assert [(done, total) for done, total, _ in calls] == [(1, 2), (2, 2)]
    assert calls[1][2]["reward_per_step"] == pytest.approx(float(rows[1]["reward_per_step"]), rel=1e-4)


def test_no_pickle_is_left_behind(run):
    out, _, _ = run
    kinds = {path.suffix for path in out.iterdir() if path.is_file()}
    assert kinds == {".json", ".csv", ".safetensors"}


def test_the_checkpoint_holds_everything_that_goes_on(run):
    out, _, _ = run
    checkpoint = load_trainer_state(out / "trainer.safetensors")
    names = set(checkpoint.tensors)
    parts = {"actor", "critic", "optimizer", "task", "engine", "torch_generator"}
    assert {name.split(".")[0] for name in names} == parts
    assert sum(name.endswith("exp_avg") for name in names) == sum(name.endswith("exp_avg_sq") for name in names) > 8
    assert iterations_done(checkpoint) == 2
    assert checkpoint.record["curve"]["size_bytes"] == (out / "curve.csv").stat().st_size


def test_the_policy_comes_back_from_the_checkpoint(run):
    out, graph, _ = run
    assert_same(policy_from_checkpoint(out / "trainer.safetensors", TINY), graph)


def test_an_iteration_moves_the_weights(run, tmp_path):
    _, graph, _ = run
    shorter = pretrain(dataclasses.replace(TINY, steps=16 * 8), tmp_path / "shorter")
    for name, tensor in weights(graph).items():
        assert not torch.equal(weights(shorter)[name], tensor), name


def test_the_same_seed_gives_the_same_policy_and_another_another(run, tmp_path):
    _, graph, _ = run
    assert_same(pretrain(TINY, tmp_path / "again"), graph)
    other = pretrain(dataclasses.replace(TINY, task=dataclasses.replace(TINY.task, seed=5)), tmp_path / "other")
    assert not torch.equal(weights(other)["mean_network.0.weight"], weights(graph)["mean_network.0.weight"])


def test_the_deployed_std_leaves_the_mean_alone():
    torch.manual_seed(0)
    contract = velocity_contract(load_robot())
    graph = PolicyGraph(contract, GaussianActor(contract.observation_dim, contract.action_dim, (16, 8), 0.8))
    with torch.no_grad():
        graph.actor.log_std.copy_(torch.linspace(-2.0, 0.5, 12))
    observation = torch.randn(20, graph.contract.observation_dim)
    mean_before, std_before = (value.detach().clone() for value in graph.actor(observation))
    with torch.no_grad():
        mean, std = with_deployed_std(graph, 0.2).actor(observation)
    assert torch.equal(mean, mean_before)
    assert float(std[0].mean()) == pytest.approx(0.2, rel=1e-5)
    ratio = std / std_before
    torch.testing.assert_close(ratio, ratio[:1, :1].expand_as(ratio), msg="their proportions stay")


def test_training_begins_with_the_scripted_trot_where_it_is_asked_to(tmp_path, monkeypatch):
    """One iteration whose steps are too small to change anything leaves the actor that imitates the trot."""
    monkeypatch.setattr("sim.scripted_trot._UPDATES", 30)  # not a good trot, but the same one twice
    settings = dataclasses.replace(TINY, steps=16 * 8, learning_rate=1e-8, begin_with_trot=True)
    trained = pretrain(settings, tmp_path / "run")
    imitator = PolicyGraph(trained.contract.without_slew(), fresh_actor(trained)).requires_grad_(False)
    imitate_trot(imitator, load_robot(), settings.task.seed)
    for name, tensor in imitator.actor.mean_network.state_dict().items():
        torch.testing.assert_close(trained.actor.mean_network.state_dict()[name], tensor, atol=1e-4, rtol=0.0)


def fresh_actor(graph: PolicyGraph) -> GaussianActor:
    """As a run with TINY's seed makes it."""
    torch.manual_seed(TINY.task.seed)
    contract = graph.contract
    return GaussianActor(contract.observation_dim, contract.action_dim, TINY.actor_hidden, TINY.initial_std)
