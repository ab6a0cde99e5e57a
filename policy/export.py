"""From a torch policy to a sealed bundle, and back."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any, Dict, Tuple, Union

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from policy.adaptation_actor import AdaptationActor
from policy.bundle import GOLDEN_STEP_OUTPUTS, MINIMUM_GOLDEN_SEQUENCES, Bundle, BundleError, Lineage, write_bundle
from policy.contract import OUTPUTS, SIGNALS, PolicyContract
from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from robot_configs.robot import RobotModel

# onnxruntime 1.16, the newest for the robot's Python 3.8, reads opset 17 and IR 8.
OPSET = 17
GOLDEN_STEPS = 8
GOLDEN_SEED = 20240101
_PREFIX = "actor."


def export_bundle(
    graph: PolicyGraph, path: Union[str, Path], lineage: Lineage, version: int, robot: RobotModel
) -> Bundle:
    """Export, record golden vectors with torch, and seal."""
    graph.contract.check_robot(robot)
    single = _Exportable(graph.contract, graph.actor).eval()
    return write_bundle(
        path, graph.contract, onnx_bytes(single), golden_vectors(single), lineage, version, robot.sha256
    )


class _Exportable(PolicyGraph):
    """The graph with every input in use: the exporter would drop those that no observation term needs."""

    def forward(self, *signals: torch.Tensor) -> Tuple[torch.Tensor, ...]:
        target, action, mean, std, log_prob, observation, memory = super().forward(*signals)
        nothing = 0.0 * torch.cat(signals, dim=1).sum(dim=1)
        return target, action, mean, std, log_prob + nothing, observation, memory


def onnx_bytes(graph: PolicyGraph) -> bytes:
    """The graph as ONNX, batch-dynamic, with its weights under their own names."""
    widths = graph.contract.signal_widths()
    inputs = tuple(torch.ones(2, widths[name]) for name, _ in SIGNALS)
    stream: Any = io.BytesIO()  # torch accepts a stream; its annotation names paths only
    with warnings.catch_warnings():
        # The TorchScript exporter is deprecated, but the newer one writes an IR that the robot's onnxruntime refuses.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            graph,
            inputs,
            stream,
            dynamo=False,
            opset_version=OPSET,
            do_constant_folding=False,  # keeps every weight an initialiser of its own name, for `load_graph`
            input_names=[name for name, _ in SIGNALS],
            output_names=list(OUTPUTS),
            dynamic_axes={name: {0: "batch"} for name in [*(signal for signal, _ in SIGNALS), *OUTPUTS]},
        )
    return stream.getvalue()


@torch.no_grad()
def golden_vectors(graph: PolicyGraph) -> Dict[str, np.ndarray]:
    """Input and output sequences through memory: random but plausible signals, computed by torch."""
    generator = torch.Generator().manual_seed(GOLDEN_SEED)
    contract, count = graph.contract, MINIMUM_GOLDEN_SEQUENCES
    widths = contract.signal_widths()
    default = torch.tensor(contract.default_position)
    lower = torch.tensor([term.lower for term in contract.commands])
    upper = torch.tensor([term.upper for term in contract.commands])

    def normal(width: int) -> torch.Tensor:
        return torch.randn(count, GOLDEN_STEPS, width, generator=generator)

    signals = {
        "orientation_trunk_in_world": torch.tensor([1.0, 0, 0, 0]) + 0.2 * normal(4),
        "angular_velocity_trunk_in_trunk": normal(3),
        "joint_position": default + 0.3 * normal(12),
        "joint_velocity": 3.0 * normal(12),
        "command": lower + (upper - lower) * torch.rand(count, 1, contract.command_dim, generator=generator),
        "noise": normal(widths["noise"]),
    }
    signals["command"] = signals["command"].repeat(1, GOLDEN_STEPS, 1)
    signals["command"][: count // 8] = 0.0
    if contract.settle_steps:
        signals["command"][count // 8 : count // 4, GOLDEN_STEPS // 2 :] = 0.0  # told to stand on the way
    signals["orientation_trunk_in_world"] /= signals["orientation_trunk_in_world"].norm(dim=2, keepdim=True)
    memory = torch.zeros(count, contract.memory_dim)
    steps: Dict[str, list[torch.Tensor]] = {name: [] for name in OUTPUTS}
    for step in range(GOLDEN_STEPS):
        outputs = graph(*(signals[name][:, step] for name, _ in SIGNALS if name != "memory"), memory)
        memory = outputs[-1]
        for name, output in zip(OUTPUTS, outputs, strict=True):
            steps[name].append(output.reshape(count, -1))
    golden = {f"in.{name}": array.numpy() for name, array in signals.items()}
    for name, rows in steps.items():
        golden[f"out.{name}"] = torch.stack(rows if name in GOLDEN_STEP_OUTPUTS else rows[-1:], dim=1).numpy()
    return golden


def load_graph(bundle: Bundle) -> PolicyGraph:
    """The torch policy inside a bundle, ready to learn further.

    Raises:
        BundleError: the ONNX graph does not hold the weights of a `GaussianActor` or an `AdaptationActor`.
    """
    model = onnx.load_from_string(bundle.onnx_bytes)
    weights = {
        tensor.name[len(_PREFIX) :]: torch.from_numpy(numpy_helper.to_array(tensor).copy())
        for tensor in model.graph.initializer
        if tensor.name.startswith(_PREFIX)
    }
    actor = _actor_of_shape(bundle.contract, weights)
    missing = set(actor.state_dict()) ^ set(weights)
    if missing:
        raise BundleError(
            "the weights of a Gaussian actor in the graph",
            f"differences at {sorted(missing)}",
            "Export the policy anew.",
        )
    actor.load_state_dict(weights)
    return PolicyGraph(bundle.contract, actor)


def _actor_of_shape(contract: PolicyContract, weights: Dict[str, torch.Tensor]) -> GaussianActor:
    """An actor of the kind and with the hidden widths that the weights themselves show."""
    observation, action = contract.observation_dim, contract.action_dim
    hidden = _layer_widths(weights, "mean_network")[:-1]
    adaptation = _layer_widths(weights, "adaptation_network")
    if not adaptation:
        return GaussianActor(observation, action, hidden, initial_std=1.0)
    return AdaptationActor(observation, action, hidden, 1.0, adaptation[:-1], adaptation[-1])


def _layer_widths(weights: Dict[str, torch.Tensor], network: str) -> Tuple[int, ...]:
    """Outputs of every linear layer of a network; none where there is no such network."""
    layers = sorted(
        (name for name in weights if name.startswith(f"{network}.") and name.endswith(".weight")),
        key=lambda name: int(name.split(".")[1]),
    )
    return tuple(weights[name].shape[0] for name in layers)
