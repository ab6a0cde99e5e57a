"""Inputs and outputs of a graph: exactly those of its contract, in names, order, type and width."""

from collections.abc import Callable
from typing import Any

import onnx
import pytest
from onnx import TensorProto

from policy.bundle import Bundle, BundleError
from policy.onnx_allow_list import read_graph
from tests.policy.onnx.bench import delimited, refused


def sizes(entry: onnx.ValueInfoProto) -> Any:
    """Its dimensions, to be changed."""
    return entry.type.tensor_type.shape.dim


def of_type(entry: onnx.ValueInfoProto, number: int) -> None:
    entry.type.tensor_type.elem_type = number


FOREIGN: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "renamed input": (lambda m: setattr(m.graph.input[4], "name", "orders"), "graph inputs"),
    "swapped inputs": (lambda m: m.graph.input.sort(key=lambda entry: entry.name), "graph inputs"),
    "another input": (lambda m: m.graph.input.append(m.graph.input[0]), "graph inputs"),
    "fewer inputs": (lambda m: m.graph.input.pop(), "graph inputs"),
    "other width": (lambda m: setattr(sizes(m.graph.input[2])[1], "dim_value", 18), "graph inputs"),
    "fixed batch": (lambda m: setattr(sizes(m.graph.input[2])[0], "dim_value", 1), "graph inputs"),
    "double input": (lambda m: of_type(m.graph.input[2], TensorProto.DOUBLE), "float tensors, joint_position"),
    "input of no type": (lambda m: of_type(m.graph.input[2], TensorProto.UNDEFINED), "float tensors, joint_position"),
    "untyped input": (lambda m: m.graph.input[2].ClearField("type"), "float tensors, joint_position"),
    "sequence input": (lambda m: m.graph.input[2].type.sequence_type.SetInParent(), "no sequence_type"),
    "empty dimension": (lambda m: sizes(m.graph.input[2])[1].Clear(), "a size or a name"),
    "renamed output": (lambda m: setattr(m.graph.output[0], "name", "action_mean2"), "graph outputs"),
    "another output": (lambda m: m.graph.output.append(m.graph.output[0]), "graph outputs"),
    "fewer outputs": (lambda m: m.graph.output.pop(), "graph outputs"),
    "narrow output": (lambda m: setattr(sizes(m.graph.output[0])[1], "dim_value", 11), "output joint_target"),
    "wide output": (lambda m: setattr(sizes(m.graph.output[0])[1], "dim_value", 13), "output joint_target"),
    "flat output": (lambda m: sizes(m.graph.output[0]).pop(), "output joint_target"),
    "deep output": (lambda m: sizes(m.graph.output[0]).add(dim_value=1), "output joint_target"),
    "output without dimensions": (lambda m: sizes(m.graph.output[4]).pop(), "output log_prob"),
    "output of another batch": (lambda m: setattr(sizes(m.graph.output[0])[0], "dim_param", "other"), "joint_target"),
    "output of one": (lambda m: setattr(sizes(m.graph.output[0])[0], "dim_value", 1), "output joint_target"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_border_that_is_not_the_contracts_is_refused(name: str, model: onnx.ModelProto) -> None:
    change, message = FOREIGN[name]
    change(model)
    refused(model, message)


def test_a_width_that_the_exporter_did_not_infer_may_have_a_name(bundle: Bundle, model: onnx.ModelProto) -> None:
    sizes(model.graph.output[0])[1].dim_param = "Clipjoint_target_dim_1"
    read_graph(model.SerializeToString(), bundle.contract)


def test_one_dimension_is_not_taken_for_two(bundle: Bundle, model: onnx.ModelProto) -> None:
    """One that is both called batch and 12 long: onnx's own classes can not hold it, a file can."""
    shape = delimited(1, delimited(2, b"batch") + b"\x08\x0c")
    tensor_type = b"\x08\x01" + delimited(2, shape)
    output = delimited(1, b"joint_target") + delimited(2, delimited(1, tensor_type))
    graph = onnx.GraphProto()
    graph.CopyFrom(model.graph)
    del graph.output[0]
    model.ClearField("graph")
    content = model.SerializeToString() + delimited(7, delimited(12, output) + graph.SerializeToString())
    with pytest.raises(BundleError, match="a size or a name for every dimension of joint_target"):
        read_graph(content, bundle.contract)
