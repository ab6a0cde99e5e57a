"""The gait-conditioned contract: clock, held commands, ranges, and that the velocity contract is untouched."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deploy.onboard.commands import neutral_command
from policy.bundle import BUNDLES, BundleError, Lineage, parse_bundle, read_bundle, verify_bundle
from policy.contract import ContractError, PolicyContract
from policy.export import export_bundle, golden_vectors, load_graph
from policy.gait_contract import GAIT_COMMANDS, GAIT_FREQUENCY, SWING_HEIGHT, TRUNK_HEIGHT, gait_contract
from policy.graph import PHASE, STARTED, PolicyGraph
from policy.networks import GaussianActor
from policy.velocity_contract import GAIT_FREQUENCY_HZ, velocity_contract
from robot_configs.kinematics import foot_position_in_trunk
from robot_configs.robot import load_robot
from tests.policy.resealed import resealed

torch.set_num_threads(1)
ROBOT = load_robot()
PLAIN, GAIT = velocity_contract(ROBOT), gait_contract(ROBOT)
HERTZ, SWING, TRUNK = (GAIT.command_names.index(name) for name in (GAIT_FREQUENCY, SWING_HEIGHT, TRUNK_HEIGHT))
AT_REST = (0.0, 0.0, 0.0, 2.5, 0.09, 0.29)
FOLLOWED = slice(2 + 12, 2 + 12 + 6)
PLAIN_SHA256 = "10b6bde3cd4f05a651bc17fefad0b070f934798f83413f263bacebabad521ef0"
"""Of the velocity contract with slower commands, before there was another and before its clock let robots settle."""


def make_graph(contract: PolicyContract) -> PolicyGraph:
    torch.manual_seed(0)
    return PolicyGraph(contract, GaussianActor(contract.observation_dim, 12, (16,), 0.5)).requires_grad_(False)


def remembered(graph: PolicyGraph, memory: torch.Tensor, command: tuple[float, ...]) -> torch.Tensor:
    """The memory a step later."""
    observation = torch.zeros(1, graph.contract.observation_dim)
    return graph.remember(memory, observation, torch.zeros(1, 12), torch.tensor([command]))


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gait") / "gait.go1policy"
    export_bundle(make_graph(GAIT), path, Lineage("pretrain", (), (), "test", 0, "test"), 1, ROBOT)
    return path


def test_the_velocity_contract_is_what_it_was() -> None:
    assert PLAIN.gait_clock is not None and PLAIN.gait_clock.settle_s == 0.8
    slower = tuple(
        dataclasses.replace(term, slew_per_s=slew) for term, slew in zip(PLAIN.commands, (3.0, 3.0, 6.0), strict=True)
    )
    unsettled = dataclasses.replace(PLAIN.gait_clock, settle_s=0.0)
    before = dataclasses.replace(PLAIN, commands=slower, gait_clock=unsettled)
    assert before.sha256 == PLAIN_SHA256
    assert "holds_commands" not in before.to_json()
    assert "settle_s" not in before.to_json()


@pytest.mark.parametrize("path", sorted(BUNDLES.glob("go1_velocity*")), ids=lambda path: path.stem)
def test_shipped_velocity_bundles_replay_and_their_graphs_compute_what_was_sealed(path: Path) -> None:
    """The contract's bytes, the golden vectors through onnxruntime, and again through the graph of today."""
    bundle = read_bundle(path)
    assert bundle.contract == PLAIN
    assert verify_bundle(bundle, ROBOT).sequences == 64
    today = golden_vectors(load_graph(bundle))
    for name, values in bundle.golden.items():
        np.testing.assert_allclose(today[name], values, atol=1e-5, err_msg=name)


def test_the_shipped_gait_bundle_is_of_this_contract_and_computes_what_was_sealed() -> None:
    bundle = read_bundle(BUNDLES / "go1_gait.go1policy")
    assert bundle.contract == GAIT
    assert verify_bundle(bundle, ROBOT).sequences == 64
    today = golden_vectors(load_graph(bundle))
    for name, values in bundle.golden.items():
        np.testing.assert_allclose(today[name], values, atol=1e-5, err_msg=name)


def test_a_gait_contract_differs_in_the_gait_alone() -> None:
    assert GAIT.commands[:3] == PLAIN.commands
    assert [(term.name, term.unit) for term in GAIT.commands[3:]] == [
        ("gait_frequency", "Hz"),
        ("swing_height", "m"),
        ("trunk_height", "m"),
    ]
    assert (PLAIN.frame_dim, GAIT.frame_dim) == (47, 50)
    assert GAIT.memory_dim == PLAIN.memory_dim + 3
    changed = {"commands", "terms", "gait_clock", "holds_commands", "observation_mean"}
    same = {field.name for field in dataclasses.fields(GAIT)} - changed
    assert all(getattr(GAIT, name) == getattr(PLAIN, name) for name in same)
    assert neutral_command(GAIT.commands).tolist() == pytest.approx(AT_REST)
    assert AT_REST[HERTZ] == GAIT_FREQUENCY_HZ


