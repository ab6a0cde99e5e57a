"""Hostile graphs: each refused in its own words, under a right seal, before onnxruntime sees a byte of it."""

import random
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from policy import onnx_messages
from policy.bundle import Bundle, BundleError, parse_bundle
from policy.onnx_allow_list import OPERATORS, read_graph
from policy.onnx_shapes import MAX_BATCH, check_shapes
from policy.protobuf_reader import FieldRule, MessageRule, parse_message
from tests.policy.resealed import SHIPPED, resealed


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return parse_bundle(SHIPPED)


@pytest.fixture
def model(bundle: Bundle) -> onnx.ModelProto:
    return onnx.load_from_string(bundle.onnx_bytes)


@pytest.fixture(autouse=True)
def no_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    """onnxruntime must not be asked."""

    def asked(*arguments: object, **options: object) -> None:
        raise AssertionError("onnxruntime was handed a graph")

    monkeypatch.setattr("onnxruntime.InferenceSession", asked)


def refused(model: onnx.ModelProto, message: str) -> None:
    """Under a seal that is right."""
    with pytest.raises(BundleError, match=message):
        parse_bundle(resealed(onnx_bytes=model.SerializeToString()))


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


def node_of(model: onnx.ModelProto, operator: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.op_type == operator)


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


# Shapes


def bomb(model: onnx.ModelProto, *nodes: onnx.NodeProto) -> None:
    """Appended to the graph."""
    model.graph.node.extend(nodes)


def constant(name: str, values: list[int]) -> onnx.NodeProto:
    value = numpy_helper.from_array(np.array(values, dtype=np.int64))
    return helper.make_node("Constant", [], [name], value=value)


BOMBS = {
    "Expand": lambda m: bomb(
        m, constant("s", [8000, 8000]), constant("one", [1]), helper.make_node("Expand", ["one", "s"], ["b"])
    ),
    "ConstantOfShape": lambda m: bomb(
        m,
        constant("s", [2**40]),
        helper.make_node("ConstantOfShape", ["s"], ["b"], value=helper.make_tensor("", 1, [1], b"\0" * 4, raw=True)),
    ),
    "Tile": lambda m: bomb(m, constant("s", [1, 2**40]), helper.make_node("Tile", ["command", "s"], ["b"])),
    "outer product": lambda m: bomb(
        m,
        constant("s", [4000, 1]),
        constant("t", [1, 4000]),
        constant("one", [1]),
        helper.make_node("Expand", ["one", "s"], ["b"]),
        helper.make_node("Expand", ["one", "t"], ["c"]),
        helper.make_node("Mul", ["b", "c"], ["d"]),
    ),
    "Concat": lambda m: bomb(
        m,
        constant("s", [2**21]),
        constant("one", [1]),
        helper.make_node("Expand", ["one", "s"], ["b"]),
        helper.make_node("Concat", ["b"] * 32, ["c"], axis=0),
    ),
    "ranks": lambda m: bomb(
        m, constant("axes", [0, 1, 2, 3]), helper.make_node("Unsqueeze", ["command", "axes"], ["b"])
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_small_file_that_would_fill_the_memory_is_refused(name: str, model: onnx.ModelProto) -> None:
    BOMBS[name](model)
    refused(model, "at most 4194304 numbers in 3 dimensions")


def test_many_large_tensors_are_refused_together(model: onnx.ModelProto) -> None:
    bomb(model, constant("s", [2**21]), constant("one", [1]), helper.make_node("Expand", ["one", "s"], ["b0"]))
    for number in range(40):
        bomb(model, helper.make_node("Neg", [f"b{number}"], [f"b{number + 1}"]))
    refused(model, "at most 67108864 numbers computed")


def test_shapes_that_depend_on_the_robots_signals_are_refused(model: onnx.ModelProto) -> None:
    bomb(
        model,
        helper.make_node("Cast", ["command"], ["i"], to=TensorProto.INT64),
        helper.make_node("Expand", ["command", "i"], ["b"]),
    )
    refused(model, "depends on the signals")


def test_operands_that_do_not_fit_are_refused(model: onnx.ModelProto) -> None:
    node_of(model, "Add").input[1] = "joint_position"
    node_of(model, "Add").input[0] = "command"
    refused(model, "operands that fit Add")


def test_a_batch_that_is_too_large_is_refused(bundle: Bundle) -> None:
    graph = read_graph(bundle.onnx_bytes, bundle.contract)
    check_shapes(graph, bundle.contract, MAX_BATCH)
    with pytest.raises(BundleError, match="a batch of at most"):
        check_shapes(graph, bundle.contract, MAX_BATCH + 1)


def test_inferred_shapes_are_those_that_onnx_computes(bundle: Bundle, model: onnx.ModelProto) -> None:
    """Every tensor of the shipped graph, against the reference evaluator."""
    from onnx.reference import ReferenceEvaluator

    from policy.onnx_shapes import Tensor, _infer, _known

    graph = read_graph(bundle.onnx_bytes, bundle.contract)
    feeds = {name: np.ones((3, width), np.float32) for name, width in bundle.contract.signal_widths().items()}
    names = [name for node in graph.nodes for name in node.outputs]
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    computed = dict(zip(names, ReferenceEvaluator(model).run(None, feeds), strict=True))
    tensors = {name: Tensor(array.shape) for name, array in feeds.items()}
    tensors |= {name: _known(array) for name, array in graph.initializers.items()}
    for node in graph.nodes:
        for name, tensor in zip(node.outputs, _infer(node, [tensors[i] for i in node.inputs]), strict=True):
            tensors[name] = tensor
            assert tensor.shape == np.shape(computed[name]), (node.operator, name)
            if tensor.value is not None:
                np.testing.assert_array_equal(tensor.value, computed[name])


# Wire format


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


RULE = MessageRule(
    "Test",
    {
        1: FieldRule("number", "integer"),
        2: FieldRule("names", "text", 2, 4),
        3: FieldRule("real", "float"),
        4: FieldRule("raw", "bytes", size_limit=3),
    },
    {9: "secret"},
)


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**31, 2**63 - 1, -1, -(2**63)])
def test_numbers_are_read_signed(value: int) -> None:
    assert parse_message(b"\x08" + varint(value % 2**64), RULE) == {"names": [], "number": value}


