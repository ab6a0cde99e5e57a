"""Hostile graphs: each refused in its own words, under a right seal, before onnxruntime sees a byte of it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from policy import onnx_messages
from policy.bundle import Bundle
from policy.onnx_allow_list import OPERATORS, read_graph
from policy.protobuf_reader import MessageRule
from tests.policy.onnx.bench import node_of, refused


def test_the_rules_are_those_of_onnx() -> None:
    """Every field of every message we read, allowed or forbidden, has onnx's own number and name."""
    seen = set()

    def compare(rule: MessageRule, descriptor: Any) -> None:
        seen.add(rule.name)
        assert descriptor.name == rule.name
        named = {**{number: entry.name for number, entry in rule.fields.items()}, **rule.forbidden}
        found = {field.number: field.name for field in descriptor.fields}
        assert found.items() <= named.items() or found == named
        for number, entry in rule.fields.items():
            field = descriptor.fields_by_number[number]
            repeated = field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED
            assert repeated == (entry.limit > 1), field.full_name
            if entry.message is not None:
                compare(entry.message, field.message_type)

    compare(onnx_messages.MODEL, onnx.ModelProto.DESCRIPTOR)
    assert len(seen) == 11


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
    for number in range(onnx_messages.MAX_NODES):
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
    "older opset": (lambda m: setattr(m.opset_import[0], "version", 11), "opset 17 alone"),
    "newer opset": (lambda m: setattr(m.opset_import[0], "version", 18), "opset 17 alone"),
    "newer IR": (lambda m: setattr(m, "ir_version", 10), "IR version 8"),
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
    "half floats": (lambda m: setattr(m.graph.initializer[0], "data_type", TensorProto.FLOAT16), "of a type among"),
    "huge dimension": (lambda m: m.graph.initializer[0].dims.__setitem__(0, 2**62), "dimensions up to"),
    "negative dimension": (lambda m: m.graph.initializer[0].dims.__setitem__(0, -1), "dimensions up to"),
    "other size": (lambda m: m.graph.initializer[0].dims.__setitem__(0, 7), "28 bytes for"),
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
    "more inputs": (lambda m: node_of(m, "Elu").input.append("command"), "1 to 1 inputs of Elu"),
    "fewer inputs": (lambda m: node_of(m, "Clip").input.pop(), "3 to 3 inputs of Clip"),
    "more outputs": (lambda m: node_of(m, "Elu").output.append("more"), "1 to 1 outputs of Elu"),
    "no outputs": (lambda m: node_of(m, "Elu").output.pop(), "1 to 1 outputs of Elu"),
    "other attribute": (lambda m: setattr(node_of(m, "Elu").attribute[0], "name", "beta"), "attributes .* of Elu"),
    "no attribute": (lambda m: node_of(m, "Gemm").attribute.pop(), "attributes .* of Gemm"),
    "twice an attribute": (
        lambda m: node_of(m, "Elu").attribute.append(node_of(m, "Elu").attribute[0]),
        "each once",
    ),
    "attribute of another type": (lambda m: setattr(node_of(m, "Elu").attribute[0], "type", 2), "of type 2"),
    "attribute with two values": (lambda m: setattr(node_of(m, "Elu").attribute[0], "i", 2), "in field f"),
    "infinite attribute": (lambda m: setattr(node_of(m, "Elu").attribute[0], "f", np.inf), "a finite alpha"),
    "attribute reference": (
        lambda m: setattr(node_of(m, "Elu").attribute[0], "ref_attr_name", "x"),
        "no ref_attr_name",
    ),
    "long name": (lambda m: setattr(m.graph.node[0], "name", "x" * 257), "at most 256 bytes in name"),
    "control characters": (lambda m: setattr(m.graph.node[0], "name", "a\nb"), "printable ASCII"),
    "other script": (lambda m: setattr(m.graph.node[0], "name", "ä"), "printable ASCII"),
    "renamed input": (lambda m: setattr(m.graph.input[4], "name", "orders"), "graph inputs"),
    "swapped inputs": (lambda m: m.graph.input.sort(key=lambda entry: entry.name), "graph inputs"),
    "another input": (lambda m: m.graph.input.append(m.graph.input[0]), "graph inputs"),
    "other width": (
        lambda m: setattr(m.graph.input[2].type.tensor_type.shape.dim[1], "dim_value", 18),
        "graph inputs",
    ),
    "fixed batch": (lambda m: setattr(m.graph.input[2].type.tensor_type.shape.dim[0], "dim_value", 1), "graph inputs"),
    "other input type": (lambda m: setattr(m.graph.input[2].type.tensor_type, "elem_type", 11), "float tensors"),
    "sequence input": (lambda m: m.graph.input[2].type.sequence_type.SetInParent(), "no sequence_type"),
    "empty dimension": (lambda m: m.graph.input[2].type.tensor_type.shape.dim[1].Clear(), "a size or a name"),
    "renamed output": (lambda m: setattr(m.graph.output[0], "name", "action_mean2"), "graph outputs"),
    "fewer outputs": (lambda m: m.graph.output.pop(), "graph outputs"),
    "output width": (
        lambda m: setattr(m.graph.output[0].type.tensor_type.shape.dim[1], "dim_value", 11),
        "graph output joint_target",
    ),
    "output rank": (lambda m: m.graph.output[0].type.tensor_type.shape.dim.pop(), "graph output joint_target"),
    "output batch": (
        lambda m: setattr(m.graph.output[0].type.tensor_type.shape.dim[0], "dim_param", "other"),
        "graph output joint_target",
    ),
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


def test_every_operator_is_one_that_our_policies_use() -> None:
    """None too many: what the exporter stops writing leaves the list."""
    import dataclasses

    import torch

    from policy.export import _Exportable, onnx_bytes
    from policy.networks import GaussianActor
    from policy.presets import walk_these_ways_contract
    from policy.velocity_contract import velocity_contract
    from robot_configs.robot import load_robot

    torch.set_num_threads(1)
    robot, used = load_robot(), set()
    velocity = velocity_contract(robot)
    for contract in (velocity, dataclasses.replace(velocity, history_length=2), walk_these_ways_contract(robot)):
        actor = GaussianActor(contract.observation_dim, contract.action_dim, (8,), 0.4)
        graph = read_graph(onnx_bytes(_Exportable(contract, actor).eval()), contract)
        used |= {node.operator for node in graph.nodes}
    assert used == set(OPERATORS)
