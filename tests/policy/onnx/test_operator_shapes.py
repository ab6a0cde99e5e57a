"""What every operator makes of its operands, by the operator specification of ONNX (opset 17): shapes and integers."""

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from policy.bundle import BundleError
from policy.onnx_allow_list import Node
from policy.onnx_shapes import Tensor, infer, known

FILL = np.zeros(1, np.float32)
SEVEN = np.array([7])


def of(*shape: int) -> Tensor:
    """A tensor of which only the shape is known."""
    return Tensor(shape)


def holding(*values: Any) -> Tensor:
    """A vector of integers that stand in the file, or a matrix if rows are given."""
    return known(np.array(values, np.int64))


def a_number(value: int) -> Tensor:
    return known(np.array(value, np.int64))


def results(operator: str, operands: list[Tensor], attributes: dict[str, Any], count: int = 1) -> list[Tensor]:
    names = tuple(f"i{number}" for number in range(len(operands)))
    return infer(Node(operator, names, tuple(f"o{number}" for number in range(count)), attributes), operands)


Case = tuple[str, list[Tensor], dict[str, Any], list[Tensor]]
FITTING: list[Case] = [
    ("Neg", [of(2, 3)], {}, [of(2, 3)]),
    ("Neg", [holding(1)], {}, [of(1)]),
    ("Cast", [holding(5, 6)], {"to": 1}, [of(2)]),
    ("Add", [of(4, 1), of(3)], {}, [of(4, 3)]),
    ("Add", [holding(1), holding(2)], {}, [of(1)]),
    ("Clip", [of(2, 3), of(), of()], {}, [of(2, 3)]),
    ("Concat", [of(2, 3), of(2, 4)], {"axis": 1}, [of(2, 7)]),
    ("Concat", [of(2, 3), of(2, 4)], {"axis": -1}, [of(2, 7)]),
    ("Concat", [of(1, 3), of(2, 3)], {"axis": -2}, [of(3, 3)]),
    ("Concat", [of(2, 1, 4), of(2, 2, 4), of(2, 3, 4)], {"axis": 1}, [of(2, 6, 4)]),
    ("Concat", [of(2, 3)], {"axis": 0}, [of(2, 3)]),
    ("Concat", [holding(1, 2), holding(3)], {"axis": 0}, [holding(1, 2, 3)]),
    ("Concat", [holding([1], [2]), holding([3], [4])], {"axis": 1}, [holding([1, 3], [2, 4])]),
    ("Concat", [holding(1), of(1)], {"axis": 0}, [of(2)]),
    ("Concat", [of(1), holding(1)], {"axis": 0}, [of(2)]),
    ("Concat", [holding(*range(32))] * 2, {"axis": 0}, [holding(*range(32), *range(32))]),
    ("Concat", [holding(*range(32)), holding(*range(33))], {"axis": 0}, [of(65)]),
    ("Constant", [], {"value": np.array([[7, 8]])}, [holding([7, 8])]),
    ("Constant", [], {"value": np.zeros(3, np.float32)}, [of(3)]),
    ("ConstantOfShape", [holding(2, 3)], {"value": FILL}, [of(2, 3)]),
    ("ConstantOfShape", [holding(2)], {"value": SEVEN}, [holding(7, 7)]),
    ("ConstantOfShape", [holding(0)], {"value": SEVEN}, [holding()]),
    ("ConstantOfShape", [holding(65)], {"value": SEVEN}, [of(65)]),
    ("Expand", [of(1, 3), holding(4, 1)], {}, [of(4, 3)]),
    ("Expand", [of(3), holding(1)], {}, [of(3)]),
    ("Expand", [of(1), holding(0)], {}, [of(0)]),
    ("Gather", [of(3, 4), holding(0, 2)], {"axis": 1}, [of(3, 2)]),
    ("Gather", [of(3, 4), a_number(0)], {"axis": -2}, [of(4)]),
    ("Gather", [of(2, 3, 4), holding(0, 1, 2, 1, 0)], {"axis": 1}, [of(2, 5, 4)]),
    ("Gather", [holding(5, 6, 7), holding(2, -3)], {"axis": 0}, [holding(7, 5)]),
    ("Gather", [holding(5, 6, 7), a_number(1)], {"axis": 0}, [a_number(6)]),
    ("Gather", [holding([5, 6], [7, 8]), holding(1)], {"axis": 1}, [holding([6], [8])]),
    ("Gather", [holding(*[[1] * 8] * 8), holding(*[0] * 8)], {"axis": 0}, [holding(*[[1] * 8] * 8)]),
    ("Gather", [holding(*[[1] * 8] * 8), holding(*[0] * 9)], {"axis": 0}, [of(9, 8)]),
    ("Gemm", [of(5, 3), of(4, 3), of(4)], {"alpha": 1.0, "beta": 1.0, "transB": 1}, [of(5, 4)]),
    ("Gemm", [of(5, 3), of(4, 3), of(5, 1)], {"alpha": 1.0, "beta": 1.0, "transB": 1}, [of(5, 4)]),
    ("ReduceSum", [of(2, 3), holding(1)], {"keepdims": 1}, [of(2, 1)]),
    ("ReduceSum", [of(2, 3), holding(1)], {"keepdims": 0}, [of(2)]),
    ("ReduceSum", [of(2, 3), holding(-2)], {"keepdims": 0}, [of(3)]),
    ("ReduceSum", [of(2, 3, 4), holding(0, -1)], {"keepdims": 0}, [of(3)]),
    ("Shape", [of(2, 3)], {}, [holding(2, 3)]),
    ("Slice", [of(5, 6), holding(1), holding(4), holding(1), holding(1)], {}, [of(5, 3)]),
    ("Slice", [of(5, 6), holding(-2), holding(2**63 - 1), holding(-2), holding(1)], {}, [of(2, 6)]),
    ("Slice", [of(5, 6), holding(4), holding(2), holding(0), holding(1)], {}, [of(0, 6)]),
    ("Slice", [of(5, 6), holding(0, 1), holding(2, 4), holding(1, 0), holding(1, 1)], {}, [of(3, 2)]),
    ("Slice", [holding(5, 6, 7, 8), holding(1), holding(3), holding(0), holding(1)], {}, [holding(6, 7)]),
    ("Slice", [holding([5, 6], [7, 8]), holding(1), holding(2), holding(1), holding(1)], {}, [holding([6], [8])]),
    ("Split", [of(4, 6), holding(1, 5)], {"axis": 1}, [of(4, 1), of(4, 5)]),
    ("Split", [of(2, 4, 3), holding(1, 3)], {"axis": -2}, [of(2, 1, 3), of(2, 3, 3)]),
    ("Split", [of(4, 6), holding(4, 0)], {"axis": 0}, [of(4, 6), of(0, 6)]),
    ("Squeeze", [of(1, 3), holding(0)], {}, [of(3)]),
    ("Squeeze", [of(1, 3, 1), holding(2, -3)], {}, [of(3)]),
    ("Squeeze", [holding([5, 6]), holding(0)], {}, [holding(5, 6)]),
    ("Tile", [of(2, 3), holding(2, 1)], {}, [of(4, 3)]),
    ("Tile", [of(2, 3), holding(0, 1)], {}, [of(0, 3)]),
    ("Unsqueeze", [of(3), holding(0)], {}, [of(1, 3)]),
    ("Unsqueeze", [of(3), holding(-1, 0)], {}, [of(1, 3, 1)]),
    ("Unsqueeze", [a_number(5), holding(0)], {}, [holding(5)]),
]


