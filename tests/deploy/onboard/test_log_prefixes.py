"""A recorder's file cut off anywhere: the stock reader opens it, and recovery makes a clean, indexed file of it."""

from __future__ import annotations

import bisect
import io
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from mcap.exceptions import EndOfFile
from mcap.reader import make_reader
from mcap.records import Message
from mcap.stream_reader import StreamReader

from deploy.onboard.log_file import LogFile, SystemDisk
from deploy.onboard.record_conversion import message_block
from deploy.onboard.record_layout import RECORDS
from offline_data.log_reader import EmptyLogError, ForeignLogError, read_log
from offline_data.log_schema import SessionMetadata
from offline_data.recover import recover_log

METADATA = SessionMetadata("session", "{}", "ab" * 32, "cd" * 32, "{}")
CHUNKS, STATES_A_CHUNK = 5, 4
MAGIC_BYTES = 8


@pytest.fixture(scope="module")
def flushed_sizes(tmp_path_factory: pytest.TempPathFactory) -> list[int]:
    """Size of the file after its chunks 1, 2, ..."""
    return []


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, flushed_sizes: list[int]) -> bytes:
    """A closed log of states and events, a few in every chunk."""
    file = LogFile(tmp_path_factory.mktemp("log") / "session.mcap", METADATA, ("gate", "pilot"), SystemDisk())
    generator = np.random.default_rng(0)
    for chunk in range(CHUNKS):
        states = np.zeros(STATES_A_CHUNK, RECORDS["/low_state"])
        states["sequence"] = np.arange(STATES_A_CHUNK) + chunk * STATES_A_CHUNK
        states["time_s"] = 100.0 + 0.002 * states["sequence"]
        states["joint_position"] = generator.standard_normal((STATES_A_CHUNK, 12))
        events = np.zeros(1, RECORDS["/event"])
        events["sequence"], events["time_s"] = chunk, 100.0 + 0.01 * chunk
        file.add([message_block("/low_state", states, 0, 7), message_block("/event", events, 1, 7)])
        file.flush()
        flushed_sizes.append(file.path.stat().st_size)
    file.add_index()
    file.flush()
    file.close()
    return file.path.read_bytes()


def stream_messages(content: bytes) -> list[Message]:
    """What the stock streaming reader finds before it says that the file has ended.

    It says so by EndOfFile, and by struct.error where a record's length is cut; any other complaint is a failure.
    """
    messages: list[Message] = []
    try:
        for record in StreamReader(io.BytesIO(content), validate_crcs=True).records:
            if isinstance(record, Message):
                messages.append(record)
    except (EndOfFile, struct.error):
        pass
    return messages


def indexed_messages(path: Path) -> list[Message]:
    with path.open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None and summary.statistics is not None
        found = [message for _, _, message in reader.iter_messages(log_time_order=False)]
        assert summary.statistics.message_count == len(found)
        return found


def check_prefixes(whole: bytes, flushed_sizes: list[int], lengths: Iterable[int], folder: Path) -> None:
    cut, clean = folder / "cut.mcap", folder / "clean.mcap"
    all_messages = stream_messages(whole)
    for length in lengths:
        prefix = whole[:length]
        cut.write_bytes(prefix)
        if length < MAGIC_BYTES:  # nobody's MCAP file yet
            with pytest.raises(ForeignLogError):
                recover_log(cut, clean)
            continue
        found = stream_messages(prefix)
        # Every chunk that was flushed before the cut is there, whole.
        assert len(found) >= bisect.bisect_right(flushed_sizes, length) * (STATES_A_CHUNK + 1), length
        assert found == all_messages[: len(found)], length
        report = recover_log(cut, clean)
        assert cut.read_bytes() == prefix
        assert sum(report.messages.values()) == len(found), length
        assert report.complete or report.damages, length
        # Channels have other numbers in the new file; all else is the same.
        stripped = [(message.sequence, message.log_time, message.data) for message in found]
        assert [(m.sequence, m.log_time, m.data) for m in indexed_messages(clean)] == stripped, length
        if found:
            assert len(read_log(clean).low_state) == len(read_log(cut).low_state)
        else:
            with pytest.raises((EmptyLogError, ForeignLogError)):
                read_log(cut)
        clean.unlink()


def test_some_prefixes(whole: bytes, flushed_sizes: list[int], tmp_path: Path) -> None:
    edges = [size + shift for size in flushed_sizes for shift in (-1, 0, 1)]
    spread = np.linspace(0, len(whole), 30).astype(int).tolist()
    check_prefixes(whole, flushed_sizes, [*range(12), *spread, *edges], tmp_path)


@pytest.mark.slow
def test_every_prefix(whole: bytes, flushed_sizes: list[int], tmp_path: Path) -> None:
    check_prefixes(whole, flushed_sizes, range(len(whole) + 1), tmp_path)
