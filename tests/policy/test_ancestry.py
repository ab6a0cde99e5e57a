"""The chain of a bundle: who came from whom, and what is not at hand."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cli.main import main
from policy.ancestry import ancestry
from policy.bundle import BUNDLES, BundleError, Lineage, read_bundle
from policy.export import export_bundle, load_graph
from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot

ROBOT = load_robot()
LOST = "f" * 64


def sealed(path: Path, stage: str, *parents: str) -> str:
    """Its SHA-256; every one has weights of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(len(path.name))
    contract = velocity_contract(ROBOT)
    graph = PolicyGraph(contract, GaussianActor(contract.observation_dim, contract.action_dim, (4,), 0.2))
    export_bundle(graph, path, Lineage(stage, parents, (), "test", 3, f"made {path.stem}"), 1, ROBOT)
    return read_bundle(path).sha256


@pytest.fixture
def family(tmp_path: Path) -> dict[str, str]:
    """Two grandchildren's worth: `both` was refined out of two policies with one common parent."""
    seals = {"first": sealed(tmp_path / "elsewhere/deep/first.go1policy", "pretrain", LOST)}
    for name in ("left", "right"):
        seals[name] = sealed(tmp_path / f"{name}.go1policy", "finetune", seals["first"])
    seals["both"] = sealed(tmp_path / "both.go1policy", "refine", seals["left"], seals["right"])
    (tmp_path / "broken.go1policy").write_bytes(b"no bundle")
    return seals


def test_each_stands_once_before_what_it_came_from(tmp_path: Path, family: dict[str, str]) -> None:
    chain = ancestry(tmp_path / "both.go1policy", [tmp_path / "elsewhere"])
    assert [(one.sha256, one.generation) for one in chain] == [
        (family["both"], 0),
        (family["left"], 1),
        (family["first"], 2),
        (LOST, 3),
        (family["right"], 1),
    ]
    assert [one.path.name if one.path else None for one in chain] == [
        "both.go1policy",
        "left.go1policy",
        "first.go1policy",
        None,
        "right.go1policy",
    ]


def test_a_parent_that_is_not_at_hand_ends_the_chain(tmp_path: Path, family: dict[str, str]) -> None:
    chain = ancestry(tmp_path / "left.go1policy")
    assert [(one.sha256, one.bundle is None) for one in chain] == [(family["left"], False), (family["first"], True)]


def test_what_is_asked_for_has_to_be_a_bundle(tmp_path: Path, family: dict[str, str]) -> None:
    with pytest.raises(BundleError):
        ancestry(tmp_path / "broken.go1policy")


def test_the_command_names_what_made_each(
    tmp_path: Path, family: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["policy", "lineage", str(tmp_path / "left.go1policy"), "--among", str(tmp_path / "elsewhere")]
    assert main([*words, "--json"]) == 0
    chain = json.loads(capsys.readouterr().out)["chain"]
    assert [entry["sha256"] for entry in chain] == [family["left"], family["first"], LOST]
    assert [entry.get("command") for entry in chain] == ["made left", "made first", None]
    assert chain[2]["file"] == "not found"
    assert main(words) == 0
    told = capsys.readouterr().out
    places = [told.index(words) for words in (f"{family['left']}:", "made left", "made first", f"{LOST}:", "not found")]
    assert places == sorted(places)


def test_rounds_and_shipped_bundles_are_found_without_being_told_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A chain of three: pretrained and shipped, refined, and two rounds of fine-tuning in folders of their own."""
    shipped = BUNDLES / "go1_velocity_flat.go1policy"
    refined = sealed(tmp_path / "run/round_1/refined.go1policy", "refine", read_bundle(shipped).sha256)
    first = sealed(tmp_path / "run/round_1/policy.go1policy", "finetune", refined)
    second = sealed(tmp_path / "run/round_2/policy.go1policy", "finetune", first)
    assert main(["policy", "lineage", str(tmp_path / "run/round_2/policy.go1policy"), "--json"]) == 0
    chain = json.loads(capsys.readouterr().out)["chain"]
    assert [entry["sha256"] for entry in chain] == [second, first, refined, read_bundle(shipped).sha256]
    assert [entry["stage"] for entry in chain] == ["finetune", "finetune", "refine", "pretrain"]


def test_a_person_is_told_where_one_note_ends_and_how_to_look_further(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "noted.go1policy"
    sealed(path, "finetune", LOST)
    bundle = read_bundle(path)
    lineage = replace(bundle.lineage, notes=("best: iteration 4", "kl: 0.4"))
    export_bundle(load_graph(bundle), path, lineage, 1, ROBOT)
    assert main(["policy", "lineage", str(path)]) == 0
    told = capsys.readouterr().out
    assert "best: iteration 4; kl: 0.4" in told
    assert "not found; --among FOLDER" in told.split(f"{LOST}:")[1]
