"""What the tests of hostile graphs share: to find a node, and to hand a graph in under a right seal."""

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
