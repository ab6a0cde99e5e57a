"""Logs come back as written; damage is named, and takes nothing more than what it touched."""

from pathlib import Path

import numpy as np
import pytest
from mcap.writer import CompressionType, Writer

from offline_data.log_reader import (
    EmptyLogError,
    ForeignLogError,
    LogError,
    log_paths,
    read_log,
    read_logs,
    session_parts,
)
from offline_data.log_schema import CHANNELS, METADATA_NAME, SchemaError
from tests.offline_data.synthetic_log import metadata, standing_session, write_log

STEPS = 30


@pytest.mark.parametrize("compression", [CompressionType.NONE, CompressionType.LZ4, CompressionType.ZSTD])
def test_round_trip(tmp_path: Path, compression: CompressionType) -> None:
    session = standing_session(STEPS)
    log = read_log(write_log(tmp_path / "a.mcap", session, compression=compression))
    assert log.complete and not log.damages and log.metadata == metadata()
    for topic in CHANNELS:
        np.testing.assert_array_equal(log.channels[topic], session[topic])


def chunk_offsets(content: bytes) -> list[int]:
    """Where the chunk records of a healthy file begin."""
    offset, found = 8, []
    while content[offset] != 0x0F:
        if content[offset] == 0x06:
            found.append(offset)
        offset += 9 + int.from_bytes(content[offset + 1 : offset + 9], "little")
    return found


def prefix_is_kept(log_state: np.ndarray, session: dict[str, np.ndarray]) -> None:
    np.testing.assert_array_equal(log_state, session["/low_state"][: len(log_state)])


def test_truncation_anywhere_keeps_what_came_before(tmp_path: Path) -> None:
    """Cut at 60 places: inside magic, header, metadata, schemas, chunks, index and footer. Never a crash; never less
    than a shorter cut gave."""
    session = standing_session(STEPS)
    whole = write_log(tmp_path / "whole.mcap", session, chunk_bytes=5_000).read_bytes()
    cuts = [0, 4, 8, 9, 20, *np.linspace(30, len(whole) - 1, 55).astype(int).tolist()]
    kept_before = 0
    for cut in cuts:
        path = tmp_path / "cut.mcap"
        path.write_bytes(whole[:cut])
        try:
            log = read_log(path)
        except (ForeignLogError, EmptyLogError):
            assert kept_before == 0, f"cut at {cut} lost everything"
            continue
        assert len(log.low_state) >= kept_before
        prefix_is_kept(log.low_state, session)
        assert log.complete or log.damages
        kept_before = len(log.low_state)
    assert kept_before == len(session["/low_state"])


def test_power_cut_without_footer(tmp_path: Path) -> None:
    session = standing_session(STEPS)
    log = read_log(write_log(tmp_path / "a.mcap", session, chunk_bytes=5_000, finish=False))
    assert not log.complete
    assert "ends without a footer" in log.damages[0].what
    assert 0.9 * len(session["/low_state"]) < len(log.low_state)
    prefix_is_kept(log.low_state, session)


def test_wrong_checksum_costs_one_chunk_only(tmp_path: Path) -> None:
    session = standing_session(STEPS)
    path = write_log(tmp_path / "a.mcap", session, chunk_bytes=5_000)
    content = bytearray(path.read_bytes())
    middle = content.find(session["/low_state"][150].tobytes())
    content[middle + 30] ^= 0xFF
    path.write_bytes(content)
    log = read_log(path)
    assert len(log.damages) == 1 and "chunk record lost" in log.damages[0].what
    kept = set(log.low_state["sequence"].tolist())
    missing = sorted(set(range(len(session["/low_state"]))) - kept)
    assert 150 in missing and len(missing) < 20
    assert missing == list(range(missing[0], missing[-1] + 1))


