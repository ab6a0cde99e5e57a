"""Perceptrons in state_dicts and TorchScript archives."""

from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
import torch
from torch import nn

from policy.importers.import_error import PolicyImportError
from policy.importers.linear_layers import (
    fill,
    perceptron_from_script,
    perceptron_from_state,
    require_widths,
)
from policy.importers.torch_archive import read_script
from policy.networks import mlp
from tests.policy.importers.torch_files import perceptron, save_script

State = dict[str, Any]


def state_of(*widths: int) -> State:
    return {f"net.{name}": value.numpy() for name, value in perceptron(*widths).state_dict().items()}


def test_weights_arrive_where_they_belong() -> None:
    network = perceptron(5, 7, 4, 3)
    state = {f"net.{name}": value.numpy() for name, value in network.state_dict().items()}
    found = perceptron_from_state({**state, "other.0.weight": None}, "net.", "policy.pt")
    assert (found.inputs, found.hidden_dims, found.outputs, found.widths) == (5, (7, 4), 3, "5-7-4-3")
    ours = mlp(5, (7, 4), 3)
    fill(ours, found)
    given = torch.randn(6, 5)
    torch.testing.assert_close(ours(given), network(given))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.clear(), "the entries net.0.weight"),
        (lambda state: state.pop("net.2.bias"), r"no net\.2\.bias"),
        (lambda state: state.update({"net.3.weight": 0, "net.3.bias": 0}), "found 0, 2, 3, 4"),
        (lambda state: state.update({"net.0.bias": np.zeros((7, 1), np.float32)}), "a bias of rank 1 in layer 0"),
        (lambda state: state.update({"net.0.weight": "text"}), "a weight of rank 2 in layer 0.*found str"),
        (lambda state: state.update({"net.2.weight": np.zeros((4, 6), np.float32)}), "layer 1 of .* with 7 inputs"),
        (lambda state: state.update({"net.2.bias": np.zeros(5, np.float32)}), "a bias for each output"),
        (lambda state: state.update({"net.2.bias": np.zeros(4)}), "float32 numbers"),
        (lambda state: state["net.4.weight"].fill(np.nan), "finite numbers in the weight of layer 2"),
    ],
)
def test_a_state_dict_that_is_no_perceptron(change: Callable[[State], object], message: str) -> None:
    state = {name: value.copy() for name, value in state_of(5, 7, 4, 3).items()}
    change(state)
    with pytest.raises(PolicyImportError, match=message):
        perceptron_from_state(state, "net.", "policy.pt")


def test_widths_of_another_preset() -> None:
    network = perceptron_from_state(state_of(290, 8, 12), "net.", "policy.pt")
    require_widths(network, 290, 12, "58 x 5")
    with pytest.raises(PolicyImportError, match=r"45 inputs \(45 x 1\).*found 290 \(the network is 290-8-12\)"):
        require_widths(network, 45, 12, "45 x 1")
    with pytest.raises(PolicyImportError, match="24 outputs"):
        require_widths(network, 290, 24, "58 x 5")


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), "ELU as entry 1 .*found torch.*ReLU"),
        (nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)), "ELU as entry 1 .*found torch.*Linear"),
        (nn.Sequential(nn.Linear(3, 4), nn.ELU()), "a Linear as the last entry"),
        (nn.Sequential(nn.LayerNorm(3), nn.ELU(), nn.Linear(3, 2)), "Linear as entry 0 .*LayerNorm"),
        (nn.Linear(3, 4), "Sequential .*found torch.*Linear"),
    ],
)
def test_a_script_of_another_architecture(tmp_path: Path, network: nn.Module, message: str) -> None:
    path = save_script(network, tmp_path / "body.jit")
    with pytest.raises(PolicyImportError, match=message):
        perceptron_from_script(read_script(path).content, path.name)