@pytest.mark.parametrize(("operator", "operands", "attributes", "expected"), FITTING)
def test_an_operator_gives(
    operator: str, operands: list[Tensor], attributes: dict[str, Any], expected: list[Tensor]
) -> None:
    for found, wanted in zip(results(operator, operands, attributes, len(expected)), expected, strict=True):
        assert found.shape == wanted.shape
        assert (found.value is None) == (wanted.value is None)
        np.testing.assert_array_equal(found.value, wanted.value)


@pytest.mark.parametrize(("operator", "operands", "attributes", "expected"), FITTING)
def test_onnx_gives_the_same(
    operator: str, operands: list[Tensor], attributes: dict[str, Any], expected: list[Tensor]
) -> None:
    values = {k: numpy_helper.from_array(v) if isinstance(v, np.ndarray) else v for k, v in attributes.items()}
    names = [f"o{number}" for number in range(len(expected))]
    feeds = {f"i{n}": np.ones(t.shape, np.float32) if t.value is None else t.value for n, t in enumerate(operands)}
    node = helper.make_node(operator, list(feeds), names, **values)
    graph = helper.make_graph(
        [node], "g", [onnx.ValueInfoProto(name=k) for k in feeds], [onnx.ValueInfoProto(name=k) for k in names]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    for computed, wanted in zip(ReferenceEvaluator(model).run(None, feeds), expected, strict=True):
        assert np.shape(computed) == wanted.shape
        if wanted.value is not None:
            np.testing.assert_array_equal(computed, wanted.value)


def sliced(*, starts: int = 1, ends: int = 1, axes: int = 1, steps: int = 1) -> list[Tensor]:
    """Of a (5, 6) tensor, with so many of each."""
    return [of(5, 6), holding(*[0] * starts), holding(*[2] * ends), holding(*range(axes)), holding(*[1] * steps)]


MISFITS: list[tuple[str, list[Tensor], dict[str, Any], str]] = [
    ("Neg", [of(2), of(2)], {}, "positional"),
    ("Add", [of(2), of(3)], {}, "broadcast"),
    ("Concat", [of(2, 3), of(1, 3)], {"axis": 1}, "beside the axis"),
    ("Concat", [of(1, 3), of(2, 3)], {"axis": 1}, "beside the axis"),
    ("Concat", [of(2, 3), of(2, 2)], {"axis": 0}, "beside the axis"),
    ("Concat", [of(2, 2), of(2, 3)], {"axis": 0}, "beside the axis"),
    ("Concat", [of(2, 3), of(2)], {"axis": 1}, "index out of range"),
    ("Concat", [of(2, 3)], {"axis": 2}, "axis 2 of 2"),
    ("Concat", [of(2, 3)], {"axis": 3}, "axis 3 of 2"),
    ("Concat", [of(2, 3)], {"axis": -3}, "axis -3 of 2"),
    ("ConstantOfShape", [holding(2, -1)], {"value": FILL}, "non-negative"),
    ("ConstantOfShape", [holding(2)], {"value": np.zeros(2, np.float32)}, "reshape"),
    ("ConstantOfShape", [holding(2)], {"value": np.zeros(0, np.float32)}, "reshape"),
    ("Expand", [of(1), of(1)], {}, "depends on the signals"),
    ("Expand", [of(1), a_number(2)], {}, "on no vector"),
    ("Expand", [of(1), holding([2])], {}, "on no vector"),
    ("Expand", [of(1), holding(-1)], {}, "negative"),
    ("Gather", [of(3, 4), holding(0)], {"axis": 2}, "axis 2 of 2"),
    ("Gather", [holding(5, 6, 7), holding(3)], {"axis": 0}, "out of bounds"),
    ("Gemm", [of(5, 3), of(4, 2), of(4)], {"transB": 1}, "matrices"),
    ("Gemm", [of(5, 2), of(4, 3), of(4)], {"transB": 1}, "matrices"),
    ("Gemm", [of(5, 3), of(1, 3), of(4)], {"transB": 1}, "matrices"),
    ("Gemm", [of(1, 3), of(4, 3), of(0, 4)], {"transB": 1}, "matrices"),
    ("Gemm", [of(5, 3), of(4, 3, 1), of(4)], {"transB": 1}, "too many values"),
    ("Gemm", [of(3), of(4, 3), of(4)], {"transB": 1}, "not enough values"),
    ("ReduceSum", [of(2, 3), holding()], {"keepdims": 0}, "none, or one twice"),
    ("ReduceSum", [of(2, 3), holding(1, -1)], {"keepdims": 0}, "none, or one twice"),
    ("ReduceSum", [of(2, 3), holding(2)], {"keepdims": 0}, "axis 2 of 2"),
    ("Slice", [of(5), holding(4), holding(0), holding(0), holding(-1)], {}, "steps"),
    ("Slice", [of(5), holding(0), holding(4), holding(0), holding(0)], {}, "steps"),
    ("Slice", [of(5), holding(0), holding(4), holding(0), holding(2)], {}, "steps"),
    ("Slice", [of(5), holding(0, 0), holding(4, 3), holding(0, -1), holding(1, 1)], {}, "none, or one twice"),
    ("Slice", sliced(starts=0, ends=0, axes=0, steps=0), {}, "none, or one twice"),
    ("Slice", sliced(starts=2), {}, "not a start"),
    ("Slice", sliced(ends=2), {}, "not a start"),
    ("Slice", sliced(steps=2), {}, "not a start"),
    ("Slice", sliced(axes=2), {}, "not a start"),
    ("Split", [of(4, 6), holding(1, 4)], {"axis": 1}, "parts"),
    ("Split", [of(4, 6), holding(1, 6)], {"axis": 1}, "parts"),
    ("Split", [of(4, 6), holding(7, -1)], {"axis": 1}, "parts"),
    ("Squeeze", [of(2, 3), holding(0)], {}, "axes"),
    ("Squeeze", [of(0, 3), holding(0)], {}, "axes"),
    ("Squeeze", [of(1, 3), holding()], {}, "none, or one twice"),
    ("Tile", [of(2, 3), holding(2)], {}, "repeats"),
    ("Tile", [of(2, 3), holding(2, 1, 1)], {}, "repeats"),
    ("Tile", [of(2, 3), holding(2, -1)], {}, "repeats"),
    ("Unsqueeze", [of(3), holding(0, -3)], {}, "none, or one twice"),
    ("Unsqueeze", [of(3), holding(2)], {}, "axis 2 of 2"),
]
"""A bomb hides where this file and onnxruntime understand a graph in two ways.

Summing over no axes sums over all of them there, squeezing none squeezes whatever is one long, and a backward slice
from before the first element begins with the first.
"""


@pytest.mark.parametrize(("operator", "operands", "attributes", "reason"), MISFITS)
def test_operands_that_do_not_fit_are_refused(
    operator: str, operands: list[Tensor], attributes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(BundleError, match=f"operands that fit {operator}.*{reason}"):
        results(operator, operands, attributes, 2 if operator == "Split" else 1)


@pytest.mark.parametrize("sizes", [(2**22,), (1, 2**22), (1, 2**11, 2**11), (0, 2**22)])
def test_a_tensor_may_hold_4194304_numbers(sizes: tuple[int, ...]) -> None:
    assert results("Expand", [of(1), holding(*sizes)], {}) == [of(*sizes)]


@pytest.mark.parametrize("sizes", [(2**22 + 1,), (1, 2**22 + 1), (0, 2**22 + 1), (1, 1, 1, 1), (0, 0, 0, 0)])
def test_a_larger_tensor_is_refused(sizes: tuple[int, ...]) -> None:
    """Even an empty one, whose other sizes would grow beyond 64 bits."""
    with pytest.raises(BundleError, match="at most 4194304 numbers in 3 dimensions"):
        results("Expand", [of(1), holding(*sizes)], {})


@pytest.mark.parametrize("count", [1, 3])
def test_another_number_of_parts_than_are_named_is_refused(count: int) -> None:
    with pytest.raises(BundleError, match=f"2 outputs of Split.*{count}"):
        results("Split", [of(4), holding(1, 3)], {"axis": 0}, count)


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.int32, np.uint8])
def test_only_integers_of_64_bits_are_followed(kind: type) -> None:
    assert known(np.ones(3, kind)) == of(3)


def test_64_integers_are_followed_and_not_one_more() -> None:
    assert known(np.arange(64)).value is not None
    assert known(np.arange(65)).value is None
