"""Fields and terms that a contract got later: they change nothing where they are not used, and hold where they are."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
import torch

from deploy.onboard.commands import neutral_command
from policy.bundle import BundleError, Lineage, parse_bundle, verify_bundle
from policy.contract import CommandTerm, ContractError, ObservationTerm, PolicyContract
from policy.export import export_bundle
from policy.graph import LAST_ACTION, PolicyGraph
from policy.networks import GaussianActor
from policy.presets import walk_these_ways_release_contract
from policy.sealed_file import unseal
from policy.velocity_contract import velocity_contract
from robot_configs.robot import canonical_json, load_robot
from tests.policy.resealed import SECTIONS, SHIPPED, resealed

ROBOT = load_robot()
VELOCITY = velocity_contract(ROBOT)
CLIP = 0.5


def extended() -> PolicyContract:
    """Our velocity contract with everything that came later."""
    terms = (*VELOCITY.terms, ObservationTerm("action_before_last", (0.25,)))
    commands = (*VELOCITY.commands[:2], dataclasses.replace(VELOCITY.commands[2], neutral=0.5))
    return dataclasses.replace(
        VELOCITY, terms=terms, commands=commands, history_length=12, history_start="zeros", action_clip=CLIP
    )


@pytest.fixture(scope="module")
def bundle_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A policy of the extended contract whose actions go beyond the clip."""
    return exported(extended(), tmp_path_factory.mktemp("extended") / "extended.go1policy")


def exported(contract: PolicyContract, path: Path) -> bytes:
    """A random policy as it would be flashed."""
    torch.manual_seed(3)
    graph = PolicyGraph(contract, GaussianActor(contract.observation_dim, 12, (8,), 0.8))
    export_bundle(graph, path, Lineage("import", (), (), "test", 0, "test"), 1, ROBOT)
    return path.read_bytes()


def test_contracts_that_do_not_use_them_keep_their_bytes() -> None:
    header = unseal(SHIPPED, SECTIONS).header["contract"]
    assert PolicyContract.from_json(canonical_json(header)).to_json() == canonical_json(header)
    assert not {"history_start", "action_clip", "neutral"} & set(VELOCITY.to_json().split('"'))


@pytest.mark.parametrize("contract", [extended(), walk_these_ways_release_contract(ROBOT)], ids=["extended", "release"])
def test_contracts_that_use_them_survive_their_json(contract: PolicyContract) -> None:
    assert PolicyContract.from_json(contract.to_json()) == contract
    assert {"history_start", "action_clip", "neutral"} <= set(contract.to_json().split('"'))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda contract: contract.update(history_start="repeat"), "history_start"),
        (lambda contract: contract.update(action_clip=None), "action_clip"),
        (lambda contract: contract["commands"][0].update(neutral=None), "neutral"),
    ],
)
def test_a_default_that_is_written_out_is_refused(change: Callable[[Any], None], named: str) -> None:
    """Two spellings of one contract would be two hashes of one contract."""
    content = json.loads(VELOCITY.to_json())
    change(content)
    with pytest.raises(ContractError, match=f"{named} at its default"):
        PolicyContract.from_json(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"action_clip": 0.0}, "action_clip"),
        ({"action_clip": -1.0}, "action_clip"),
        ({"action_clip": math.inf}, "action_clip"),
        ({"action_clip": math.nan}, "action_clip"),
        ({"history_start": "ones"}, "history_start"),
        ({"history_start": "zeros"}, "history_start repeat where there is no history"),
        ({"commands": (CommandTerm("vx", "m/s", -1.0, 1.0, neutral=1.1),)}, "neutral"),
        ({"commands": (CommandTerm("vx", "m/s", -1.0, 1.0, neutral=math.nan),)}, "neutral"),
    ],
)
def test_impossible_values_are_refused(change: dict[str, Any], named: str) -> None:
    with pytest.raises(ContractError, match=named):
        dataclasses.replace(VELOCITY, **change)


@pytest.mark.parametrize("value", ["1", True, 1e7])
def test_a_clip_of_another_type_is_refused_in_a_bundle(value: object) -> None:
    with pytest.raises(BundleError, match=r"contract\.action_clip"):
        parse_bundle(resealed(lambda header: header["contract"].update(action_clip=value)))


