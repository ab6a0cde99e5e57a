"""Golden vectors against the contract they travel with: what torch computed is explained, and nothing else is."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch

from policy.bundle_error import BundleError
from policy.contract import SIGNALS, CommandTerm, GaitClock, ObservationTerm, PolicyContract
from policy.contract_evidence import check_constants, check_evidence
from policy.gait_contract import gait_contract
from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from policy.onnx_allow_list import Graph, Node
from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot

Golden = dict[str, np.ndarray]

torch.set_num_threads(1)
SEQUENCES, STEPS = 16, 6
VELOCITY = velocity_contract(load_robot())
JOINTS = VELOCITY.joint_names
CLOCK = GaitClock("frequency", (("offset",), ()), "sin", 0.5)
# A frame of 61 values; nine of them, which are more than there are steps.
STEERED = replace(
    VELOCITY,
    policy_joint_names=(*JOINTS[5:], *JOINTS[:5]),
    default_position=tuple(pose + 0.01 * joint for joint, pose in enumerate(VELOCITY.default_position)),
    action_scale=tuple(0.2 + 0.02 * joint for joint in range(12)),
    commands=(
        CommandTerm("vx", "m/s", -1.5, 1.5),
        CommandTerm("vy", "m/s", -0.8, 0.8, slew_per_s=2.0),
        CommandTerm("yaw", "rad/s", -1.5, 1.5),
        CommandTerm("frequency", "Hz", 2.0, 4.0),
        CommandTerm("offset", "cycle", 0.0, 1.0, slew_per_s=5.0),
    ),
    terms=(
        ObservationTerm("gait_clock", (1.0,)),
        ObservationTerm("projected_gravity", (0.5, 1.0, 2.0)),
        ObservationTerm("angular_velocity", (0.25,)),
        ObservationTerm("joint_position", (1.0,)),
        ObservationTerm("joint_velocity", (0.05,)),
        ObservationTerm("last_action", (0.5,)),
        ObservationTerm("action_before_last", (0.75,)),
        ObservationTerm("command", (2.0, 2.0, 0.25, 1.0, 1.0)),
    ),
    gait_clock=CLOCK,
    history_length=9,
    history_start="zeros",
    action_clip=0.5,
    observation_mean=tuple(np.linspace(-0.5, 0.5, 9 * 61).tolist()),
    observation_std=tuple(np.linspace(0.5, 2.0, 9 * 61).tolist()),
)
REPEATED = replace(
    STEERED,
    gait_clock=replace(CLOCK, waveform="sin_cos"),
    history_start="repeat",
    action_clip=None,
    observation_mean=(),
    observation_std=(),
)
CLOCKLESS = replace(VELOCITY.without_slew(), terms=VELOCITY.terms[:-1], gait_clock=None)
GAIT = gait_contract(load_robot())
# Three steps: some of the sequences end within them, others have stood for longer.
SETTLING = replace(CLOCK, settle_s=0.06)
SETTLED = replace(STEERED, gait_clock=SETTLING, observation_mean=(), observation_std=())
CONTRACTS = {
    "settled": SETTLED,
    "velocity": VELOCITY,
    "steered": STEERED,
    "repeated": REPEATED,
    "clockless": CLOCKLESS,
    "gait": GAIT,
    "gait_at_once": GAIT.without_slew(),
}
# So little that its vectors can be written down.
PLAIN = replace(
    CLOCKLESS,
    commands=(CommandTerm("vx", "m/s", -1.0, 1.0),),
    terms=(ObservationTerm("projected_gravity", (1.0,)),),
    default_position=(0.0, 2.0, -2.0) * 4,
    target_lower=(-3.0,) * 12,
    target_upper=(3.0,) * 12,
)


@lru_cache(maxsize=None)
@torch.no_grad()
def recorded(name: str) -> Golden:
    """What torch computes: commands change at every step, and quaternions are of any length."""
    contract = CONTRACTS[name]
    torch.manual_seed(11)
    graph = PolicyGraph(contract, GaussianActor(contract.observation_dim, 12, (8,), 0.8))
    lower = torch.tensor([term.lower for term in contract.commands])
    upper = torch.tensor([term.upper for term in contract.commands])
    command = lower + (upper - lower) * torch.rand(SEQUENCES, STEPS, contract.command_dim)
    command[:2] = 0.0
    # As slow as counts for walking, turning on the spot, and standing while the clock has its frequency.
    command[5:8, 3:, :3] = 0.0  # told to stand on the way, three and one steps before the end
    command[8:10, 5:, :3] = 0.0
    command[10, :2, :3] = 0.0
    command[2:5, :, :3] = torch.tensor([[[0.5, 0.0, 0.0]], [[0.0, 0.0, 1.0]], [[0.0, 0.0, 0.0]]])
    signals = {
        "orientation_trunk_in_world": torch.tensor([1.0, 0.0, 0.0, 0.0]) + 0.3 * torch.randn(SEQUENCES, STEPS, 4),
        "angular_velocity_trunk_in_trunk": torch.randn(SEQUENCES, STEPS, 3),
        "joint_position": torch.tensor(contract.default_position) + 0.3 * torch.randn(SEQUENCES, STEPS, 12),
        "joint_velocity": 3.0 * torch.randn(SEQUENCES, STEPS, 12),
        "command": command,
        "noise": torch.randn(SEQUENCES, STEPS, 12),
    }
    memory = torch.zeros(SEQUENCES, contract.memory_dim)
    targets, actions = [], []
    for step in range(STEPS):
        now = (signals[signal][:, step] for signal, _ in SIGNALS if signal != "memory")
        target, action, _, _, _, observation, memory = graph(*now, memory)
        targets.append(target)
        actions.append(action)
    return {
        **{f"in.{signal}": array.numpy() for signal, array in signals.items()},
        "out.joint_target": torch.stack(targets, dim=1).numpy(),
        "out.action": torch.stack(actions, dim=1).numpy(),
        "out.observation": observation[:, None].numpy(),
        "out.next_memory": memory[:, None].numpy(),
    }


def plain(**changed: Any) -> Golden:
    """Two sequences of two steps of PLAIN on a level trunk, without any action."""
    nothing = np.zeros((2, 2, 12))
    golden = {
        "in_command": [[[-1.0], [-0.5]], [[0.5], [1.0]]],
        "in_orientation_trunk_in_world": np.tile([1.0, 0.0, 0.0, 0.0], (2, 2, 1)),
        "in_angular_velocity_trunk_in_trunk": nothing[..., :3],
        "in_joint_position": nothing,
        "in_joint_velocity": nothing,
        "out_action": nothing,
        "out_joint_target": np.tile([0.0, 2.0, -2.0], (2, 2, 4)),
        "out_observation": np.tile([0.0, 0.0, -1.0], (2, 1, 1)),
        "out_next_memory": np.zeros((2, 1, 14)),
    }
    return {name.replace("_", ".", 1): np.array(array) for name, array in {**golden, **changed}.items()}


def judged(golden: Golden, contract: PolicyContract, sound: bool, field: str) -> None:
    """Accepted, or refused by the field's name."""
    if sound:
        check_evidence(golden, contract)
    else:
        with pytest.raises(BundleError, match=field):
            check_evidence(golden, contract)