def test_broken_frame_ends_the_file_there(tmp_path: Path) -> None:
    session = standing_session(STEPS)
    path = write_log(tmp_path / "a.mcap", session, chunk_bytes=5_000)
    content = bytearray(path.read_bytes())
    third_chunk = chunk_offsets(bytes(content))[2]
    content[third_chunk] = 0xF0
    path.write_bytes(content)
    log = read_log(path)
    assert not log.complete
    assert [(damage.offset, damage.what) for damage in log.damages] == [
        (third_chunk, "no MCAP record begins here (opcode 0xf0)")
    ]
    assert 0 < len(log.low_state) < 20  # two chunks of 5 kB, some 560 bytes a state and its command
    prefix_is_kept(log.low_state, session)


def test_message_of_wrong_size_is_named(tmp_path: Path) -> None:
    channel = CHANNELS["/event"]
    with (tmp_path / "a.mcap").open("wb") as file:
        writer = Writer(file, compression=CompressionType.NONE)
        writer.start()
        writer.add_metadata(METADATA_NAME, metadata().to_record())
        schema = writer.register_schema(channel.schema_name, "ros2msg", channel.ros2msg.encode())
        channel_id = writer.register_channel("/event", "cdr", schema)
        for payload in (channel.zeros(1).tobytes(), b"short", channel.zeros(1).tobytes()):
            writer.add_message(channel_id, 0, payload, 0)
        writer.finish()
    log = read_log(tmp_path / "a.mcap")
    assert len(log.event) == 2
    assert [damage.what for damage in log.damages] == ["message lost: 5 bytes, expected 123"]


def test_foreign_files(tmp_path: Path) -> None:
    text = tmp_path / "notes.mcap"
    text.write_text("not a log at all")
    with pytest.raises(ForeignLogError, match="to be an MCAP file"):
        read_log(text)
    empty = tmp_path / "empty.mcap"
    empty.write_bytes(b"")
    with pytest.raises(ForeignLogError, match="an empty file"):
        read_log(empty)
    with (tmp_path / "other.mcap").open("wb") as file:
        writer = Writer(file)
        writer.start()
        schema = writer.register_schema("std_msgs/msg/String", "ros2msg", b"string data")
        channel_id = writer.register_channel("/chatter", "cdr", schema)
        writer.add_message(channel_id, 0, b"hello", 0)
        writer.finish()
    with pytest.raises(ForeignLogError, match="/chatter"):
        read_log(tmp_path / "other.mcap")


def test_same_topic_with_another_schema_is_foreign(tmp_path: Path) -> None:
    with (tmp_path / "a.mcap").open("wb") as file:
        writer = Writer(file)
        writer.start()
        writer.add_metadata(METADATA_NAME, metadata().to_record())
        schema = writer.register_schema("go1/msg/Event", "ros2msg", b"uint8 kind\n")
        writer.add_message(writer.register_channel("/event", "cdr", schema), 0, b"\x00", 0)
        writer.finish()
    with pytest.raises(ForeignLogError, match="another text under the name 'go1/msg/Event'"):
        read_log(tmp_path / "a.mcap")


def test_metadata_of_another_version_is_refused(tmp_path: Path) -> None:
    record = {**metadata().to_record(), "format_version": "2"}
    with pytest.raises(SchemaError, match="found '2'"):
        read_log(write_log(tmp_path / "a.mcap", standing_session(2), record=record))


def test_a_bad_file_takes_nothing_from_the_others(tmp_path: Path) -> None:
    write_log(tmp_path / "good.mcap", standing_session(STEPS))
    (tmp_path / "bad.mcap").write_bytes(b"rubbish")
    (tmp_path / "readme.txt").write_text("not looked at")
    logs, failures = read_logs(tmp_path)
    assert [log.path.name for log in logs] == ["good.mcap"]
    assert [failure.path.name for failure in failures] == ["bad.mcap"]


def test_a_folder_without_logs(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="no .mcap file in it"):
        read_logs(tmp_path)
    with pytest.raises(LogError, match="no such path"):
        read_logs(tmp_path / "nowhere")


