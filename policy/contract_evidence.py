"""Whether golden vectors obey the contract that they travel with: a contract that was edited no longer explains them.

The graph does what the contract says because it was built from it. Nothing in a re-sealed file shows that any more: a
permuted joint order or another scale in the header would leave the replay of the golden vectors untouched. So the
vectors, which torch computed from the true contract, are compared with what this one predicts. It is a check and never
feeds a policy: the only computation of observations that does is in `policy.graph`.
"""

from __future__ import annotations

from typing import Dict

import numpy as np

from policy.bundle_error import untrusted
from policy.contract import GaitClock, PolicyContract
from policy.onnx_allow_list import Graph

TOLERANCE = 1e-3
"""Relative above one: torch calculated in float32, this in float64, and a normaliser may divide by little."""

LEAST_COVERAGE = 0.5
"""Of a command's range, by 56 uniform draws: less is drawn once in 10^14."""

_VECTORS = ("default_position", "action_scale", "target_lower", "target_upper", "observation_mean", "observation_std")
_WAVES = {"sin": (np.sin,), "sin_cos": (np.sin, np.cos)}


def check_evidence(golden: Dict[str, np.ndarray], contract: PolicyContract) -> None:
    """Compare joint targets, observations and memory with the contract's prediction of them.

    Raises:
        BundleError: names the fields of the contract that do not explain the vectors.
    """
    _check_commands(golden, contract)
    _check_target(golden, contract)
    _check_observation(golden, contract, _quantities(golden, contract))
    memory = golden["out.next_memory"].squeeze(axis=1)
    phase = _phase(golden, contract)[:, -1]
    _compare("gait_clock and control_hz", _on_circle(memory[:, 1]), _on_circle(phase))
    if contract.settle_steps:
        column = contract.memory_dim - contract.frame_dim * (contract.history_length - 1) - 1
        _compare("gait_clock (settle_s) and control_hz", memory[:, column], _settling(golden, contract)[:, -1])


def check_constants(graph: Graph, contract: PolicyContract) -> None:
    """Find the contract's vectors among the constants of the graph that was built from it, bit by bit.

    Golden vectors do not reach every joint limit; this does not depend on what they reach.

    Raises:
        BundleError: names the field whose values are nowhere in the graph.
    """
    constants = [node.attributes["value"] for node in graph.nodes if node.operator == "Constant"]
    vectors = {name: np.array(getattr(contract, name), dtype=np.float32) for name in _VECTORS}
    if contract.action_clip is not None:
        vectors["action_clip"] = np.full(contract.action_dim, contract.action_clip, dtype=np.float32)
    if contract.holds_commands:
        bounds = {name: np.array(values, dtype=np.float32) for name, values in contract.command_bounds().items()}
        if not contract.slews_commands:
            del bounds["command_at_rest"]  # where nothing slews, nothing starts
        vectors.update(bounds)
    for name, values in vectors.items():
        if values.size and not any(np.array_equal(values, constant) for constant in constants):
            raise untrusted(
                f"the contract's {name} among the graph's constants", f"other values than {values.tolist()!r:.80}"
            )
    for order in (_order(contract), np.argsort(_order(contract))):
        if not any(np.array_equal(order, constant) for constant in constants):
            raise untrusted("the order of policy_joint_names among the graph's constants", f"another than {order}")


def _check_commands(golden: Dict[str, np.ndarray], contract: PolicyContract) -> None:
    """The exporter draws commands from their ranges, zeros apart; a range that was edited fits them no more."""
    for column, term in enumerate(contract.commands):
        values = golden["in.command"][:, :, column]
        drawn = values[values != 0.0]
        inside = np.all((drawn >= term.lower - TOLERANCE) & (drawn <= term.upper + TOLERANCE))
        if not inside or float(np.ptp(values)) < LEAST_COVERAGE * (term.upper - term.lower):
            raise untrusted(
                f"golden commands {term.name} from the whole of its range {term.lower} to {term.upper} in commands",
                f"{float(np.min(values)):.3g} to {float(np.max(values)):.3g}",
            )


def _order(contract: PolicyContract) -> np.ndarray:
    """(12,): index in wire order of every joint in the policy's order."""
    return np.array([contract.joint_names.index(name) for name in contract.policy_joint_names])


def _check_target(golden: Dict[str, np.ndarray], contract: PolicyContract) -> None:
    action_in_wire_order = _executed_action(golden, contract)[:, :, np.argsort(_order(contract))]
    predicted = np.array(contract.default_position) + np.array(contract.action_scale) * action_in_wire_order
    predicted = np.clip(predicted, contract.target_lower, contract.target_upper)
    fields = "default_position, action_scale, action_clip, target_lower, target_upper and policy_joint_names"
    _compare(fields, golden["out.joint_target"], predicted)


def _quantities(golden: Dict[str, np.ndarray], contract: PolicyContract) -> Dict[str, np.ndarray]:
    """Every observable quantity in the policy's joint order, (sequences, steps, width)."""
    order = _order(contract)
    last_action = _one_step_earlier(_executed_action(golden, contract))
    quantities = {
        "projected_gravity": _gravity_in_trunk(golden["in.orientation_trunk_in_world"].astype(np.float64)),
        "angular_velocity": golden["in.angular_velocity_trunk_in_trunk"],
        "joint_position": (golden["in.joint_position"] - np.array(contract.default_position))[:, :, order],
        "joint_velocity": golden["in.joint_velocity"][:, :, order],
        "last_action": last_action,
        "action_before_last": _one_step_earlier(last_action),
        "command": _followed_command(golden, contract),
    }
    if contract.gait_clock is not None:
        quantities["gait_clock"] = _gait_clock(golden, contract)
    return quantities