@pytest.mark.parametrize("name", CONTRACTS)
def test_what_torch_computed_is_explained(name: str) -> None:
    check_evidence(recorded(name), CONTRACTS[name])


def commands_with(contract: PolicyContract, column: int, **changed: Any) -> dict[str, Any]:
    commands = list(contract.commands)
    commands[column] = replace(commands[column], **changed)
    return {"commands": tuple(commands)}


@pytest.mark.parametrize(
    ("name", "changed", "field"),
    [
        ("velocity", commands_with(VELOCITY, 0, lower=-1.2), "golden commands vx"),
        ("velocity", commands_with(VELOCITY, 0, upper=1.2), "golden commands vx"),
        ("velocity", commands_with(VELOCITY, 2, lower=-6.0), "golden commands yaw"),
        ("steered", commands_with(STEERED, 3, lower=2.5), "golden commands frequency"),
        ("steered", commands_with(STEERED, 1, slew_per_s=2.5), "terms"),
        ("steered", {"action_clip": 0.4}, "action_clip"),
        ("steered", {"policy_joint_names": JOINTS}, "policy_joint_names"),
        ("steered", {"history_start": "repeat"}, "history_start"),
        ("repeated", {"history_start": "zeros"}, "history_start"),
        ("steered", {"observation_std": (1.0,) * 9 * 61}, "observation_std"),
        ("steered", {"gait_clock": replace(CLOCK, stand_below=0.51)}, "gait_clock"),
        ("steered", {"gait_clock": replace(CLOCK, channels=((), ("offset",)))}, "gait_clock"),
        ("repeated", {"gait_clock": replace(CLOCK, waveform="sin_cos", frequency=3.0)}, "gait_clock"),
        ("settled", {"gait_clock": replace(SETTLING, settle_s=0.08)}, "settle_s"),
        ("settled", {"gait_clock": replace(SETTLING, settle_s=0.04)}, "gait_clock"),
        ("settled", {"gait_clock": CLOCK}, "gait_clock"),
    ],
)
def test_what_another_contract_would_compute_is_not(name: str, changed: dict[str, Any], field: str) -> None:
    judged(recorded(name), replace(CONTRACTS[name], **changed), False, field)


