"""Offline refinement from a real log of the twin: what is sealed, what is said about it, and what is refused."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import deploy.host.refine as refine_module
from deploy.host.refine import RefineError, Refinement, refine
from deploy.host.refine_outputs import clone_path, report_path, trainer_state_path
from deploy.host.refine_settings import RefineSettings
from offline_data.dataset import Dataset
from policy.bundle import Lineage, read_bundle, verify_bundle
from policy.export import export_bundle, load_graph
from policy.graph import PolicyGraph
from policy.networks import GaussianActor, ValueNetwork
from policy.trainer_state import load_trainer_state, unpack_module
from policy.transitions import from_columns
from policy.uni_o4.candidates import Candidate, Improvement
from policy.uni_o4.cloning import CloningSettings
from policy.uni_o4.evaluation import Interval, PolicyScore
from robot_configs.robot import load_robot
from tests.deploy.host.conftest import improvement, tiny_refinement


@pytest.fixture(scope="module")
def refined(dataset, shipped, tmp_path_factory) -> tuple[Path, Refinement]:
    out = tmp_path_factory.mktemp("refined") / "refined.go1policy"
    return out, refine(dataset, shipped, out, tiny_refinement(), command="go1 refine in a test")


def assert_same_weights(first: PolicyGraph, second: PolicyGraph) -> None:
    one, two = first.actor.state_dict(), second.actor.state_dict()
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, two[name]), name


def test_the_result_is_a_sealed_policy_that_verifies(refined, shipped):
    out, result = refined
    sealed = read_bundle(out)
    assert sealed.sha256 == result.bundle.sha256
    assert sealed.contract == read_bundle(shipped).contract
    report = verify_bundle(sealed, load_robot())
    assert report.sequences >= 64


def test_the_lineage_names_policy_data_and_how(refined, dataset, shipped):
    parent, lineage = read_bundle(shipped), refined[1].bundle.lineage
    assert lineage.stage == "refine"
    assert lineage.parents == (parent.sha256,)
    assert lineage.data == (Dataset.open(dataset).sha256,)
    assert (lineage.seed, lineage.command) == (0, "go1 refine in a test")
    assert refined[1].bundle.version == parent.version + 1


def test_the_report_lies_beside_the_bundle(refined, dataset):
    out, result = refined
    report = json.loads(report_path(out).read_text())
    assert report["datasets"] == [Dataset.open(dataset).sha256]
    assert report["transitions"] == 600
    assert report["falls"] == 0
    assert report["candidates"][0]["name"] == "start"
    assert report["candidates"][0]["gain_interval"] == [0.0, 0.0]
    assert len(report["candidates"]) == 3
    assert report["settings"]["dynamics"]["members"] == 2
    assert report["accepted"] == result.accepted == (report["best"] != "start")
    assert (report["seed"], report["bundle_sha256"]) == (0, result.bundle.sha256)
    assert report["parent_sha256"] == result.bundle.lineage.parents[0]
    assert report["code_version"] == result.bundle.lineage.code_version


def test_the_trainer_state_continues_where_the_bundle_stops(refined):
    out, result = refined
    state = load_trainer_state(trainer_state_path(out))
    assert state.record["bundle_sha256"] == result.bundle.sha256
    assert state.record["reward_scale"] > 0
    value = ValueNetwork(result.bundle.contract.observation_dim, state.record["value_hidden_dims"])
    unpack_module("value", value, state.tensors)
    assert value.hidden_dims == (32,)


def test_where_nothing_is_better_the_policy_stays_as_it_was(dataset, shipped, tmp_path):
    """At a learning rate of zero every candidate is the start: none may be promoted."""
    settings = tiny_refinement(improvement=improvement(learning_rate=0.0))
    result = refine(dataset, shipped, tmp_path / "same.go1policy", settings)
    assert not result.accepted
    assert result.report["best"] == "start"
    assert_same_weights(load_graph(result.bundle), load_graph(read_bundle(shipped)))


def test_the_best_candidate_is_the_one_that_is_sealed(dataset, shipped, tmp_path, monkeypatch):
    """Of three candidates that passed or failed the gate, the highest score among those that passed."""
    chosen = {}

    def three_candidates(actor, value, world, transitions, scale, *rest) -> Improvement:
        candidates = []
        for name, score, lower in (
            ("start", 0.0, 0.0),
            ("doubtful", 9.0, -1.0),
            ("better", 5.0, 1.0),
            ("good", 4.0, 2.0),
        ):
            other = GaussianActor(actor.mean_network[0].in_features, 12, (8,), 0.3)
            chosen[name] = other
            scored = PolicyScore(torch.zeros(0), Interval(score, score, score))
            candidates.append(Candidate(name, other, 0.1, scored, Interval(score, lower, 10.0), None))
        return Improvement(tuple(candidates), value)

    monkeypatch.setattr(refine_module, "improve_in_ensemble", three_candidates)
    result = refine(dataset, shipped, tmp_path / "chosen.go1policy", tiny_refinement())
    assert result.accepted
    assert result.report["best"] == "better"
    assert_same_weights(load_graph(result.bundle), PolicyGraph(result.bundle.contract, chosen["better"]))
    assert any("better" in note for note in result.bundle.lineage.notes)


def test_a_policy_under_another_contract_is_refused(dataset, shipped, tmp_path):
    graph = load_graph(read_bundle(shipped))
    contract = dataclasses.replace(graph.contract, action_scale=(0.3,) * 12)
    foreign = tmp_path / "foreign.go1policy"
    export_bundle(
        PolicyGraph(contract, graph.actor), foreign, Lineage("pretrain", (), (), "test", 0, "test"), 1, load_robot()
    )
    out = tmp_path / "out.go1policy"
    with pytest.raises(RefineError, match="a policy under the contract of the data set") as refusal:
        refine(dataset, foreign, out, tiny_refinement())
    assert contract.sha256[:12] in str(refusal.value)
    assert not out.exists()
    assert not trainer_state_path(out).exists()


def test_without_a_start_it_is_the_cloned_behaviour(dataset, tmp_path):
    settings = tiny_refinement(improvement=improvement(learning_rate=0.0))
    out = tmp_path / "refined.go1policy"
    result = refine(dataset, None, out, settings)
    parent = read_bundle(clone_path(out))
    verify_bundle(parent, load_robot())
    assert (parent.lineage.stage, parent.lineage.parents, parent.version) == ("clone", (), 1)
    assert (result.bundle.lineage.parents, result.bundle.version) == ((parent.sha256,), 2)
    assert parent.lineage.data == result.bundle.lineage.data == (Dataset.open(dataset).sha256,)
    clone = load_graph(parent)
    assert_same_weights(clone, load_graph(result.bundle))
    assert clone.actor.hidden_dims == (32,)
    logged = from_columns(Dataset.open(dataset), clone)
    torch.manual_seed(0)
    unlearned = GaussianActor(clone.contract.observation_dim, 12, (32,), settings.cloning.initial_std)
    with torch.no_grad():
        cloned, chance = (
            float(actor.log_prob(logged.observation, logged.action).mean()) for actor in (clone.actor, unlearned)
        )
    assert cloned > chance + 3.0
    with torch.no_grad():
        error = (clone.actor(logged.observation)[0] - logged.action).square().mean()
    assert float(error) < float(logged.action.var()), "better than always doing the average thing"


def test_without_a_start_the_distance_counts_from_the_clone(dataset, tmp_path):
    """These logs know who acted; the clone is some way from that, and its budget must not be spent before it moves."""
    result = refine(dataset, None, tmp_path / "clone.go1policy", tiny_refinement())
    assert from_columns(Dataset.open(dataset), load_graph(result.bundle)).behavior_is_known
    assert result.report["candidates"][0]["kl"] == pytest.approx(0.0, abs=1e-6)


def test_the_seed_decides_the_result(dataset, tmp_path):
    settings = tiny_refinement()
    first, again = (refine(dataset, None, tmp_path / f"{i}.go1policy", settings).bundle for i in range(2))
    assert_same_weights(load_graph(first), load_graph(again))
    other = refine(dataset, None, tmp_path / "other.go1policy", dataclasses.replace(settings, seed=1)).bundle
    weights = [load_graph(bundle).actor.state_dict()["mean_network.0.weight"] for bundle in (first, other)]
    assert not torch.equal(*weights)


def test_the_published_method_seals_a_policy_too(dataset, shipped, tmp_path):
    out = tmp_path / "published.go1policy"
    result = refine(dataset, shipped, out, tiny_refinement(method="uni_o4"))
    verify_bundle(read_bundle(out), load_robot())
    assert result.report["method"] == "uni_o4"
    assert [candidate["name"] for candidate in result.report["candidates"]] == ["start", "member 1", "member 2"]
    assert np.isfinite([candidate["score"] for candidate in result.report["candidates"]]).all()


def test_the_published_method_clones_the_logs_and_keeps_the_given_policy_unless_a_clone_is_better(
    dataset, shipped, tmp_path, monkeypatch
):
    """Its members come from the logs, a given policy is what they are measured against, and what stays if none wins."""
    seen: dict[str, Any] = {}

    def none_wins(members, critics, world, transitions, settings, generator, progress, start, keeper) -> Improvement:
        seen.update(members=members, start=start)
        scored = PolicyScore(torch.zeros(0), Interval(1.0, 1.0, 1.0))
        worse = Candidate("member 1", members[0], 0.1, scored, Interval(-1.0, -2.0, 0.0), None)
        return Improvement(
            (Candidate("start", start, 0.0, scored, Interval(0.0, 0.0, 0.0), None), worse), critics.value
        )

    monkeypatch.setattr(refine_module, "improve_published", none_wins)
    result = refine(dataset, shipped, tmp_path / "published.go1policy", tiny_refinement(method="uni_o4"))
    assert len(seen["members"]) == 2 and {member.hidden_dims for member in seen["members"]} == {(32,)}
    assert_same_weights(load_graph(read_bundle(shipped)), PolicyGraph(result.bundle.contract, seen["start"]))
    assert_same_weights(load_graph(result.bundle), load_graph(read_bundle(shipped)))
    assert result.bundle.lineage.parents == (read_bundle(shipped).sha256,)


def test_the_published_method_has_the_sizes_of_its_paper():
    """Lei et al. 2024: four clones, Q of 2 x 1024, V of 3 x 512; its Go1 actor 512-256-128."""
    settings = RefineSettings(method="uni_o4")
    assert (settings.clones.members, settings.clones.hidden_dims) == (4, (512, 256, 128))
    assert settings.critics.action_value_dims == (1024, 1024)
    assert settings.critics.value_dims == (512, 512, 512)
    assert RefineSettings().clones == CloningSettings()


def test_without_a_start_the_published_method_improves_every_clone(dataset, tmp_path):
    out = tmp_path / "published.go1policy"
    result = refine(dataset, None, out, tiny_refinement(method="uni_o4"))
    assert [candidate["name"] for candidate in result.report["candidates"]] == ["start", "member 1", "member 2"]
    assert result.bundle.lineage.parents == (read_bundle(clone_path(out)).sha256,)
