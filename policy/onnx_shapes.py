"""The shape of every tensor that a graph would compute, worked out before onnxruntime allocates any.

An operator that is harmless with small operands is a bomb with large ones: two Expands and an outer product ask for
terabytes from a file of a kilobyte. After `policy.onnx_allow_list` there are few operators left; for each of them one
function below says what comes out (ONNX operator specification, opset 17). Shapes may depend on integers computed in
the graph, so those are followed as well.
"""

from __future__ import annotations

from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

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


def check_shapes(graph: Graph, contract: PolicyContract, batch: int) -> None:
    """Refuse a graph whose tensors grow too large or whose outputs are not of the contract's shapes.

    Raises:
        BundleError
    """
    if batch > MAX_BATCH:
        raise untrusted(f"a batch of at most {MAX_BATCH}", f"{batch}")
    tensors = {name: Tensor((batch, width)) for name, width in contract.signal_widths().items()}
    tensors.update({name: _known(array) for name, array in graph.initializers.items()})
    total = 0
    for node in graph.nodes:
        for name, tensor in zip(node.outputs, _infer(node, [tensors[name] for name in node.inputs])):
            tensors[name] = tensor
            total += _elements(tensor.shape)
        if total > MAX_GRAPH_ELEMENTS:
            raise untrusted(f"at most {MAX_GRAPH_ELEMENTS} numbers computed in a graph", "more")
    widths = contract.output_widths()
    for name in OUTPUTS:
        wanted: Shape = (batch,) if name == "log_prob" else (batch, widths[name])
        if tensors[name].shape != wanted:
            raise untrusted(f"graph output {name} of shape {wanted} for a batch of {batch}", f"{tensors[name].shape}")


def _infer(node: Node, inputs: List[Tensor]) -> List[Tensor]:
    try:
        outputs = _RULES[node.operator](node, inputs)
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        shapes = [tensor.shape for tensor in inputs]
        raise untrusted(f"operands that fit {node.operator}", f"shapes {shapes} ({error})") from None
    for tensor in outputs:
        if len(tensor.shape) > MAX_RANK or _elements(tensor.shape) > MAX_TENSOR_ELEMENTS:
            limit = f"at most {MAX_TENSOR_ELEMENTS} numbers in {MAX_RANK} dimensions from {node.operator}"
            raise untrusted(limit, f"shape {tensor.shape}")
    if len(outputs) != len(node.outputs):
        raise untrusted(f"{len(outputs)} outputs of {node.operator}", f"{len(node.outputs)}")
    return outputs


def _elements(shape: Shape) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _known(array: np.ndarray) -> Tensor:
    return Tensor(array.shape, array if array.dtype == np.int64 and array.size <= MAX_KNOWN else None)


def _integers(tensor: Tensor) -> List[int]:
    """The values of a tensor that a shape depends on."""
    if tensor.value is None or tensor.value.ndim > 1:
        raise ValueError("a shape that depends on the signals")
    return [int(value) for value in tensor.value.reshape(-1)]


def _axis(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} of {rank}")
    return axis % rank


def _same(node: Node, inputs: List[Tensor]) -> List[Tensor]:
    return [Tensor(inputs[0].shape)]


def _broadcast(node: Node, inputs: List[Tensor]) -> List[Tensor]:
    return [Tensor(np.broadcast_shapes(*(tensor.shape for tensor in inputs)))]


def _cast(node: Node, inputs: List[Tensor]) -> List[Tensor]:
    return [inputs[0]]  # the value of an integer stays one; casting floats to integers gives no known value


def _concat(node: Node, inputs: List[Tensor]) -> List[Tensor]:
    first = inputs[0].shape
    axis = _axis(node.attributes["axis"], len(first))
    for tensor in inputs:
        if tensor.shape[:axis] + tensor.shape[axis + 1 :] != first[:axis] + first[axis + 1 :]:
            raise ValueError("other sizes beside the axis")
    shape = (*first[:axis], sum(tensor.shape[axis] for tensor in inputs), *first[axis + 1 :])
    values = [tensor.value for tensor in inputs if tensor.value is not None]
    known = len(values) == len(inputs) and _elements(shape) <= MAX_KNOWN
    return [Tensor(shape, np.concatenate(values, axis) if known else None)]


def _constant(node: Node, inputs: List[Tensor]) -> List[Tensor]:
    return [_known(node.attributes["value"])]


def _constant_of_shape(node: Node, inputs: List[Tensor]) -> List[Tensor]:
    shape = tuple(_integers(inputs[0]))
    if any(size < 0 for size in shape):
        raise ValueError("a negative size")
    fill = node.attributes["value"]
    if fill.size != 1:
        raise ValueError("more than one value to fill with")
    small = fill.dtype == np.int64 and len(shape) <= MAX_RANK and _elements(shape) <= MAX_KNOWN
    return [Tensor(shape, np.full(shape, fill.reshape(-1)[0]) if small else None)]