# Differences of 0.001 pass, relative to what is predicted where that is above one.
@pytest.mark.parametrize(
    ("joint", "target", "sound"),
    [
        (0, 0.001, True),
        (0, -0.001, True),
        (0, 0.00101, False),
        (0, -0.00101, False),
        (0, float("nan"), False),
        (1, 2.0019, True),
        (1, 2.0021, False),
        (1, 1.9979, False),
        (2, -2.0019, True),
        (2, -2.0021, False),
    ],
)
def test_differences_at_the_tolerance(joint: int, target: float, sound: bool) -> None:
    golden = plain()
    golden["out.joint_target"][1, 1, joint] = target
    judged(golden, PLAIN, sound, "default_position")


@pytest.mark.parametrize(
    ("commands", "sound"),
    [
        ((-1.001, 1.001), True),
        ((-1.0011, 1.0), False),
        ((-1.0, 1.0011), False),
        # Half of the range is enough, wherever it lies.
        ((-0.5, 0.5), True),
        ((0.0, 1.0), True),
        ((-0.49, 0.5), False),
        ((0.0, 0.99), False),
        ((0.0, 0.0), False),
    ],
)
def test_commands_at_the_ends_of_their_range(commands: Sequence[float], sound: bool) -> None:
    judged(plain(in_command=np.reshape([*commands, *commands], (2, 2, 1))), PLAIN, sound, "golden commands vx")