def split_session(folder: Path, session: dict[str, np.ndarray], rows: list[slice]) -> None:
    """The session's states in parts; the messages of the stock writer's helper are not numbered, so do it here."""
    channel = CHANNELS["/low_state"]
    for number, part in enumerate(rows, start=1):
        with (folder / ("s.mcap" if number == 1 else f"s_part{number}.mcap")).open("wb") as file:
            writer = Writer(file, compression=CompressionType.NONE)
            writer.start()
            writer.add_metadata(METADATA_NAME, metadata().to_record())
            schema = writer.register_schema(channel.schema_name, "ros2msg", channel.ros2msg.encode())
            channel_id = writer.register_channel(channel.topic, "cdr", schema)
            for state in session["/low_state"][part]:
                writer.add_message(channel_id, 0, state.tobytes(), 0, int(state["sequence"]))
            writer.finish()


def test_parts_are_one_log_without_repetitions(tmp_path: Path) -> None:
    session = standing_session(STEPS)
    states = session["/low_state"]
    split_session(tmp_path, session, [slice(0, 100), slice(90, 200), slice(200, len(states))])
    (tmp_path / "s_part12.mcap").write_bytes(b"")
    assert log_paths(tmp_path) == [tmp_path / "s.mcap"]
    (log,), failures = read_logs(tmp_path)
    assert not failures and not log.complete and log.path == tmp_path / "s.mcap"
    np.testing.assert_array_equal(log.low_state, states)
    assert [damage.what for damage in log.damages] == ["s_part12.mcap: an empty file"]
    assert session_parts(tmp_path / "s_part2.mcap") == [tmp_path / f"s_part{number}.mcap" for number in (2, 3, 12)]


def test_a_session_without_its_first_part_is_still_a_log(tmp_path: Path) -> None:
    session = standing_session(STEPS)
    split_session(tmp_path, session, [slice(0, 100), slice(100, 200), slice(200, 300)])
    (tmp_path / "s.mcap").unlink()
    write_log(tmp_path / "s_other.mcap", session)
    assert log_paths(tmp_path) == [tmp_path / "s_part2.mcap", tmp_path / "s_other.mcap"]
    np.testing.assert_array_equal(read_log(tmp_path / "s_part2.mcap").low_state, session["/low_state"][100:300])


def test_a_part_of_another_session_is_refused(tmp_path: Path) -> None:
    write_log(tmp_path / "s.mcap", standing_session(2))
    write_log(tmp_path / "s_part2.mcap", standing_session(2), {**metadata().to_record(), "session_id": "x"})
    with pytest.raises(ForeignLogError, match="a part of session 'test'"):
        read_log(tmp_path / "s.mcap")


def test_two_sources_of_a_topic_are_merged_by_time(tmp_path: Path) -> None:
    channel = CHANNELS["/event"]
    with (tmp_path / "a.mcap").open("wb") as file:
        writer = Writer(file)
        writer.start()
        writer.add_metadata(METADATA_NAME, metadata().to_record())
        schema = writer.register_schema(channel.schema_name, "ros2msg", channel.ros2msg.encode())
        sources = [writer.register_channel("/event", "cdr", schema, {"source": name}) for name in ("gate", "pilot")]
        for source, stamps in zip(sources, ([10, 30, 40], [20, 30]), strict=True):
            for number, stamp in enumerate(stamps):
                event = channel.zeros(1)
                event["monotonic_ns"], event["episode"] = stamp, source
                writer.add_message(source, 0, event.tobytes(), 0, number)
        writer.finish()
    events = read_log(tmp_path / "a.mcap").event
    assert events["monotonic_ns"].tolist() == [10, 20, 30, 30, 40]
    assert events["episode"].tolist() == [sources[0], sources[1], sources[0], sources[1], sources[0]]
    assert not events.flags.writeable
