"""What an ONNX graph in a bundle may hold: exactly what our exporter writes. Read before onnxruntime sees a byte.

onnxruntime is a large C++ program that opens files which a model names, allocates what a model asks for and runs
operators of many domains. A bundle that came over a network must not reach it unread.
"""

from __future__ import annotations

import math
from typing import Any, Dict, List, NamedTuple, Set, Tuple

import numpy as np

from policy.bundle_error import untrusted
from policy.contract import OUTPUTS, PolicyContract
from policy.onnx_messages import MAX_NODE_INPUTS, MODEL
from policy.protobuf_reader import parse_message

IR_VERSION, OPSET_VERSION = 8, 17  # what `policy.export` writes: the newest that the robot's onnxruntime 1.16 reads
MAX_DIMENSION = 8192
FLOAT, INT64, DOUBLE = 1, 7, 11  # onnx.TensorProto.DataType
DTYPES = {FLOAT: "<f4", INT64: "<i8", DOUBLE: "<f8"}
_FLOAT_ATTRIBUTE, _INTEGER_ATTRIBUTE, _TENSOR_ATTRIBUTE = 1, 2, 4  # onnx.AttributeProto.AttributeType
_ATTRIBUTE_FIELDS = {_FLOAT_ATTRIBUTE: "f", _INTEGER_ATTRIBUTE: "i", _TENSOR_ATTRIBUTE: "t"}
# Integers that stand for a choice. What onnxruntime takes another one for is its own affair: keepdims = 2 for 0.
CHOICES = {"keepdims": (0, 1), "to": (FLOAT,), "transB": (1,)}


class OperatorRule(NamedTuple):
    """Attributes with their types; least and most inputs and outputs, none of them left out."""

    attributes: Dict[str, int]
    inputs: Tuple[int, int]
    outputs: Tuple[int, int] = (1, 1)


_UNARY, _BINARY = OperatorRule({}, (1, 1)), OperatorRule({}, (2, 2))
OPERATORS: Dict[str, OperatorRule] = {
    **dict.fromkeys(("Cos", "Exp", "Floor", "Log", "Neg", "Not", "Shape", "Sin", "Sqrt"), _UNARY),
    **dict.fromkeys(("Add", "Div", "Expand", "Less", "Max", "Min", "Mul", "Squeeze", "Sub", "Tile"), _BINARY),
    "Cast": OperatorRule({"to": _INTEGER_ATTRIBUTE}, (1, 1)),
    "Clip": OperatorRule({}, (3, 3)),
    "Concat": OperatorRule({"axis": _INTEGER_ATTRIBUTE}, (1, MAX_NODE_INPUTS)),
    "Constant": OperatorRule({"value": _TENSOR_ATTRIBUTE}, (0, 0)),
    "ConstantOfShape": OperatorRule({"value": _TENSOR_ATTRIBUTE}, (1, 1)),
    "Elu": OperatorRule({"alpha": _FLOAT_ATTRIBUTE}, (1, 1)),
    "Gather": OperatorRule({"axis": _INTEGER_ATTRIBUTE}, (2, 2)),
    "Gemm": OperatorRule({"alpha": _FLOAT_ATTRIBUTE, "beta": _FLOAT_ATTRIBUTE, "transB": _INTEGER_ATTRIBUTE}, (3, 3)),
    "ReduceSum": OperatorRule({"keepdims": _INTEGER_ATTRIBUTE}, (2, 2)),
    "Slice": OperatorRule({}, (5, 5)),
    "Split": OperatorRule({"axis": _INTEGER_ATTRIBUTE}, (2, 2), (1, MAX_NODE_INPUTS)),
    "Unsqueeze": _BINARY,
}


class Node(NamedTuple):
    """One operator; attributes are numbers or arrays."""

    operator: str
    inputs: Tuple[str, ...]
    outputs: Tuple[str, ...]
    attributes: Dict[str, Any]


class Graph(NamedTuple):
    """A graph that passed: nodes in the order of computation, weights by name."""

    nodes: Tuple[Node, ...]
    initializers: Dict[str, np.ndarray]


def read_graph(onnx_bytes: bytes, contract: PolicyContract) -> Graph:
    """Parse a graph and refuse whatever our exporter does not write.

    Raises:
        BundleError: says what was met: another version, field, operator, attribute, type, size, name or border.
    """
    model = parse_message(onnx_bytes, MODEL)
    if model.get("ir_version") != IR_VERSION:
        raise untrusted(f"ONNX IR version {IR_VERSION}", f"{model.get('ir_version')}")
    opsets = [(entry.get("domain", ""), entry.get("version")) for entry in model["opset_import"]]
    if opsets != [("", OPSET_VERSION)]:
        raise untrusted(f"operators of ONNX opset {OPSET_VERSION} alone", f"{opsets}")
    if "graph" not in model:
        raise untrusted("a graph", "none")
    graph = model["graph"]
    _check_border(graph, contract)
    initializers: Dict[str, np.ndarray] = {}
    known: Set[str] = set(contract.signal_widths())
    for tensor in graph["initializer"]:
        name = _define(tensor.get("name", ""), known)
        initializers[name] = _array(tensor, f"initializer {name}")
    nodes = tuple(_node(entry, known) for entry in graph["node"])
    missing = [name for name in OUTPUTS if name not in {output for node in nodes for output in node.outputs}]
    if missing:
        raise untrusted("every graph output computed by a node", f"none for {', '.join(missing)}")
    return Graph(nodes, initializers)