# Gravity in the trunk frame (x forward, y left): level; on its left side up; nose down; turned around; on its back.
@pytest.mark.parametrize(
    ("orientation", "gravity"),
    [
        ((2.0, 0.0, 0.0, 0.0), (0.0, 0.0, -1.0)),
        ((3.0, 3.0, 0.0, 0.0), (0.0, -1.0, 0.0)),
        ((0.5, 0.0, 0.5, 0.0), (1.0, 0.0, 0.0)),
        ((0.0, 0.0, 0.0, -1.0), (0.0, 0.0, -1.0)),
        ((0.0, 5.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
    ],
)
def test_gravity_by_hand(orientation: Sequence[float], gravity: Sequence[float]) -> None:
    golden = plain(in_orientation_trunk_in_world=np.tile(orientation, (2, 2, 1)))
    for found in (np.array(gravity), -np.array(gravity)):
        golden["out.observation"] = np.tile(found, (2, 1, 1))
        judged(golden, PLAIN, found.tolist() == list(gravity), "projected_gravity")


# After six steps of 2.5 Hz / 50 Hz: 0.3 cycles. One 0.0001 from it is 0.00063 away on the circle, and 0.7 its mirror.
@pytest.mark.parametrize(
    ("phase", "sound"),
    [
        (0.3, True),
        (1.3, True),
        (-0.7, True),
        (0.3001, True),
        (0.2999, True),
        (0.3002, False),
        (0.2998, False),
        (0.7, False),
    ],
)
def test_phases_are_compared_on_the_circle(phase: float, sound: bool) -> None:
    golden = dict(recorded("velocity"))
    golden["out.next_memory"] = golden["out.next_memory"].copy()
    golden["out.next_memory"][:, 0, 1] = phase
    judged(golden, VELOCITY, sound, "gait_clock and control_hz")


def constants_of(contract: PolicyContract) -> dict[str, np.ndarray]:
    """Every constant that the graph of STEERED has for sure, by the field that it stands for."""
    names = ("default_position", "action_scale", "target_lower", "target_upper", "observation_mean", "observation_std")
    return {
        **{name: np.array(getattr(contract, name), np.float32) for name in names},
        "action_clip": np.full(12, 0.5, np.float32),
        # The policy's first joint is the wire's sixth; the wire's first is the policy's eighth.
        "policy_joint_names": np.array([5, 6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4]),
        "policy_joint_names back": np.array([7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 6]),
    }


def graph_of(constants: Sequence[np.ndarray]) -> Graph:
    nodes = [Node("Constant", (), (f"constant_{index}",), {"value": array}) for index, array in enumerate(constants)]
    return Graph((Node("Add", ("a", "b"), ("c",), {}), Node("Sin", ("c",), ("d",), {}), *nodes), {})


def test_a_graph_with_all_its_constants_is_the_contracts() -> None:
    constants = constants_of(STEERED)
    check_constants(graph_of(list(constants.values())), STEERED)
    # What a contract does not say is not looked for: no clip, no normaliser, and the wire's own order.
    names = ("default_position", "action_scale", "target_lower", "target_upper")
    vectors = [np.array(getattr(VELOCITY, name), np.float32) for name in names]
    check_constants(graph_of([*vectors, np.arange(12)]), VELOCITY)


@pytest.mark.parametrize("name", constants_of(STEERED))
def test_a_constant_that_is_missing_or_another_by_a_bit_is_named(name: str) -> None:
    constants = constants_of(STEERED)
    array = constants.pop(name)
    other = array.copy()
    other[-1] = np.nextafter(other[-1], np.float32(9.0)) if other.dtype == np.float32 else 0
    for graph in (graph_of(list(constants.values())), graph_of([*constants.values(), other])):
        with pytest.raises(BundleError, match=f"{name.split()[0]} among the graph's constants"):
            check_constants(graph, STEERED)


@pytest.mark.parametrize("name", GAIT.command_bounds())
def test_bounds_of_commands_that_the_graph_holds_are_looked_for(name: str) -> None:
    fields = ("default_position", "action_scale", "target_lower", "target_upper", "observation_mean")
    order = [GAIT.joint_names.index(joint) for joint in GAIT.policy_joint_names]
    others = [*(np.array(getattr(GAIT, field), np.float32) for field in fields), np.array(order), np.argsort(order)]
    bounds = {bound: np.array(values, np.float32) for bound, values in GAIT.command_bounds().items()}
    check_constants(graph_of([*others, *bounds.values()]), GAIT)
    del bounds[name]
    for contract in (GAIT, GAIT.without_slew()):
        # Where nothing slews, nothing starts at rest.
        if contract.slews_commands or name != "command_at_rest":
            with pytest.raises(BundleError, match=f"{name} among the graph's constants"):
                check_constants(graph_of([*others, *bounds.values()]), contract)
        else:
            check_constants(graph_of([*others, *bounds.values()]), contract)
