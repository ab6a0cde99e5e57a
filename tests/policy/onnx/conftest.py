"""The shipped policy's graph, for tests to spoil; onnxruntime must not see what they made of it."""

import onnx
import pytest

from policy.bundle import Bundle, parse_bundle
from tests.policy.resealed import SHIPPED


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    return parse_bundle(SHIPPED)


@pytest.fixture
def model(bundle: Bundle) -> onnx.ModelProto:
    return onnx.load_from_string(bundle.onnx_bytes)


@pytest.fixture(autouse=True)
def no_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*arguments: object, **options: object) -> None:
        raise AssertionError("onnxruntime was handed a graph")

    monkeypatch.setattr("onnxruntime.InferenceSession", asked)
