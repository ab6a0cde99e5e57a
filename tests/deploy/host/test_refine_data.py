"""Refining on several data sets at once: what is learned from, what is refused, and where the distance counts from."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cli.main import main
from deploy.host.refine import refine
from deploy.host.refine_data import RefineData, RefineDataError
from offline_data.dataset import MANIFEST, Dataset, content_sha256
from offline_data.ingest import ingest
from policy.bundle import read_bundle
from policy.export import export_bundle, load_graph
from policy.transitions import TransitionsError, concatenate, from_columns
from robot_configs.robot import load_robot
from sim.collect import CollectSettings, collect_on_twin
from tests.deploy.host.conftest import tiny_refinement


@pytest.fixture(scope="module")
def second(shipped, tmp_path_factory) -> Path:
    """200 steps more, of other commands and noise."""
    folder = tmp_path_factory.mktemp("second")
    collect_on_twin(shipped, "nominal", 200, folder / "logs", 2, CollectSettings(episode_s=2.0, workers=1))
    ingest(folder / "logs", folder / "dataset")
    return folder / "dataset"


def altered(dataset: Path, folder: Path, **changed) -> Path:
    """A copy whose manifest says otherwise and is sealed anew."""
    copy = folder / "altered"
    shutil.copytree(dataset, copy)
    manifest = json.loads((copy / MANIFEST).read_text())
    manifest.update(changed)
    manifest["content_sha256"] = content_sha256(manifest)
    (copy / MANIFEST).write_text(json.dumps(manifest))
    return copy


def test_every_step_of_both_is_there_and_no_episode_runs_from_one_into_the_other(dataset, second, shipped):
    graph = load_graph(read_bundle(shipped))
    both = RefineData.open([dataset, second])
    one, two = (RefineData.open(folder).transitions(graph) for folder in (dataset, second))
    joined = both.transitions(graph)
    assert (len(one), len(two), len(joined)) == (600, 200, 800)
    assert torch.equal(joined.reward, torch.cat([one.reward, two.reward]))
    assert torch.equal(joined.observation[600:], two.observation)
    assert len(joined.episode.unique()) == len(one.episode.unique()) + len(two.episode.unique())
    assert bool(joined.episode_end[599])
    assert both.sha256s == tuple(Dataset.open(folder).sha256 for folder in (dataset, second))


def test_the_result_names_every_data_set(dataset, second, shipped, tmp_path):
    hashes = [Dataset.open(folder).sha256 for folder in (dataset, second)]
    out = tmp_path / "both.go1policy"
    result = refine([dataset, second], shipped, out, tiny_refinement())
    assert result.report["datasets"] == hashes
    assert result.report["transitions"] == 800
    assert list(read_bundle(out).lineage.data) == hashes


def test_with_several_data_sets_the_distance_counts_from_the_start(dataset, second, shipped, tmp_path):
    """A round's start did not log the rounds before it: the way it has already gone must not be charged again."""
    graph, parent = load_graph(read_bundle(shipped)), read_bundle(shipped)
    with torch.no_grad():
        graph.actor.mean_network[-1].get_parameter("bias").add_(0.1)
    moved = tmp_path / "moved.go1policy"
    lineage = replace(parent.lineage, parents=(parent.sha256,))
    export_bundle(graph, moved, lineage, parent.version + 1, load_robot())
    starts = [
        refine(data, moved, tmp_path / f"{index}.go1policy", tiny_refinement()).report["candidates"][0]["kl"]
        for index, data in enumerate((dataset, [dataset, second]))
    ]
    assert starts[0] > 0.1  # a single log is taken for the start's own
    assert starts[1] == pytest.approx(0.0, abs=1e-6)


def test_one_data_set_twice_is_refused(dataset):
    with pytest.raises(RefineDataError, match="each data set once"):
        RefineData.open([dataset, dataset])


def test_no_data_set_is_refused():
    with pytest.raises(RefineDataError, match="at least one data set"):
        RefineData.open([])


def test_other_contracts_are_refused_by_name(dataset, tmp_path):
    contract = json.loads((dataset / MANIFEST).read_text())["contract"]
    contract["action_scale"] = [0.3] * 12
    other = altered(dataset, tmp_path, contract=contract)
    with pytest.raises(RefineDataError, match="one contract") as refusal:
        RefineData.open([dataset, other])
    assert str(other) in str(refusal.value)


def test_other_rewards_are_refused(dataset, tmp_path):
    weights = json.loads((dataset / MANIFEST).read_text())["reward_weights"]
    name = sorted(weights)[0]
    other = altered(dataset, tmp_path, reward_weights={**weights, name: weights[name] + 1.0})
    with pytest.raises(RefineDataError, match="one set of reward weights"):
        RefineData.open([dataset, other])


def test_data_sets_with_other_physical_states_are_not_joined(dataset, second, shipped):
    graph = load_graph(read_bundle(shipped))
    whole = from_columns(Dataset.open(dataset), graph)
    opened = Dataset.open(second)
    columns = {name: opened[name] for name in opened.names if name != "velocity_trunk_in_trunk"}
    with pytest.raises(TransitionsError, match="the same physical state"):
        concatenate([whole, from_columns(columns, graph)])


def test_the_command_takes_several(dataset, second, shipped, tmp_path, monkeypatch):
    asked: dict[str, Any] = {}

    def stand_in(datasets, init, out, *rest):
        asked.update(datasets=datasets, init=init)
        bundle = read_bundle(shipped)
        return type("Result", (), {"bundle": bundle, "report": {}})()

    monkeypatch.setattr("deploy.host.refine.refine", stand_in)
    line = ["refine", str(dataset), str(second), "--init", str(shipped), "--out", str(tmp_path / "x.go1policy")]
    assert main(line) == 0
    assert asked == {"datasets": [dataset, second], "init": shipped}