def _expand(node: Node, inputs: List[Tensor]) -> List[Tensor]:
    return [Tensor(np.broadcast_shapes(inputs[0].shape, tuple(_integers(inputs[1]))))]


def _gather(node: Node, inputs: List[Tensor]) -> List[Tensor]:
    data, indices = inputs
    axis = _axis(node.attributes["axis"], len(data.shape))
    shape = data.shape[:axis] + indices.shape + data.shape[axis + 1 :]
    if data.value is None or indices.value is None:
        return [Tensor(shape)]
    return [Tensor(shape, np.take(data.value, indices.value, axis))]


def _gemm(node: Node, inputs: List[Tensor]) -> List[Tensor]:
    """a (n, k) times b (k, m), or b (m, k) transposed, plus c that broadcasts to (n, m)."""
    (rows, inner), second, bias = inputs[0].shape, inputs[1].shape, inputs[2].shape
    height, columns = (second[1], second[0]) if node.attributes["transB"] else second
    if height != inner or np.broadcast_shapes((rows, columns), bias) != (rows, columns):
        raise ValueError("matrices that do not fit")
    return [Tensor((rows, columns))]


def _reduce_sum(node: Node, inputs: List[Tensor]) -> List[Tensor]:
    shape = list(inputs[0].shape)
    axes = {_axis(axis, len(shape)) for axis in _integers(inputs[1])}
    if node.attributes["keepdims"]:
        return [Tensor(tuple(1 if axis in axes else size for axis, size in enumerate(shape)))]
    return [Tensor(tuple(size for axis, size in enumerate(shape) if axis not in axes))]


def _shape(node: Node, inputs: List[Tensor]) -> List[Tensor]:
    shape = inputs[0].shape
    return [Tensor((len(shape),), np.array(shape, dtype=np.int64))]


def _slice(node: Node, inputs: List[Tensor]) -> List[Tensor]:
    shape = list(inputs[0].shape)
    selection = [slice(None)] * len(shape)
    for start, end, axis, step in zip(*(_integers(tensor) for tensor in inputs[1:])):
        axis = _axis(axis, len(shape))
        selection[axis] = slice(start, end, step)
        shape[axis] = len(range(*selection[axis].indices(shape[axis])))
    value = inputs[0].value
    return [Tensor(tuple(shape), None if value is None else value[tuple(selection)])]


def _split(node: Node, inputs: List[Tensor]) -> List[Tensor]:
    shape, sizes = inputs[0].shape, _integers(inputs[1])
    axis = _axis(node.attributes["axis"], len(shape))
    if sum(sizes) != shape[axis] or min(sizes) < 0:
        raise ValueError(f"parts {sizes} of {shape[axis]}")
    return [Tensor((*shape[:axis], size, *shape[axis + 1 :])) for size in sizes]


def _squeeze(node: Node, inputs: List[Tensor]) -> List[Tensor]:
    shape = inputs[0].shape
    axes = {_axis(axis, len(shape)) for axis in _integers(inputs[1])}
    if any(shape[axis] != 1 for axis in axes):
        raise ValueError(f"axes {sorted(axes)}")
    return _reshaped(inputs[0], tuple(size for axis, size in enumerate(shape) if axis not in axes))


def _tile(node: Node, inputs: List[Tensor]) -> List[Tensor]:
    shape, repeats = inputs[0].shape, _integers(inputs[1])
    if len(repeats) != len(shape) or min(repeats, default=0) < 0:
        raise ValueError(f"repeats {repeats}")
    return [Tensor(tuple(size * count for size, count in zip(shape, repeats)))]


def _unsqueeze(node: Node, inputs: List[Tensor]) -> List[Tensor]:
    sizes = iter(inputs[0].shape)
    rank = len(inputs[0].shape) + len(_integers(inputs[1]))
    axes = {_axis(axis, rank) for axis in _integers(inputs[1])}
    if len(inputs[0].shape) + len(axes) != rank:
        raise ValueError("an axis twice")
    return _reshaped(inputs[0], tuple(1 if axis in axes else next(sizes) for axis in range(rank)))


def _reshaped(tensor: Tensor, shape: Shape) -> List[Tensor]:
    return [Tensor(shape, None if tensor.value is None else tensor.value.reshape(shape))]


_RULES: Dict[str, Callable[[Node, List[Tensor]], List[Tensor]]] = {
    **dict.fromkeys(("Cos", "Elu", "Exp", "Floor", "Log", "Neg", "Not", "Sin", "Sqrt"), _same),
    **dict.fromkeys(("Add", "Clip", "Div", "Less", "Max", "Min", "Mul", "Sub"), _broadcast),
    "Cast": _cast,
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
