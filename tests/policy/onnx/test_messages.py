"""The rules for onnx's messages: onnx's own numbers and names, and how much of each there may be."""

from typing import Any

import onnx
import pytest

from policy.bundle import BundleError
from policy.onnx_messages import MODEL
from policy.protobuf_reader import MessageRule, parse_message
from tests.policy.onnx.bench import delimited


def test_the_rules_are_those_of_onnx() -> None:
    """Every field of every message we read, allowed or forbidden, has onnx's own number and name."""
    seen = set()

    def compare(rule: MessageRule, descriptor: Any) -> None:
        seen.add(rule.name)
        assert descriptor.name == rule.name
        named = {**{number: entry.name for number, entry in rule.fields.items()}, **rule.forbidden}
        assert {field.number: field.name for field in descriptor.fields}.items() <= named.items()
        for number, entry in rule.fields.items():
            field = descriptor.fields_by_number[number]
            repeated = field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED
            assert repeated == (entry.limit > 1), field.full_name
            if entry.message is not None:
                compare(entry.message, field.message_type)

    compare(MODEL, onnx.ModelProto.DESCRIPTOR)
    assert len(seen) == 11


def nested(path: str, *contents: bytes) -> bytes:
    """A model that holds a field with these contents, and nothing but what the field stands in."""
    descriptor, numbers = onnx.ModelProto.DESCRIPTOR, []
    for name in path.split("."):
        field = descriptor.fields_by_name[name]
        numbers.append(field.number)
        descriptor = field.message_type
    if field.type == field.TYPE_INT64:
        model = b"".join(bytes([numbers[-1] << 3]) + content for content in contents)
    else:
        model = b"".join(delimited(numbers[-1], content) for content in contents)
    for number in reversed(numbers[:-1]):
        model = delimited(number, model)
    return model


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("opset_import", 8),
        ("graph.node", 2048),
        ("graph.initializer", 256),
        ("graph.input", 32),
        ("graph.output", 32),
        ("graph.node.input", 32),
        ("graph.node.output", 32),
        ("graph.node.attribute", 8),
        ("graph.initializer.dims", 3),
        ("graph.node.attribute.t.dims", 3),
        ("graph.input.type.tensor_type.shape.dim", 3),
    ],
)
def test_a_field_comes_so_often_and_not_once_more(path: str, limit: int) -> None:
    content = b"\x01" if path.endswith("dims") else b""
    parse_message(nested(path, *[content] * limit), MODEL)
    with pytest.raises(BundleError, match=f"at most {limit} {path.split('.')[-1]} in a"):
        parse_message(nested(path, *[content] * (limit + 1)), MODEL)


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("graph", 16_777_216),
        ("graph.name", 256),
        ("graph.node.attribute", 8_388_608),
        ("graph.initializer.raw_data", 8_388_608),
        ("graph.input", 256),
        ("graph.output", 256),
    ],
)
def test_a_field_is_so_long_and_not_a_byte_longer(path: str, limit: int) -> None:
    """What is short enough is read, and refused, if at all, for the zeros that it holds."""
    too_long = f"at most {limit} bytes in {path.split('.')[-1]}"

    def refusal(size: int) -> str:
        try:
            parse_message(nested(path, bytes(size)), MODEL)
        except BundleError as error:
            return str(error)
        return ""

    assert too_long not in refusal(limit)
    assert too_long in refusal(limit + 1)