def _check_border(graph: Dict[str, Any], contract: PolicyContract) -> None:
    """Inputs and outputs: exactly the contract's names, in order, float, batch first."""
    inputs = [_border_entry(entry) for entry in graph["input"]]
    wanted_inputs = [(name, ("batch", width)) for name, width in contract.signal_widths().items()]
    if inputs != wanted_inputs:
        raise untrusted(f"graph inputs {wanted_inputs}", f"{inputs}")
    outputs = [_border_entry(entry) for entry in graph["output"]]
    widths = contract.output_widths()
    if [name for name, _ in outputs] != list(OUTPUTS):
        raise untrusted(f"graph outputs {OUTPUTS}", f"{[name for name, _ in outputs]}")
    for name, shape in outputs:
        wanted: Tuple[Any, ...] = ("batch",) if name == "log_prob" else ("batch", widths[name])
        # The exporter writes a name where it could not infer a width; `policy.onnx_shapes` infers all of them.
        declared = tuple(known if isinstance(size, str) else size for size, known in zip(shape[1:], wanted[1:]))
        if len(shape) != len(wanted) or shape[0] != "batch" or declared != wanted[1:]:
            raise untrusted(f"graph output {name} of shape {wanted}", f"{shape}")


def _border_entry(entry: Dict[str, Any]) -> Tuple[str, Tuple[Any, ...]]:
    tensor_type = entry.get("type", {}).get("tensor_type", {})
    name = entry.get("name", "")
    if tensor_type.get("elem_type") != FLOAT:
        raise untrusted(f"a graph border of float tensors, {name} among them", f"type {tensor_type.get('elem_type')}")
    dimensions: List[Dict[str, Any]] = tensor_type.get("shape", {"dim": []})["dim"]
    if any(len(dimension) != 1 for dimension in dimensions):
        raise untrusted(f"a size or a name for every dimension of {name}", f"{dimensions}")
    return name, tuple(value for dimension in dimensions for value in dimension.values())


def _define(name: str, known: Set[str]) -> str:
    """A new name; in ONNX every name is given once."""
    if not name or name in known:
        raise untrusted("a name of its own for every tensor", repr(name))
    known.add(name)
    return name


def _node(entry: Dict[str, Any], known: Set[str]) -> Node:
    operator = entry.get("op_type", "")
    rule = OPERATORS.get(operator)
    if rule is None:
        raise untrusted(f"operators among {', '.join(sorted(OPERATORS))}", f"the operator {operator!r}")
    inputs, outputs = tuple(entry["input"]), tuple(entry["output"])
    for what, names, (least, most) in (("inputs", inputs, rule.inputs), ("outputs", outputs, rule.outputs)):
        if not least <= len(names) <= most:
            raise untrusted(f"{least} to {most} {what} of {operator}", f"{len(names)}")
    unknown = [name for name in inputs if name not in known]
    if unknown:
        raise untrusted(f"inputs of {operator} that are computed before it", f"{unknown}")
    for name in outputs:
        _define(name, known)
    return Node(operator, inputs, outputs, _attributes(entry["attribute"], operator, rule))


def _attributes(entries: List[Dict[str, Any]], operator: str, rule: OperatorRule) -> Dict[str, Any]:
    attributes: Dict[str, Any] = {}
    for entry in entries:
        name = entry.get("name", "")
        kind = rule.attributes.get(name)
        if kind is None or entry.get("type") != kind or name in attributes:
            found = f"{name!r} of type {entry.get('type')}"
            raise untrusted(f"attributes {rule.attributes} of {operator}, each once", found)
        field = _ATTRIBUTE_FIELDS[kind]
        if set(entry) != {"name", "type", field}:
            raise untrusted(f"the value of attribute {name} of {operator} in field {field}", f"{sorted(entry)}")
        value = entry[field]
        if isinstance(value, float) and not math.isfinite(value):
            raise untrusted(f"a finite {name} of {operator}", f"{value}")
        if value not in CHOICES.get(name, (value,)):
            raise untrusted(f"{name} of {operator} among {CHOICES[name]}", f"{value}")
        attributes[name] = _array(value, f"{name} of {operator}") if isinstance(value, dict) else value
    missing = sorted(set(rule.attributes) - set(attributes))
    if missing:
        raise untrusted(f"attributes {sorted(rule.attributes)} of {operator}", f"none for {', '.join(missing)}")
    return attributes


def _array(tensor: Dict[str, Any], what: str) -> np.ndarray:
    """A tensor's values; the bytes must be exactly those of its shape."""
    data_type: Any = tensor.get("data_type")
    if data_type not in DTYPES:
        raise untrusted(f"{what} of a type among {sorted(DTYPES)}", f"type {data_type}")
    dtype = np.dtype(DTYPES[data_type])
    shape = tuple(tensor["dims"])
    if any(not 1 <= size <= MAX_DIMENSION for size in shape):
        raise untrusted(f"{what} with dimensions of 1 to {MAX_DIMENSION}", f"{shape}")
    content = tensor.get("raw_data", b"")
    size = dtype.itemsize * math.prod(shape)
    if len(content) != size:
        raise untrusted(f"{size} bytes for {what} of shape {shape}", f"{len(content)} bytes")
    array = np.frombuffer(content, dtype=dtype).reshape(shape)
    if not np.all(np.isfinite(array)):
        raise untrusted(f"finite numbers in {what}", "a NaN or an infinity")
    return array