def _executed_action(golden: Dict[str, np.ndarray], contract: PolicyContract) -> np.ndarray:
    """Actions that the joints were given, in the policy's order, (sequences, steps, 12)."""
    action = golden["out.action"]
    if contract.action_clip is None:
        return action
    return np.clip(action, -contract.action_clip, contract.action_clip)


def _one_step_earlier(values: np.ndarray) -> np.ndarray:
    """(sequences, steps, width): what there was a step before, zeros before the first."""
    earlier = np.zeros_like(values)
    earlier[:, 1:] = values[:, :-1]
    return earlier


def _followed_command(golden: Dict[str, np.ndarray], contract: PolicyContract) -> np.ndarray:
    """Commands that the policy acts on, by at most their slew a step, (sequences, steps, commands)."""
    command = golden["in.command"].astype(np.float64)
    bounds = contract.command_bounds()
    if contract.holds_commands:
        command = np.clip(command, bounds["lowest_command"], bounds["highest_command"])
    if not contract.slews_commands:
        return command
    slew = [np.inf if term.slew_per_s is None else term.slew_per_s for term in contract.commands]
    step = np.array(slew) / contract.control_hz
    followed = np.empty_like(command)
    last: np.ndarray = np.array(bounds["command_at_rest"]) if contract.holds_commands else np.zeros_like(step)
    for index in range(command.shape[1]):
        last = followed[:, index] = np.clip(command[:, index], last - step, last + step)
    return followed


def _gravity_in_trunk(orientation: np.ndarray) -> np.ndarray:
    """Direction of gravity from (..., 4) w x y z, by v + 2 u x (u x v + w v), u the conjugate's vector part."""
    unit = orientation / np.linalg.norm(orientation, axis=-1, keepdims=True)
    w, u = unit[..., :1], -unit[..., 1:]
    down = np.array([0.0, 0.0, -1.0])
    return down + 2.0 * np.cross(u, np.cross(u, down) + w * down)


def _phase(golden: Dict[str, np.ndarray], contract: PolicyContract) -> np.ndarray:
    """Gait phase [cycles] before every step and after the last, (sequences, steps + 1), from zero."""
    command = _followed_command(golden, contract)
    clock = contract.gait_clock
    frequency = np.zeros(command.shape[:2])
    if clock is not None and isinstance(clock.frequency, str):
        frequency = command[:, :, contract.command_names.index(clock.frequency)]
    elif clock is not None:
        frequency = np.full(command.shape[:2], float(clock.frequency))
    start = np.zeros((len(command), 1))
    return np.concatenate([start, np.cumsum(frequency / contract.control_hz, axis=1)], axis=1)


def _on_circle(phase: np.ndarray) -> np.ndarray:
    """Phases [cycles] as points of the unit circle, where 0.9999 and 0.0001 are neighbours."""
    return np.exp(2j * np.pi * phase)


def _gait_clock(golden: Dict[str, np.ndarray], contract: PolicyContract) -> np.ndarray:
    """Sines of the clock's channels, zero while standing is commanded, (sequences, steps, width)."""
    clock = contract.gait_clock
    assert clock is not None
    command = _followed_command(golden, contract)
    phase = _phase(golden, contract)[:, :-1]
    waves = []
    for channel in clock.channels:
        offset = sum(command[:, :, contract.command_names.index(name)] for name in channel)
        angle = 2.0 * np.pi * (phase + offset)
        waves += [wave(angle) for wave in _WAVES[clock.waveform]]
    steps = _walking(command, clock) | _settling(golden, contract)[:, :-1].astype(bool)
    return np.stack(waves, axis=2) * steps[:, :, None]


def _walking(command: np.ndarray, clock: GaitClock) -> np.ndarray:
    """(sequences, steps) bool, of followed commands."""
    return np.linalg.norm(command[:, :, :3], axis=2) >= clock.stand_below


def _settling(golden: Dict[str, np.ndarray], contract: PolicyContract) -> np.ndarray:
    """Steps that the clock still goes on for, before every step and after the last, (sequences, steps + 1)."""
    assert contract.gait_clock is not None
    walking = _walking(_followed_command(golden, contract), contract.gait_clock)
    settling = np.zeros((len(walking), walking.shape[1] + 1))
    for step in range(walking.shape[1]):
        left = np.maximum(settling[:, step] - 1, 0)
        settling[:, step + 1] = np.where(walking[:, step], contract.settle_steps, left)
    return settling


def _check_observation(
    golden: Dict[str, np.ndarray], contract: PolicyContract, quantities: Dict[str, np.ndarray]
) -> None:
    """The last observation of every sequence, frame by frame (oldest first) and term by term."""
    observation = golden["out.observation"].squeeze(axis=1).astype(np.float64)
    steps = golden["in.command"].shape[1]
    mean, std = contract.observation_mean or 0.0, contract.observation_std or 1.0
    observation = observation * np.array(std) + np.array(mean)
    column = 0
    for age in reversed(range(contract.history_length)):
        step = steps - 1 - age
        for term in contract.terms:
            width = contract.term_width(term.name)
            found = observation[:, column : column + width]
            fields = f"terms ({term.name}), history_length, history_start, observation_mean and observation_std"
            predicted = quantities[term.name][:, max(0, step)] * np.array(term.scale)
            if step < 0 and contract.history_start == "zeros":
                predicted = np.zeros_like(predicted)
            _compare(fields, found, predicted)
            column += width


def _compare(fields: str, found: np.ndarray, predicted: np.ndarray) -> None:
    error = np.abs(found - predicted)
    if not np.all(error <= TOLERANCE * np.maximum(1.0, np.abs(predicted))):
        raise untrusted(
            f"golden vectors that the contract's {fields} explain", f"a difference of {float(np.max(error)):.3g}"
        )
