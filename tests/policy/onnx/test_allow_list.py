"""Hostile graphs: each refused in its own words, under a right seal, before onnxruntime sees a byte of it."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from policy.bundle import Bundle, BundleError
from policy.onnx_allow_list import CHOICES, OPERATORS, read_graph
from tests.policy.onnx.bench import attribute_of, node_of, refused


def test_what_the_exporter_writes_passes(bundle: Bundle, model: onnx.ModelProto) -> None:
    graph = read_graph(model.SerializeToString(), bundle.contract)
    assert [node.operator for node in graph.nodes] == [node.op_type for node in model.graph.node]
    for tensor in model.graph.initializer:
        np.testing.assert_array_equal(graph.initializers[tensor.name], numpy_helper.to_array(tensor))


def external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.external_data.add(key="location", value="../../etc/shadow")


def subgraph(model: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("If", ["command"], ["chosen"], then_branch=body, else_branch=body))


def hidden_subgraph(model: onnx.ModelProto) -> None:
    attribute = node_of(model, "Elu").attribute.add(name="body", type=onnx.AttributeProto.GRAPH)
    attribute.g.name = "body"


def function(model: onnx.ModelProto) -> None:
    model.functions.append(helper.make_function("ours", "f", [], [], [], []))


def weight(model: onnx.ModelProto, value: float) -> None:
    tensor = model.graph.initializer[0]
    array = numpy_helper.to_array(tensor).copy()
    array.reshape(-1)[0] = value
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def float_data(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.float_data.extend([0.0] * int(np.prod(tensor.dims)))


def many_nodes(model: onnx.ModelProto) -> None:
    for number in range(2048):
        model.graph.node.append(helper.make_node("Neg", ["command"], [f"n{number}"]))


def swap_nodes(model: onnx.ModelProto) -> None:
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))


HOSTILE: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "external data": (external, "no external_data in a TensorProto"),
    "data location": (lambda m: setattr(m.graph.initializer[0], "data_location", 1), "no data_location"),
    "control flow": (subgraph, "(no g in a AttributeProto|the operator 'If')"),
    "hidden subgraph": (hidden_subgraph, "no g in a AttributeProto"),
    "function": (function, "no functions in a ModelProto"),
    "training": (lambda m: m.training_info.add(), "no training_info"),
    "metadata": (lambda m: m.metadata_props.add(key="a", value="b" * 10**6), "no metadata_props in a ModelProto"),
    "node metadata": (lambda m: m.graph.node[0].metadata_props.add(key="a"), "no metadata_props in a NodeProto"),
    "doc string": (lambda m: setattr(m, "doc_string", "x" * 10**6), "no doc_string"),
    "graph doc string": (lambda m: setattr(m.graph, "doc_string", "x"), "no doc_string in a GraphProto"),
    "model domain": (lambda m: setattr(m, "domain", "ai.evil"), "no domain in a ModelProto"),
    "custom domain": (lambda m: setattr(m.graph.node[0], "domain", "com.microsoft"), "no domain in a NodeProto"),
    "overload": (lambda m: setattr(m.graph.node[0], "overload", "x"), "no overload"),
    "imported domain": (lambda m: m.opset_import.add(domain="com.microsoft", version=1), "opset 17 alone"),
    "no opset": (lambda m: m.ClearField("opset_import"), "opset 17 alone"),
    "older opset": (lambda m: setattr(m.opset_import[0], "version", 16), "opset 17 alone"),
    "newer opset": (lambda m: setattr(m.opset_import[0], "version", 18), "opset 17 alone"),
    "no IR version": (lambda m: m.ClearField("ir_version"), "IR version 8"),
    "older IR": (lambda m: setattr(m, "ir_version", 7), "IR version 8"),
    "newer IR": (lambda m: setattr(m, "ir_version", 9), "IR version 8"),
    "no graph": (lambda m: m.ClearField("graph"), "a graph"),
    "unknown operator": (lambda m: setattr(node_of(m, "Elu"), "op_type", "Loop"), "the operator 'Loop'"),
    "sequence operator": (lambda m: setattr(node_of(m, "Elu"), "op_type", "SequenceConstruct"), "SequenceConstruct"),
    "random operator": (lambda m: setattr(node_of(m, "Elu"), "op_type", "RandomNormalLike"), "RandomNormalLike"),
    "other case": (lambda m: setattr(node_of(m, "Elu"), "op_type", "elu"), "the operator 'elu'"),
    "sparse": (lambda m: m.graph.sparse_initializer.add(), "no sparse_initializer"),
    "quantization": (lambda m: m.graph.quantization_annotation.add(), "no quantization_annotation"),
    "value info": (lambda m: m.graph.value_info.add(name="a"), "no value_info"),
    "strings": (lambda m: m.graph.initializer[0].string_data.append(b"a"), "no string_data"),
    "float data": (float_data, "no float_data"),
    "segment": (lambda m: m.graph.initializer[0].segment.SetInParent(), "no segment"),
    "other type": (lambda m: setattr(m.graph.initializer[0], "data_type", TensorProto.STRING), "of a type among"),
    "no type": (lambda m: m.graph.initializer[0].ClearField("data_type"), "of a type among"),
    "truth values": (lambda m: setattr(m.graph.initializer[0], "data_type", TensorProto.BOOL), "of a type among"),
    "half floats": (lambda m: setattr(m.graph.initializer[0], "data_type", TensorProto.FLOAT16), "of a type among"),
    "huge dimension": (lambda m: m.graph.initializer[0].dims.__setitem__(0, 2**62), "dimensions of 1 to 8192"),
    "long dimension": (lambda m: m.graph.initializer[0].dims.__setitem__(0, 8193), "dimensions of 1 to 8192"),
    "no numbers": (lambda m: m.graph.initializer[0].dims.__setitem__(0, 0), "dimensions of 1 to 8192"),
    "negative dimension": (lambda m: m.graph.initializer[0].dims.__setitem__(0, -1), "dimensions of 1 to 8192"),
    "more data": (lambda m: m.graph.initializer[0].dims.__setitem__(0, 7), "28 bytes for"),
    "less data": (lambda m: m.graph.initializer[0].dims.__setitem__(0, 8191), "32764 bytes for"),
    "no data": (lambda m: m.graph.initializer[0].ClearField("raw_data"), "bytes for .*0 bytes"),
    "rank": (lambda m: m.graph.initializer[0].dims.extend([1, 1, 1]), "at most 3 dims"),
    "infinite weight": (lambda m: weight(m, np.inf), "a NaN or an infinity"),
    "NaN weight": (lambda m: weight(m, np.nan), "a NaN or an infinity"),
    "nameless weight": (lambda m: setattr(m.graph.initializer[0], "name", ""), "a name of its own"),
    "twice a weight": (lambda m: m.graph.initializer.append(m.graph.initializer[0]), "a name of its own"),
    "weight over input": (lambda m: setattr(m.graph.initializer[0], "name", "command"), "a name of its own"),
    "twice an output": (lambda m: m.graph.node.append(m.graph.node[3]), "a name of its own"),
    "many nodes": (many_nodes, "at most 2048 node"),
    "unsorted": (swap_nodes, "computed before it"),
    "unknown input": (lambda m: node_of(m, "Elu").input.__setitem__(0, "ghost"), "computed before it"),
    "left-out input": (lambda m: node_of(m, "Clip").input.__setitem__(1, ""), "computed before it"),
    "more outputs": (lambda m: node_of(m, "Elu").output.append("more"), "1 to 1 outputs of Elu"),
    "no outputs": (lambda m: node_of(m, "Elu").output.pop(), "1 to 1 outputs of Elu"),
    "other attribute": (lambda m: setattr(node_of(m, "Elu").attribute[0], "name", "beta"), "attributes .* of Elu"),
    "no attribute": (lambda m: node_of(m, "Gemm").attribute.pop(), "attributes .* of Gemm"),
    "twice an attribute": (
        lambda m: node_of(m, "Elu").attribute.append(node_of(m, "Elu").attribute[0]),
        "each once",
    ),
    "attribute of another type": (lambda m: setattr(node_of(m, "Elu").attribute[0], "type", 2), "of type 2"),
    "attribute without a type": (lambda m: node_of(m, "Elu").attribute[0].ClearField("type"), "of type None"),
    "attribute without anything": (lambda m: node_of(m, "Elu").attribute[0].Clear(), "'' of type None"),
    "attribute without a value": (lambda m: node_of(m, "Elu").attribute[0].ClearField("f"), "in field f"),
    "attribute with two values": (lambda m: setattr(node_of(m, "Elu").attribute[0], "i", 2), "in field f"),
    "infinite attribute": (lambda m: setattr(node_of(m, "Elu").attribute[0], "f", np.inf), "a finite alpha"),
    "sum that keeps two": (
        lambda m: setattr(attribute_of(m, "ReduceSum", "keepdims"), "i", 2),
        "keepdims of ReduceSum",
    ),
    "sum that keeps less": (
        lambda m: setattr(attribute_of(m, "ReduceSum", "keepdims"), "i", -1),
        "keepdims of ReduceSum",
    ),
    "product as it stands": (lambda m: setattr(attribute_of(m, "Gemm", "transB"), "i", 0), "transB of Gemm"),
    "product turned twice": (lambda m: setattr(attribute_of(m, "Gemm", "transB"), "i", 2), "transB of Gemm"),
    "rounding cast": (lambda m: setattr(attribute_of(m, "Cast", "to"), "i", TensorProto.INT8), "to of Cast"),
    "cast to texts": (lambda m: setattr(attribute_of(m, "Cast", "to"), "i", TensorProto.STRING), "to of Cast"),
    "attribute reference": (
        lambda m: setattr(node_of(m, "Elu").attribute[0], "ref_attr_name", "x"),
        "no ref_attr_name",
    ),
    "long name": (lambda m: setattr(m.graph.node[0], "name", "x" * 257), "at most 256 bytes in name"),
    "control characters": (lambda m: setattr(m.graph.node[0], "name", "a\nb"), "printable ASCII"),
    "other script": (lambda m: setattr(m.graph.node[0], "name", "ä"), "printable ASCII"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_graph_is_refused_in_its_own_words(name: str, model: onnx.ModelProto) -> None:
    change, message = HOSTILE[name]
    change(model)
    refused(model, message)


def test_an_output_that_is_only_an_input_is_refused(model: onnx.ModelProto) -> None:
    last = next(node for node in model.graph.node if "joint_target" in node.output)
    last.output[0] = "elsewhere"
    refused(model, "none for joint_target")


INPUTS = {
    0: ("Constant",),
    1: ("Cast", "ConstantOfShape", "Cos", "Elu", "Exp", "Floor", "Log", "Neg", "Not", "Shape", "Sin", "Sqrt"),
    2: ("Add", "Div", "Expand", "Gather", "Less", "Max", "Min", "Mul", "ReduceSum", "Split", "Squeeze", "Sub", "Tile")
    + ("Unsqueeze",),
    3: ("Clip", "Gemm"),
    5: ("Slice",),
}


@pytest.mark.parametrize(("operator", "count"), [(name, count) for count, names in INPUTS.items() for name in names])
def test_an_operator_with_an_input_more_or_less_is_refused(
    operator: str, count: int, bundle: Bundle, model: onnx.ModelProto
) -> None:
    for wrong in {abs(count - 1), count + 1}:
        del model.graph.node[:]
        model.graph.node.append(helper.make_node(operator, ["command"] * wrong, ["more"]))
        with pytest.raises(BundleError, match=f"{count} to {count} inputs of {operator}"):
            read_graph(model.SerializeToString(), bundle.contract)


@pytest.mark.parametrize("count", [1, 32])
def test_one_to_32_tensors_are_joined_and_parted(count: int, bundle: Bundle, model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Concat", ["command"] * count, ["joined"], axis=0))
    parts = [f"part{number}" for number in range(count)]
    model.graph.node.append(helper.make_node("Split", ["joined", "command"], parts, axis=0))
    assert read_graph(model.SerializeToString(), bundle.contract).nodes[-1].outputs == tuple(parts)


def test_nothing_is_neither_joined_nor_parted_into(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Concat", [], ["joined"], axis=0))
    refused(model, "1 to 32 inputs of Concat")
    model.graph.node[-1].CopyFrom(helper.make_node("Split", ["command", "command"], [], axis=0))
    refused(model, "1 to 32 outputs of Split")


def test_a_dimension_may_be_8192_long(bundle: Bundle, model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.zeros((8192, 1), np.float32), "long"))
    assert read_graph(model.SerializeToString(), bundle.contract).initializers["long"].shape == (8192, 1)


def test_everything_allowed_is_in_our_policies() -> None:
    """Nothing too much: operators, types and choices that the exporter stops writing leave the lists."""
    import dataclasses

    import torch

    from policy.export import _Exportable, onnx_bytes
    from policy.networks import GaussianActor
    from policy.presets import walk_these_ways_contract
    from policy.velocity_contract import velocity_contract
    from robot_configs.robot import load_robot

    torch.set_num_threads(1)
    robot, operators, types, choices = load_robot(), set(), set(), set()
    velocity = velocity_contract(robot)
    for contract in (velocity, dataclasses.replace(velocity, history_length=2), walk_these_ways_contract(robot)):
        actor = GaussianActor(contract.observation_dim, contract.action_dim, (8,), 0.4)
        graph = read_graph(onnx_bytes(_Exportable(contract, actor).eval()), contract)
        operators |= {node.operator for node in graph.nodes}
        values = [node.attributes["value"] for node in graph.nodes if "value" in node.attributes]
        types |= {array.dtype for array in [*values, *graph.initializers.values()]}
        choices |= {choice for node in graph.nodes for choice in node.attributes.items() if choice[0] in CHOICES}
    assert operators == set(OPERATORS)
    assert types == {np.dtype("float32"), np.dtype("int64"), np.dtype("float64")}
    assert choices == {("keepdims", 0), ("keepdims", 1), ("to", TensorProto.FLOAT), ("transB", 1)}
