"""The shape of every tensor that a graph would compute, worked out before onnxruntime allocates any.

An operator that is harmless with small operands is a bomb with large ones: two Expands and an outer product ask for
terabytes from a file of a kilobyte. After `policy.onnx_allow_list` there are few operators left; for each of them one
function below says what comes out (ONNX operator specification, opset 17). Shapes may depend on integers computed in
the graph, so those are followed as well. What onnxruntime may read in another way than this file is refused: an
understanding that differs in one place hides a bomb in the next.
"""

from __future__ import annotations

import math
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import numpy as np

from policy.bundle_error import untrusted
from policy.contract import OUTPUTS, PolicyContract
from policy.onnx_allow_list import Graph, Node
from policy.onnx_messages import MAX_RANK

MAX_BATCH = 4096
MAX_TENSOR_ELEMENTS = 2**22
MAX_GRAPH_ELEMENTS = 2**26
MAX_KNOWN = 64
"""Integers are followed through tensors of at most this many; shapes need a handful."""

Shape = Tuple[int, ...]


class Tensor(NamedTuple):
    """What is known of a tensor before it is computed."""

    shape: Shape
    value: Optional[np.ndarray] = None
    """Of small integer tensors that do not depend on the signals."""


def known(array: np.ndarray) -> Tensor:
    """A tensor that stands in the file, followed if it is small and of 64-bit integers."""
    return Tensor(array.shape, array if array.dtype == np.int64 and array.size <= MAX_KNOWN else None)


def check_shapes(graph: Graph, contract: PolicyContract, batch: int) -> None:
    """Refuse a graph whose tensors grow too large or whose outputs are not of the contract's shapes.

    Raises:
        BundleError
    """
    if batch > MAX_BATCH:
        raise untrusted(f"a batch of at most {MAX_BATCH}", f"{batch}")
    tensors = {name: Tensor((batch, width)) for name, width in contract.signal_widths().items()}
    tensors.update({name: known(array) for name, array in graph.initializers.items()})
    total = 0
    for node in graph.nodes:
        for name, tensor in zip(node.outputs, infer(node, [tensors[name] for name in node.inputs])):
            tensors[name] = tensor
            total += _elements(tensor.shape)
        if total > MAX_GRAPH_ELEMENTS:
            raise untrusted(f"at most {MAX_GRAPH_ELEMENTS} numbers computed in a graph", "more")
    widths = contract.output_widths()
    for name in OUTPUTS:
        wanted: Shape = (batch,) if name == "log_prob" else (batch, widths[name])
        if tensors[name].shape != wanted:
            raise untrusted(f"graph output {name} of shape {wanted} for a batch of {batch}", f"{tensors[name].shape}")


def infer(node: Node, operands: List[Tensor]) -> List[Tensor]:
    """What a node computes.

    Raises:
        BundleError: operands that do not fit, a result that is too large, another number of results than it names.
    """
    try:
        outputs = _RULES[node.operator](node, *operands)
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        shapes = [tensor.shape for tensor in operands]
        raise untrusted(f"operands that fit {node.operator}", f"shapes {shapes} ({error})") from None
    for tensor in outputs:
        if len(tensor.shape) > MAX_RANK or _elements(tensor.shape) > MAX_TENSOR_ELEMENTS:
            limit = f"at most {MAX_TENSOR_ELEMENTS} numbers in {MAX_RANK} dimensions from {node.operator}"
            raise untrusted(limit, f"shape {tensor.shape}")
    if len(outputs) != len(node.outputs):
        raise untrusted(f"{len(outputs)} outputs of {node.operator}", f"{len(node.outputs)}")
    return outputs


def _elements(shape: Shape) -> int:
    """How many numbers; an empty dimension counts as one, lest the size beside it be beyond 64 bits."""
    return math.prod(max(1, size) for size in shape)


def _integers(tensor: Tensor) -> List[int]:
    """The values of a vector that a shape depends on."""
    if tensor.value is None or tensor.value.ndim != 1:
        raise ValueError("a shape that depends on the signals, or on no vector")
    return tensor.value.tolist()


def _axis(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} of {rank}")
    return axis % rank


def _axes(tensor: Tensor, rank: int) -> List[int]:
    """Axes, each named once. To name none means all of them to some operators, and to others none."""
    axes = [_axis(axis, rank) for axis in _integers(tensor)]
    if not axes or len(set(axes)) < len(axes):
        raise ValueError(f"axes {axes}: none, or one twice")
    return axes


def _same(node: Node, operand: Tensor) -> List[Tensor]:
    return [Tensor(operand.shape)]


def _broadcast(node: Node, *operands: Tensor) -> List[Tensor]:
    return [Tensor(np.broadcast_shapes(*(tensor.shape for tensor in operands)))]


def _concat(node: Node, first: Tensor, *others: Tensor) -> List[Tensor]:
    axis = _axis(node.attributes["axis"], len(first.shape))
    before, behind = first.shape[:axis], first.shape[axis + 1 :]
    for tensor in others:
        if (tensor.shape[:axis], tensor.shape[axis + 1 :]) != (before, behind):
            raise ValueError("other sizes beside the axis")
    shape = (*before, sum(tensor.shape[axis] for tensor in (first, *others)), *behind)
    values: List[Any] = [tensor.value for tensor in (first, *others)]
    if any(value is None for value in values) or _elements(shape) > MAX_KNOWN:
        return [Tensor(shape)]
    return [Tensor(shape, np.concatenate(values, axis))]


