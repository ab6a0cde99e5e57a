"""Random edits of a graph's bytes are read, or refused with our own error."""

import random
import resource
import time

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from policy.bundle import Bundle, BundleError
from policy.onnx_allow_list import read_graph
from policy.onnx_shapes import check_shapes


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