@pytest.mark.parametrize(
    ("gait", "observed"),
    [
        ((2.5, 0.09, 0.29), (0.0, 0.0, 0.0)),
        ((1.5, 0.05, 0.25), (-1.0, -1.0, -1.0)),
        ((3.5, 0.12, 0.32), (1.0, 0.75, 0.75)),
    ],
)
def test_the_gait_is_observed_as_what_it_differs_from_the_default_by(
    gait: tuple[float, ...], observed: tuple[float, ...]
) -> None:
    graph = make_graph(GAIT.without_slew())
    command = torch.tensor([[0.5, -0.4, 0.3, *gait]])
    still = torch.zeros(1, 12)
    memory = torch.zeros(1, graph.contract.memory_dim)
    found = graph.observe(torch.tensor([[0.0, 0.0, -1.0]]), torch.zeros(1, 3), still, still, command, memory)[0]
    assert found[:12].tolist() == pytest.approx([0, 0, -1, 0, 0, 0, 0.5, -0.4, 0.3, *observed], abs=1e-5)


def test_it_survives_its_json_and_refuses_a_default_that_is_written_out() -> None:
    assert PolicyContract.from_json(GAIT.to_json()) == GAIT
    content = {**json.loads(PLAIN.to_json()), "holds_commands": False}
    with pytest.raises(ContractError, match="holds_commands at its default"):
        PolicyContract.from_json(json.dumps(content))


@pytest.mark.parametrize("value", [1, "true", None])
def test_a_flag_of_another_type_is_refused_in_a_bundle(value: Any) -> None:
    with pytest.raises(BundleError, match=r"true or false at contract\.holds_commands"):
        parse_bundle(resealed(lambda header: header["contract"].update(holds_commands=value)))


def test_the_clock_advances_by_the_commanded_frequency_by_hand() -> None:
    """2 Hz at 50 steps a second: 0.04 of a cycle a step, and after 25 steps it is back where it was."""
    graph = make_graph(GAIT.without_slew())
    memory = torch.zeros(1, graph.contract.memory_dim)
    command = (0.5, 0.0, 0.0, 2.0, 0.08, 0.28)
    for step in range(1, 25):
        memory = remembered(graph, memory, command)
        assert float(memory[0, PHASE]) == pytest.approx(0.04 * step, abs=1e-5)
    # 25 x 0.04 is one whole cycle, give or take a rounding that may leave it on either side of the seam.
    memory = remembered(graph, memory, command)
    assert math.cos(2.0 * math.pi * float(memory[0, PHASE])) == pytest.approx(1.0, abs=1e-6)
    memory = remembered(graph, memory, (0.5, 0.0, 0.0, 3.5, 0.08, 0.28))
    assert math.sin(2.0 * math.pi * float(memory[0, PHASE])) == pytest.approx(math.sin(2.0 * math.pi * 0.07), abs=1e-5)


@pytest.mark.parametrize(
    ("given", "held"),
    [
        ((0.0, 0.0, 0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.5, 0.04, 0.24)),
        ((9.0, 9.0, 9.0, 9.0, 9.0, 9.0), (1.5, 0.8, 1.5, 3.5, 0.12, 0.32)),
        ((-9.0, -9.0, -9.0, -9.0, -9.0, -9.0), (-1.5, -0.8, -1.5, 1.5, 0.04, 0.24)),
        ((0.3, -0.2, 1.0, 3.0, 0.05, 0.3), (0.3, -0.2, 1.0, 3.0, 0.05, 0.3)),
    ],
)
def test_commands_are_held_inside_their_ranges(given: tuple[float, ...], held: tuple[float, ...]) -> None:
    graph = make_graph(GAIT.without_slew())
    followed = graph.followed(torch.tensor([given]), torch.zeros(1, graph.contract.memory_dim))
    assert followed[0].tolist() == pytest.approx(held)