def _constant(node: Node) -> List[Tensor]:
    return [known(node.attributes["value"])]


def _constant_of_shape(node: Node, sizes: Tensor) -> List[Tensor]:
    # One number in every place takes no memory, whatever the shape; more than one, or a negative size, is an error.
    return [known(np.broadcast_to(node.attributes["value"].reshape(()), tuple(_integers(sizes))))]


def _expand(node: Node, operand: Tensor, sizes: Tensor) -> List[Tensor]:
    return [Tensor(np.broadcast_shapes(operand.shape, tuple(_integers(sizes))))]


def _gather(node: Node, data: Tensor, indices: Tensor) -> List[Tensor]:
    axis = _axis(node.attributes["axis"], len(data.shape))
    shape = data.shape[:axis] + indices.shape + data.shape[axis + 1 :]
    if data.value is None or indices.value is None or _elements(shape) > MAX_KNOWN:
        return [Tensor(shape)]
    return [Tensor(shape, np.take(data.value, indices.value, axis))]


def _gemm(node: Node, first: Tensor, second: Tensor, bias: Tensor) -> List[Tensor]:
    """(n, k) times the transpose of (m, k), plus what broadcasts to (n, m)."""
    (rows, inner), (columns, depth) = first.shape, second.shape
    if depth != inner or np.broadcast_shapes((rows, columns), bias.shape) != (rows, columns):
        raise ValueError("matrices that do not fit")
    return [Tensor((rows, columns))]


def _reduce_sum(node: Node, operand: Tensor, summed: Tensor) -> List[Tensor]:
    axes = _axes(summed, len(operand.shape))
    if node.attributes["keepdims"]:
        return [Tensor(tuple(1 if axis in axes else size for axis, size in enumerate(operand.shape)))]
    return [Tensor(tuple(size for axis, size in enumerate(operand.shape) if axis not in axes))]


def _shape(node: Node, operand: Tensor) -> List[Tensor]:
    return [known(np.array(operand.shape, dtype=np.int64))]


def _slice(node: Node, data: Tensor, first: Tensor, last: Tensor, sliced: Tensor, stride: Tensor) -> List[Tensor]:
    axes = _axes(sliced, len(data.shape))
    starts, ends, steps = _integers(first), _integers(last), _integers(stride)
    if {len(starts), len(ends), len(steps)} != {len(axes)}:
        raise ValueError("not a start, an end and a step for every axis")
    # Onnxruntime clips the start of a backward slice in another way than Python.
    if any(step != 1 for step in steps):
        raise ValueError(f"steps {steps}")
    selection = [slice(None)] * len(data.shape)
    shape = list(data.shape)
    for start, end, axis in zip(starts, ends, axes):
        selection[axis] = slice(start, end)
        shape[axis] = len(range(*selection[axis].indices(shape[axis])))
    return [Tensor(tuple(shape), None if data.value is None else data.value[tuple(selection)])]


def _split(node: Node, data: Tensor, parts: Tensor) -> List[Tensor]:
    sizes = _integers(parts)
    axis = _axis(node.attributes["axis"], len(data.shape))
    if sum(sizes) != data.shape[axis] or any(size < 0 for size in sizes):
        raise ValueError(f"parts {sizes} of {data.shape[axis]}")
    return [Tensor((*data.shape[:axis], size, *data.shape[axis + 1 :])) for size in sizes]


def _squeeze(node: Node, operand: Tensor, removed: Tensor) -> List[Tensor]:
    axes = _axes(removed, len(operand.shape))
    if any(operand.shape[axis] != 1 for axis in axes):
        raise ValueError(f"axes {axes}")
    return _reshaped(operand, tuple(size for axis, size in enumerate(operand.shape) if axis not in axes))


def _tile(node: Node, operand: Tensor, repeated: Tensor) -> List[Tensor]:
    repeats = _integers(repeated)
    if len(repeats) != len(operand.shape) or any(count < 0 for count in repeats):
        raise ValueError(f"repeats {repeats}")
    return [Tensor(tuple(size * count for size, count in zip(operand.shape, repeats)))]


def _unsqueeze(node: Node, operand: Tensor, added: Tensor) -> List[Tensor]:
    sizes = iter(operand.shape)
    rank = len(operand.shape) + len(_integers(added))
    axes = _axes(added, rank)
    return _reshaped(operand, tuple(1 if axis in axes else next(sizes) for axis in range(rank)))


def _reshaped(tensor: Tensor, shape: Shape) -> List[Tensor]:
    return [Tensor(shape, None if tensor.value is None else tensor.value.reshape(shape))]


_RULES: Dict[str, Callable[..., List[Tensor]]] = {
    **dict.fromkeys(("Cast", "Cos", "Elu", "Exp", "Floor", "Log", "Neg", "Not", "Sin", "Sqrt"), _same),
    **dict.fromkeys(("Add", "Clip", "Div", "Less", "Max", "Min", "Mul", "Sub"), _broadcast),
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Gather": _gather,
    "Gemm": _gemm,
    "ReduceSum": _reduce_sum,
    "Shape": _shape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Unsqueeze": _unsqueeze,
}
