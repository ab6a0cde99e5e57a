"""What the tests of hostile graphs share: to find a part, to write bytes by hand, to hand a graph in under a seal."""

import onnx
import pytest

from policy.bundle import BundleError, parse_bundle
from tests.policy.resealed import resealed


def refused(model: onnx.ModelProto, message: str) -> None:
    """Under a seal that is right."""
    with pytest.raises(BundleError, match=message):
        parse_bundle(resealed(onnx_bytes=model.SerializeToString()))


def node_of(model: onnx.ModelProto, operator: str) -> onnx.NodeProto:
    return next(node for node in model.graph.node if node.op_type == operator)


def attribute_of(model: onnx.ModelProto, operator: str, name: str) -> onnx.AttributeProto:
    return next(attribute for attribute in node_of(model, operator).attribute if attribute.name == name)


def delimited(number: int, content: bytes) -> bytes:
    """A text, bytes or a message as the field of this number, below 16."""
    # Field 9 of a tensor, bytes as well, under another key.
    return bytes([number << 3 | 2]) + onnx.TensorProto(raw_data=content).SerializeToString()[1:]
