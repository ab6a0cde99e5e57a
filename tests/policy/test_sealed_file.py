"""The container: every flipped byte, every truncation, and every trick with sizes, names and nesting is refused."""

import hashlib
import json
import os
import struct
import time

import numpy as np
import pytest

import policy.bundle
from policy.bundle import BundleError, parse_bundle, read_bundle
from policy.sealed_file import (
    MAGIC,
    MAX_FILE_BYTES,
    MAX_HEADER_BYTES,
    SMALLEST_FILE_BYTES,
    read_bounded,
    seal,
    unseal,
)
from tests.policy.resealed import SECTIONS, SHIPPED, resealed

HEADER_START = len(MAGIC) + 4
(HEADER_SIZE,) = struct.unpack_from("<I", SHIPPED, len(MAGIC))


@pytest.fixture
def nothing_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails a test in which anything behind the seal is looked at."""

    def parsed(*arguments: object) -> None:
        raise AssertionError("parsed before the seal was checked")

    monkeypatch.setattr("policy.sealed_file.parse_bounded_json", parsed)
    monkeypatch.setattr(policy.bundle, "read_graph", parsed)
    monkeypatch.setattr("onnxruntime.InferenceSession", parsed)


def sealed_raw(body: bytes) -> bytes:
    """Any bytes under a right seal."""
    return body + hashlib.sha256(body).digest()


def with_header(text: bytes, rest: bytes = b"") -> bytes:
    return sealed_raw(MAGIC + struct.pack("<I", len(text)) + text + rest)


def test_the_shipped_bundle_is_read_and_resealing_changes_nothing() -> None:
    assert parse_bundle(SHIPPED).sha256 == SHIPPED[-32:].hex()
    assert resealed() == SHIPPED


def flip_every(places: range, bits: tuple[int, ...]) -> None:
    content = bytearray(SHIPPED)
    for place in places:
        for bit in bits:
            content[place] ^= bit
            with pytest.raises(BundleError):
                parse_bundle(bytes(content))
            content[place] ^= bit


def test_a_sample_of_flips_is_refused(nothing_parsed: None) -> None:
    flip_every(range(0, len(SHIPPED), 1009), (0x01,))
    flip_every(range(HEADER_START + 4), (0x01, 0x80))
    flip_every(range(len(SHIPPED) - 32, len(SHIPPED)), (0x01, 0x80))


@pytest.mark.slow
def test_every_single_byte_flip_is_refused(nothing_parsed: None) -> None:
    """All bytes, one bit each, another bit for each place."""
    for bit in range(8):
        flip_every(range(bit, len(SHIPPED), 8), (1 << bit,))


def test_a_sample_of_truncations_is_refused(nothing_parsed: None) -> None:
    for size in [*range(HEADER_START + 40), *range(100, len(SHIPPED), 2003), len(SHIPPED) - 1]:
        with pytest.raises(BundleError):
            parse_bundle(SHIPPED[:size])


@pytest.mark.slow
def test_every_truncation_is_refused(nothing_parsed: None) -> None:
    for size in range(len(SHIPPED)):
        with pytest.raises(BundleError):
            parse_bundle(SHIPPED[:size])


def test_trailing_bytes_are_refused(nothing_parsed: None) -> None:
    for more in (b"\0", SHIPPED, bytes(32)):
        with pytest.raises(BundleError, match="seal"):
            parse_bundle(SHIPPED + more)


def test_a_file_of_any_length_costs_a_bounded_read(tmp_path) -> None:
    huge = tmp_path / "huge.go1policy"
    with open(huge, "wb") as stream:
        stream.write(SHIPPED)
        stream.truncate(2**40)
    started_s = time.process_time()
    with pytest.raises(BundleError, match=f"at most {MAX_FILE_BYTES} bytes"):
        read_bundle(huge)
    assert time.process_time() - started_s < 2.0


def test_a_file_may_be_as_long_as_the_limit_and_no_longer(tmp_path) -> None:
    path = tmp_path / "file"
    for size in (0, 9, 10, 11, 12):
        path.write_bytes(bytes(size))
        if size <= 10:
            assert read_bounded(path, 10) == bytes(size)
        else:
            with pytest.raises(BundleError, match=f"at most 10 bytes; found {size} bytes"):
                read_bounded(path, 10)


def test_what_is_no_regular_file_is_not_read(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "absent", "/dev/zero"):
        with pytest.raises(BundleError, match="no file"):
            read_bundle(path)


def test_archives_are_no_bundles(tmp_path) -> None:
    """Nothing here unpacks: a zip or tar with ../ in its names is a file that starts with other bytes."""
    import io
    import tarfile
    import zipfile

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../etc/passwd", bytes(10_000_000))
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("/etc/passwd"))
    for content in (stream.getvalue(), tar.getvalue(), b"\x80\x04cos\nsystem\n", b"\x08\x08" + bytes(100)):
        with pytest.raises(BundleError, match="starts with"):
            parse_bundle(content)


def test_the_bounds_in_numbers() -> None:
    assert (MAX_FILE_BYTES, MAX_HEADER_BYTES, SMALLEST_FILE_BYTES) == (16_777_216, 262_144, 8 + 4 + 32)


def test_bytes_from_elsewhere_are_as_many_as_a_file_may_have() -> None:
    """A bundle that came through a pipe was never a file: the length is looked at here as well, before the content."""
    for length in (MAX_FILE_BYTES + 1, MAX_FILE_BYTES + 2):
        with pytest.raises(BundleError, match=f"at most 16777216 bytes; found {length} bytes"):
            unseal(bytes(length), SECTIONS)
    with pytest.raises(BundleError, match="starts with"):
        unseal(bytes(MAX_FILE_BYTES), SECTIONS)


def test_what_was_found_is_quoted() -> None:
    with pytest.raises(BundleError, match="starts with b'%PDF-1.7'\\. Give"):
        unseal(b"%PDF-1.7 and more", SECTIONS)
    text = json.dumps({"sections": [["onnx", 1], ["golden", 2]]}, separators=(",", ":")).encode()
    with pytest.raises(BundleError, match="fill the file's 7 bytes; found 3 bytes listed"):
        unseal(with_header(text, b"1234567"), SECTIONS)


@pytest.mark.parametrize("size", [MAX_HEADER_BYTES + 1, 2**32 - 1])
def test_a_header_size_out_of_bounds_is_refused(size: int) -> None:
    with pytest.raises(BundleError, match="header of at most"):
        parse_bundle(sealed_raw(MAGIC + struct.pack("<I", size) + bytes(300_000)))


def test_a_header_size_past_the_end_is_refused() -> None:
    with pytest.raises(BundleError, match="header of at most"):
        parse_bundle(sealed_raw(MAGIC + struct.pack("<I", 3) + b"{}"))
    with pytest.raises(BundleError, match="at least 44 bytes"):
        parse_bundle(MAGIC + bytes(31))


@pytest.mark.parametrize(("text", "message"), [(b"", "the header in JSON"), (b"[]", "an object as the header")])
def test_a_header_may_fill_the_file_and_is_then_looked_at(text: bytes, message: str) -> None:
    """The first of them is the smallest file there can be."""
    with pytest.raises(BundleError, match=message):
        unseal(with_header(text), SECTIONS)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, "list of sections"),
        ({}, "list of sections"),
        ([["onnx"], ["golden", 1]], "list of sections"),
        ([["onnx", 1, 1], ["golden", 1]], "list of sections"),
        ([], "the sections"),
        ([["onnx", 1]], "the sections"),
        ([["golden", 1], ["onnx", 1]], r"\[.onnx., .golden.\]; found \[.golden., .onnx.\]"),
        ([["onnx", 1], ["onnx", 1]], "the sections"),
        ([["onnx", 1], ["golden", 1], ["golden", 1]], "the sections"),
        ([["../onnx", 1], ["golden", 1]], "the sections"),
        ([["onnx", -1], ["golden", 3]], "at least zero"),
        ([["onnx", True], ["golden", 1]], "at least zero"),
        ([["onnx", 1.0], ["golden", 1]], "at least zero"),
        ([["onnx", "1"], ["golden", 1]], "at least zero"),
        ([["onnx", 1], ["golden", 2]], "fill the file"),
        ([["onnx", 1], ["golden", 0]], "fill the file"),
        ([["onnx", 2**60], ["golden", 2**60]], "fill the file"),
    ],
)
def test_sections_that_overlap_or_leave_gaps_are_refused(table: object, message: str) -> None:
    text = json.dumps({"sections": table}, separators=(",", ":")).encode()
    with pytest.raises(BundleError, match=message):
        unseal(with_header(text, b"ab"), SECTIONS)


def test_sections_come_back() -> None:
    content = seal({"a": 1}, [("onnx", b"abc"), ("golden", b"")])
    header, sections, sha256 = unseal(content, SECTIONS)
    assert (header["a"], sections) == (1, {"onnx": b"abc", "golden": b""})
    assert sha256 == hashlib.sha256(content[:-32]).hexdigest()


def golden_table(header: dict) -> list:
    return header["golden"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda header: header.update(golden={}), "list of golden vectors"),
        (lambda header: golden_table(header).pop(), "golden vectors"),
        (lambda header: golden_table(header).append(golden_table(header)[-1]), "golden vectors"),
        (lambda header: golden_table(header).reverse(), "golden vectors"),
        (lambda header: golden_table(header)[0][1].append(1), "three sizes"),
        (lambda header: golden_table(header)[0].__setitem__(1, [-64, -8, 3]), "three sizes"),
        (lambda header: golden_table(header)[0].__setitem__(1, [64, 0, 3]), "three sizes"),
        (lambda header: golden_table(header)[0].__setitem__(1, [64, 8, 3.0]), "three sizes"),
        (lambda header: golden_table(header)[0].__setitem__(1, [2**40, 2**40, 3]), "left in the file"),
        (lambda header: golden_table(header)[-1].__setitem__(1, [64, 1, 46]), "bytes more"),
        (lambda header: golden_table(header)[0].__setitem__(1, [64, 4, 6]), "golden in.angular_velocity"),
    ],
)
def test_golden_vectors_of_other_shapes_are_refused(change, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        parse_bundle(resealed(change))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1.1e6])
def test_golden_vectors_that_would_agree_with_anything_are_refused(value: float) -> None:
    golden = np.frombuffer(unseal(SHIPPED, SECTIONS).sections["golden"], "<f4").copy()
    golden[-1] = value
    with pytest.raises(BundleError, match="larger values or NaN"):
        parse_bundle(resealed(golden_bytes=golden.tobytes()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda header: header.update(version=-1), "version from 0"),
        (lambda header: header.update(version=2**31), "version from 0"),
        (lambda header: header.update(version=True), "version from 0"),
        (lambda header: header.update(version=1.0), "version from 0"),
        (lambda header: header.update(version="1"), "version from 0"),
        (lambda header: header.update(robot_sha256="A" * 64), "SHA-256 as robot_sha256"),
        (lambda header: header.update(robot_sha256=7), "SHA-256 as robot_sha256"),
        (lambda header: header.update(surprise=1), "unknown: .*surprise"),
        (lambda header: header.pop("version"), "missing: .*version"),
        (lambda header: header.update(lineage=[]), "lineage with the fields"),
        (lambda header: header["lineage"].update(seed="1"), "lineage.seed"),
        (lambda header: header["lineage"].update(seed=True), "lineage.seed"),
        (lambda header: header["lineage"].update(stage=1), "lineage.stage"),
        (lambda header: header["lineage"].update(parents="abc"), "lineage.parents"),
        (lambda header: header["lineage"].update(notes=[1]), "lineage.notes"),
        (lambda header: header["lineage"].pop("command"), "missing: .*command"),
    ],
)
def test_header_fields_of_other_types_are_refused(change, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        parse_bundle(resealed(change))