def test_slews_begin_at_the_defaults_and_move_by_their_step() -> None:
    """2 Hz/s, 0.2 m/s and 0.1 m/s at 50 steps a second: 0.04 Hz, 4 mm and 2 mm a step; beyond the range it stops."""
    graph = make_graph(GAIT)
    memory = torch.zeros(1, GAIT.memory_dim)
    command = (0.5, 0.0, 0.0, 9.0, 0.0, 0.24)
    wanted = [(2.54, 0.086, 0.288), (2.58, 0.082, 0.286)]
    for frequency, swing, trunk in wanted:
        memory = remembered(graph, memory, command)
        assert memory[0, FOLLOWED][3:].tolist() == pytest.approx((frequency, swing, trunk), abs=1e-6)
    assert float(memory[0, PHASE]) == pytest.approx((2.54 + 2.58) / 50.0, abs=1e-6)
    assert float(memory[0, FOLLOWED][0]) == pytest.approx(2 * 4.0 / 50.0)
    for _ in range(30):
        memory = remembered(graph, memory, command)
    assert memory[0, FOLLOWED][3:].tolist() == pytest.approx((3.5, 0.04, 0.24), abs=1e-6)


def test_a_reset_in_the_midst_of_a_walk_begins_at_the_defaults_again() -> None:
    graph = make_graph(GAIT)
    memory = torch.zeros(2, GAIT.memory_dim)
    memory[1, STARTED] = 1.0
    memory[1, FOLLOWED] = torch.tensor([1.0, 0.0, 0.0, 3.5, 0.12, 0.32])
    followed = graph.followed(torch.tensor([AT_REST, AT_REST]), memory)
    assert followed[0].tolist() == pytest.approx(AT_REST)
    assert followed[1].tolist() == pytest.approx((1.0 - 4.0 / 50, 0.0, 0.0, 3.46, 0.116, 0.318), abs=1e-6)


def test_zero_velocity_stands_whatever_the_gait() -> None:
    graph = make_graph(GAIT.without_slew())
    memory = torch.zeros(1, graph.contract.memory_dim)
    memory[:, PHASE] = 0.3
    standing = torch.tensor([[0.0, 0.05, 0.0, 3.5, 0.12, 0.24]])
    assert graph.gait_clock(standing, memory).abs().max() == 0.0
    walking = torch.tensor([[0.2, 0.0, 0.0, 3.5, 0.12, 0.24]])
    assert graph.gait_clock(walking, memory).abs().max() > 0.3


def test_a_sealed_one_replays_and_holds_its_contract(sealed: Path) -> None:
    bundle = read_bundle(sealed)
    assert bundle.contract == GAIT
    assert verify_bundle(bundle, ROBOT).sequences == 64
    assert load_graph(bundle).contract == GAIT


@pytest.mark.parametrize(
    "edit",
    [
        lambda contract: contract["commands"][HERTZ].update(upper=3.4),
        lambda contract: contract["commands"][TRUNK].update(lower=0.239),
        lambda contract: contract["commands"][SWING].update(neutral=0.08),
        lambda contract: contract["commands"][HERTZ].update(slew_per_s=2.5),
        lambda contract: contract.pop("holds_commands"),
        lambda contract: contract["gait_clock"].update(frequency=2.5),
    ],
    ids=["upper", "lower", "default", "slew", "holding", "clock"],
)
def test_an_edited_gait_is_no_longer_explained_by_the_graph(sealed: Path, edit: Any) -> None:
    """A re-sealed header with another range, default, slew or clock does not fit constants and golden vectors."""
    with pytest.raises(BundleError):
        verify_bundle(
            parse_bundle(resealed(lambda header: edit(header["contract"]), content=sealed.read_bytes())), ROBOT
        )


def folded_leg(calf: float) -> float:
    """Height of the hip above the foot's centre [m] with the foot below the hip."""
    joints = np.tile([0.0, -0.5 * calf, calf], 4)
    return float(-foot_position_in_trunk(ROBOT, joints)[0, 2])


def test_the_whole_box_of_gaits_is_in_reach() -> None:
    """The knee folds for the highest swing under the lowest trunk, and stretches for the slowest steps at full speed.

    Not under the highest trunk, which the last line keeps the documents honest about.
    """
    calf_lower, calf_upper = ROBOT.joint_lower[2], ROBOT.joint_upper[2]
    radius = ROBOT.geometry.foot_radius
    frequency, swing, trunk = GAIT_COMMANDS
    assert folded_leg(calf_lower) < trunk.lower - radius - swing.upper < folded_leg(calf_lower) + 0.01
    reach = math.hypot(trunk.rest - radius, PLAIN.commands[0].upper / (4.0 * frequency.lower))
    assert reach < folded_leg(calf_upper)
    assert math.hypot(trunk.upper - radius, PLAIN.commands[0].upper / (4.0 * frequency.lower)) > folded_leg(calf_upper)