def test_every_kind_is_read() -> None:
    content = b"\x12\x01a\x12\x04bcde\x1d\x00\x00\x80\x3f\x22\x03\x00\x01\x02"
    assert parse_message(content, RULE) == {"names": ["a", "bcde"], "real": 1.0, "raw": b"\x00\x01\x02"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x08", "ends early"),
        (b"\x08\x80", "ends early"),
        (b"\x08\x80\x00", "shortest form"),
        (b"\x08" + b"\xff" * 10, "shortest form"),
        (b"\x08" + b"\xff" * 9 + b"\x02", "shortest form"),
        (b"\x80" * 11, "shortest form"),
        (b"\x12\x05abc", "ends early"),
        (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "ends early"),
        (b"\x1d\x00\x00", "ends early"),
        (b"\x0b", "wire type 3"),
        (b"\x0c", "wire type 4"),
        (b"\x0e", "wire type 6"),
        (b"\x00\x01", "number 0"),
        (b"\x0d\x00\x00\x00\x00", "wire type 0 for number"),
        (b"\x11" + bytes(8), "wire type 2 for names"),
        (b"\x10\x01", "wire type 2 for names"),
        (b"\x08\x01\x08\x01", "number once"),
        (b"\x12\x01a" * 3, "at most 2 names"),
        (b"\x12\x05abcde", "at most 4 bytes in names"),
        (b"\x22\x04abcd", "at most 3 bytes in raw"),
        (b"\x12\x01\x7f", "printable ASCII"),
        (b"\x12\x01\x1f", "printable ASCII"),
        (b"\x48\x01", "no secret in a Test"),
        (b"\x50\x01", "no field 10 in a Test"),
    ],
)
def test_liberties_of_the_wire_format_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        parse_message(content, RULE)


def fuzz(content: bytes, bundle: Bundle, rounds: int, seed: int) -> int:
    """Random edits of a graph's bytes: read, or refused with our own error. Returns how many were refused."""
    generator = random.Random(seed)
    refusals = 0
    for _ in range(rounds):
        edited = bytearray(content)
        for _ in range(generator.choice((1, 1, 2, 8))):
            place, kind = generator.randrange(len(edited)), generator.randrange(4)
            if kind == 0:
                edited[place] = generator.randrange(256)
            elif kind == 1:
                del edited[place : place + generator.randrange(1, 64)]
            elif kind == 2:
                edited[place:place] = generator.randbytes(generator.randrange(1, 16))
            else:
                start = generator.randrange(len(content))
                edited[place:place] = content[start : start + generator.randrange(1, 300)]
        try:
            check_shapes(read_graph(bytes(edited), bundle.contract), bundle.contract, 1)
        except BundleError:
            refusals += 1
    return refusals


@pytest.fixture
def small_graph(model: onnx.ModelProto) -> bytes:
    """Twenty nodes and one weight with the whole border: every kind of message, a tenth of the bytes to read."""
    del model.graph.initializer[1:]
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones(3, np.float32), "w"))
    del model.graph.node[20:]
    return model.SerializeToString()


def test_random_edits_of_a_graph_meet_no_other_error(bundle: Bundle, small_graph: bytes) -> None:
    started_s = time.process_time()
    assert fuzz(small_graph, bundle, 1000, seed=1) == 1000, "it lacks outputs: every edit of it is refused"
    # Weights are most of the whole graph's bytes, and most edits of them are other weights.
    assert 0 < fuzz(bundle.onnx_bytes, bundle, 50, seed=1)
    assert time.process_time() - started_s < 60.0


@pytest.mark.slow
def test_very_many_random_edits_of_a_graph_meet_no_other_error(bundle: Bundle, small_graph: bytes) -> None:
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert fuzz(small_graph, bundle, 100_000, seed=2) == 100_000
    assert fuzz(bundle.onnx_bytes, bundle, 2_000, seed=2) > 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 300 * 1024


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