def test_a_clip_bounds_what_is_done_and_remembered_but_not_what_was_drawn() -> None:
    contract = extended()
    graph = PolicyGraph(contract, GaussianActor(contract.observation_dim, 12, (4,), 0.1))
    action = torch.tensor([[0.4, -0.4, 0.5, -0.5, 0.6, -0.6, 2.0, -2.0, 0.0, 0.0, 0.0, 0.0]])
    held = torch.tensor([[0.4, -0.4, 0.5, -0.5, 0.5, -0.5, 0.5, -0.5, 0.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(graph.joint_target(action), graph.joint_target(held))
    memory = torch.zeros(1, contract.memory_dim)
    after = graph.remember(memory, torch.zeros(1, contract.observation_dim), action, torch.zeros(1, 3))
    torch.testing.assert_close(after[:, LAST_ACTION : LAST_ACTION + 12], held)
    signals = [torch.tensor([[1.0, 0.0, 0.0, 0.0]]), torch.zeros(1, 3), torch.zeros(1, 12), torch.zeros(1, 12)]
    drawn = graph(*signals, torch.zeros(1, 3), torch.full((1, 12), 50.0), memory)[1]
    assert drawn.min() > 4.0


def test_memory_keeps_two_actions_before_commands_and_frames() -> None:
    contract = extended()
    assert contract.memory_dim == 2 + 24 + 3 + 1 + 59 * 11
    graph = PolicyGraph(contract, GaussianActor(contract.observation_dim, 12, (4,), 0.1))
    memory = torch.zeros(1, contract.memory_dim)
    for value in (0.1, 0.2, 0.3):
        observation = torch.zeros(1, contract.observation_dim)
        memory = graph.remember(memory, observation, torch.full((1, 12), value), torch.tensor([[0.01, 0.02, 0.03]]))
    assert memory[0, LAST_ACTION : LAST_ACTION + 12].tolist() == pytest.approx([0.3] * 12)
    assert memory[0, LAST_ACTION + 12 : LAST_ACTION + 24].tolist() == pytest.approx([0.2] * 12)
    assert memory[0, LAST_ACTION + 24 : LAST_ACTION + 27].tolist() == pytest.approx([0.01, 0.02, 0.03])


def test_standing_takes_the_neutral_values() -> None:
    rest = dict(zip(walk_these_ways_release_contract(ROBOT).command_names, RELEASED_REST, strict=True))
    assert rest["gait_phase"] == 0.5 and rest["vx"] == 0.0
    np.testing.assert_allclose(neutral_command(walk_these_ways_release_contract(ROBOT).commands), RELEASED_REST)


RELEASED_REST = [0, 0, 0, 0, 3.0, 0.5, 0, 0, 0.5, 0.08, 0, 0, 0.33, 0.4, 0]


def test_the_bundle_verifies(bundle_bytes: bytes) -> None:
    bundle = parse_bundle(bundle_bytes)
    assert np.max(np.abs(bundle.golden["out.action"])) > CLIP, "these vectors would not show a clip"
    assert verify_bundle(bundle, ROBOT).largest_error < 1e-4


def exchange_names(one: dict[str, Any], other: dict[str, Any]) -> None:
    one["name"], other["name"] = other["name"], one["name"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda contract: contract.update(action_clip=0.75), "action_clip"),
        (lambda contract: contract.pop("action_clip"), "action_clip"),
        (lambda contract: contract.pop("history_start"), "history_start"),
        (lambda contract: contract["terms"].pop(), "memory"),
        (lambda contract: exchange_names(*contract["terms"][-2:]), "action_before_last"),
        (lambda contract: contract["terms"][-1].update(scale=[0.5]), "action_before_last"),
    ],
    ids=["clip", "no clip", "history", "no term", "terms", "scale"],
)
def test_a_contract_that_was_edited_is_refused(
    bundle_bytes: bytes, change: Callable[[dict[str, Any]], object], named: str
) -> None:
    content = resealed(lambda header: change(header["contract"]), content=bundle_bytes)
    with pytest.raises(BundleError, match=named):
        verify_bundle(parse_bundle(content), ROBOT)


def test_a_clip_that_no_golden_action_reaches_may_not_be_edited_either(tmp_path: Path) -> None:
    """It stands in the graph as a constant, and is compared with that."""
    content = exported(dataclasses.replace(extended(), action_clip=100.0), tmp_path / "wide.go1policy")
    assert np.max(np.abs(parse_bundle(content).golden["out.action"])) < 50.0
    with pytest.raises(BundleError, match="action_clip among the graph's constants"):
        parse_bundle(resealed(lambda header: header["contract"].update(action_clip=50.0), content=content))


def test_the_neutral_value_may_be_edited(bundle_bytes: bytes) -> None:
    """It is the operator's, not the network's: nothing in the graph depends on it."""
    content = resealed(lambda header: header["contract"]["commands"][2].update(neutral=0.25), content=bundle_bytes)
    assert parse_bundle(content).contract.commands[2].neutral == 0.25


def test_a_term_that_is_observed_twice_is_refused() -> None:
    """The graph keeps one scale a name: the first of two would be computed with that of the second."""
    twice = (*VELOCITY.terms, dataclasses.replace(VELOCITY.terms[0], scale=(0.5,)))
    with pytest.raises(ContractError, match="each observation term once"):
        dataclasses.replace(VELOCITY, terms=twice)
