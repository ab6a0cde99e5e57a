"""Small graphs that would fill the memory, and shapes that do not fit: refused before anything is allocated."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from policy.bundle import Bundle, BundleError
from policy.onnx_allow_list import Graph, Node, read_graph
from policy.onnx_shapes import Tensor, check_shapes, infer, known
from tests.policy.onnx.bench import node_of, refused


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
        constant("first", [0]),
        helper.make_node("Gather", ["command", "first"], ["row"], axis=0),
        constant("axis", [0]),
        helper.make_node("Squeeze", ["row", "axis"], ["size"]),
        helper.make_node("Expand", ["command", "size"], ["b"]),
    )
    refused(model, "depends on the signals")


def test_operands_that_do_not_fit_are_refused(model: onnx.ModelProto) -> None:
    node_of(model, "Add").input[1] = "joint_position"
    node_of(model, "Add").input[0] = "command"
    refused(model, "operands that fit Add")


def test_a_batch_is_of_4096_and_not_one_more(bundle: Bundle) -> None:
    graph = read_graph(bundle.onnx_bytes, bundle.contract)
    check_shapes(graph, bundle.contract, 4096)
    with pytest.raises(BundleError, match="a batch of at most 4096"):
        check_shapes(graph, bundle.contract, 4097)


def computing(bundle: Bundle, *nodes: Node, **outputs: tuple[int, ...]) -> Graph:
    """A graph of these nodes whose outputs are there without being computed, of the right shapes but for `outputs`."""
    widths = bundle.contract.output_widths()
    shapes = {name: (1, width) if width else (1,) for name, width in widths.items()} | outputs
    given = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    return Graph(nodes, {**given, "one": np.ones(1, np.int64), "size": np.array([2**22])})


def test_a_graph_computes_67108864_numbers_and_not_one_more(bundle: Bundle) -> None:
    """16 times 2^22 are 2^26."""
    nodes = [Node("Expand", ("one", "size"), (f"n{number}",), {}) for number in range(16)]
    check_shapes(computing(bundle, *nodes), bundle.contract, 1)
    with pytest.raises(BundleError, match="at most 67108864 numbers computed"):
        check_shapes(computing(bundle, *nodes, Node("Neg", ("one",), ("last",), {})), bundle.contract, 1)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("joint_target", (1, 11)),
        ("joint_target", (1, 13)),
        ("joint_target", (2, 12)),
        ("joint_target", (12,)),
        ("log_prob", (1, 1)),
        ("log_prob", ()),
    ],
)
def test_an_output_of_another_shape_is_refused(bundle: Bundle, name: str, shape: tuple[int, ...]) -> None:
    check_shapes(computing(bundle), bundle.contract, 1)
    with pytest.raises(BundleError, match=f"graph output {name} of shape"):
        check_shapes(computing(bundle, **{name: shape}), bundle.contract, 1)


def test_inferred_shapes_are_those_that_onnx_computes(bundle: Bundle, model: onnx.ModelProto) -> None:
    """Every tensor of the shipped graph, against the reference evaluator."""
    from onnx.reference import ReferenceEvaluator

    graph = read_graph(bundle.onnx_bytes, bundle.contract)
    feeds = {name: np.ones((3, width), np.float32) for name, width in bundle.contract.signal_widths().items()}
    names = [name for node in graph.nodes for name in node.outputs]
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    computed = dict(zip(names, ReferenceEvaluator(model).run(None, feeds), strict=True))
    tensors = {name: Tensor(array.shape) for name, array in feeds.items()}
    tensors |= {name: known(array) for name, array in graph.initializers.items()}
    for node in graph.nodes:
        for name, tensor in zip(node.outputs, infer(node, [tensors[i] for i in node.inputs]), strict=True):
            tensors[name] = tensor
            assert tensor.shape == np.shape(computed[name]), (node.operator, name)
            if tensor.value is not None:
                np.testing.assert_array_equal(tensor.value, computed[name])
