"""The part of onnx.proto that our exporter uses, as rules for `policy.protobuf_reader`.

What is forbidden is named, so that a refusal says what it met. Field numbers and names are those of onnx.proto (ONNX
1.16 and later); a test holds them to the `onnx` package, which the robot does not have.
"""

from __future__ import annotations

from policy.protobuf_reader import FieldRule, MessageRule

MAX_NODES = 2048
MAX_TENSORS = 256
MAX_NODE_INPUTS = 32
MAX_RANK = 3
MAX_TENSOR_BYTES = 2**23
_MODEL_BYTES = 2**24
"""Of a graph, and of whatever stands in it; the numbers of a tensor have a limit of their own."""

_TENSOR = MessageRule(
    "TensorProto",
    {
        1: FieldRule("dims", "integer", MAX_RANK),
        2: FieldRule("data_type", "integer"),
        8: FieldRule("name", "text"),
        9: FieldRule("raw_data", "bytes", size_limit=MAX_TENSOR_BYTES),
    },
    {
        3: "segment",
        4: "float_data",
        5: "int32_data",
        6: "string_data",
        7: "int64_data",
        10: "double_data",
        11: "uint64_data",
        12: "doc_string",
        13: "external_data",
        14: "data_location",
        16: "metadata_props",
    },
)
_ATTRIBUTE = MessageRule(
    "AttributeProto",
    {
        1: FieldRule("name", "text"),
        2: FieldRule("f", "float"),
        3: FieldRule("i", "integer"),
        5: FieldRule("t", "message", size_limit=MAX_TENSOR_BYTES, message=_TENSOR),
        20: FieldRule("type", "integer"),
    },
    {
        4: "s",
        6: "g",
        7: "floats",
        8: "ints",
        9: "strings",
        10: "tensors",
        11: "graphs",
        13: "doc_string",
        14: "tp",
        15: "type_protos",
        21: "ref_attr_name",
        22: "sparse_tensor",
        23: "sparse_tensors",
    },
)
_NODE = MessageRule(
    "NodeProto",
    {
        1: FieldRule("input", "text", MAX_NODE_INPUTS),
        2: FieldRule("output", "text", MAX_NODE_INPUTS),
        3: FieldRule("name", "text"),
        4: FieldRule("op_type", "text"),
        5: FieldRule("attribute", "message", 8, MAX_TENSOR_BYTES, _ATTRIBUTE),
    },
    {6: "doc_string", 7: "domain", 8: "overload", 9: "metadata_props", 10: "device_configurations"},
)
_DIMENSION = MessageRule(
    "Dimension", {1: FieldRule("dim_value", "integer"), 2: FieldRule("dim_param", "text")}, {3: "denotation"}
)
_SHAPE = MessageRule("TensorShapeProto", {1: FieldRule("dim", "message", MAX_RANK, message=_DIMENSION)})
_TENSOR_TYPE = MessageRule(
    "Tensor",
    {1: FieldRule("elem_type", "integer"), 2: FieldRule("shape", "message", message=_SHAPE)},
)
_TYPE = MessageRule(
    "TypeProto",
    {1: FieldRule("tensor_type", "message", message=_TENSOR_TYPE)},
    {
        4: "sequence_type",
        5: "map_type",
        6: "denotation",
        7: "opaque_type",
        8: "sparse_tensor_type",
        9: "optional_type",
    },
)
_VALUE_INFO = MessageRule(
    "ValueInfoProto",
    {1: FieldRule("name", "text"), 2: FieldRule("type", "message", message=_TYPE)},
    {3: "doc_string", 4: "metadata_props"},
)
_GRAPH = MessageRule(
    "GraphProto",
    {
        1: FieldRule("node", "message", MAX_NODES, _MODEL_BYTES, _NODE),
        2: FieldRule("name", "text"),
        5: FieldRule("initializer", "message", MAX_TENSORS, _MODEL_BYTES, _TENSOR),
        11: FieldRule("input", "message", MAX_NODE_INPUTS, message=_VALUE_INFO),
        12: FieldRule("output", "message", MAX_NODE_INPUTS, message=_VALUE_INFO),
    },
    {
        10: "doc_string",
        13: "value_info",
        14: "quantization_annotation",
        15: "sparse_initializer",
        16: "metadata_props",
    },
)
_OPERATOR_SET = MessageRule("OperatorSetIdProto", {1: FieldRule("domain", "text"), 2: FieldRule("version", "integer")})
MODEL = MessageRule(
    "ModelProto",
    {
        1: FieldRule("ir_version", "integer"),
        2: FieldRule("producer_name", "text"),
        3: FieldRule("producer_version", "text"),
        7: FieldRule("graph", "message", size_limit=_MODEL_BYTES, message=_GRAPH),
        8: FieldRule("opset_import", "message", 8, message=_OPERATOR_SET),
    },
    {
        4: "domain",
        5: "model_version",
        6: "doc_string",
        14: "metadata_props",
        20: "training_info",
        25: "functions",
        26: "configuration",
    },
)
