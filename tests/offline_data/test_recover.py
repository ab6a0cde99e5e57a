"""Recovery: a clean file out of damage and parts, the same bytes again from its own result, the input untouched."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer

from cli.main import main
from offline_data.log_reader import ForeignLogError, LogError, read_log
from offline_data.log_schema import CHANNELS, MESSAGE_ENCODING, METADATA_NAME, SCHEMA_ENCODING
from offline_data.recover import recover_log
from tests.offline_data.synthetic_log import metadata, standing_session, write_log


def write_part(path: Path, sequences: list[int], session_id: str = "test", finish: bool = True) -> Path:
    """Numbered states, in chunks of about three, as one part of a session."""
    channel = CHANNELS["/low_state"]
    with path.open("wb") as file:
        writer = Writer(file, compression=CompressionType.NONE, chunk_size=900)
        writer.start()
        writer.add_metadata(METADATA_NAME, {**metadata().to_record(), "session_id": session_id})
        schema = writer.register_schema(channel.schema_name, SCHEMA_ENCODING, channel.ros2msg.encode())
        number = writer.register_channel(channel.topic, MESSAGE_ENCODING, schema, {"source": "gate"})
        for sequence in sequences:
            state = channel.zeros(1)
            state["sequence"], state["monotonic_ns"] = sequence, 2_000_000 * sequence
            writer.add_message(number, 1000 + sequence, state.tobytes(), 2000 + sequence, sequence)
        if finish:
            writer.finish()
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_healthy_log_comes_out_whole_and_the_same_again(tmp_path: Path) -> None:
    session = standing_session(5)
    log = write_log(tmp_path / "a.mcap", session)
    before = digest(log)
    report = recover_log(log, tmp_path / "once.mcap")
    assert report.complete and not report.damages and report.repeated == 0
    assert report.messages == {topic: len(rows) for topic, rows in session.items()}
    assert not any(report.missing.values())
    recover_log(tmp_path / "once.mcap", tmp_path / "twice.mcap")
    assert digest(tmp_path / "once.mcap") == digest(tmp_path / "twice.mcap")
    assert digest(log) == before
    for topic, rows in session.items():
        np.testing.assert_array_equal(read_log(tmp_path / "twice.mcap").channels[topic], rows)
    assert read_log(tmp_path / "twice.mcap").metadata == metadata()


def test_a_damaged_chunk_is_left_out_and_counted(tmp_path: Path) -> None:
    path = write_part(tmp_path / "a.mcap", list(range(30)))
    content = bytearray(path.read_bytes())
    state = CHANNELS["/low_state"].zeros(1)
    state["sequence"], state["monotonic_ns"] = 15, 30_000_000
    content[content.find(state.tobytes()) + 40] ^= 0xFF
    path.write_bytes(content)
    report = recover_log(path, tmp_path / "out.mcap")
    lost = 30 - report.messages["/low_state"]
    assert 1 <= lost <= 4 and report.missing == {"/low_state": lost}
    (damage,) = report.damages
    assert damage.startswith("a.mcap: chunk record lost: crc validation failed")
    with (tmp_path / "out.mcap").open("rb") as stream:
        kept = [message.sequence for _, _, message in make_reader(stream, validate_crcs=True).iter_messages()]
    assert 15 not in kept and kept == sorted(kept) and kept[-1] == 29


def test_what_was_never_in_a_file_is_missing(tmp_path: Path) -> None:
    path = write_part(tmp_path / "a.mcap", [0, 1, 2, 7, 8, 10])
    assert recover_log(path, tmp_path / "out.mcap").missing == {"/low_state": 5}  # 3, 4, 5, 6 and 9


def test_parts_become_one_file(tmp_path: Path) -> None:
    write_part(tmp_path / "a.mcap", list(range(10)), finish=False)
    write_part(tmp_path / "a_part2.mcap", list(range(6, 20)))
    write_part(tmp_path / "a_part10.mcap", list(range(20, 25)))
    (tmp_path / "a_part3.mcap").write_bytes(b"")  # a recorder that was killed before its first write
    report = recover_log(tmp_path / "a.mcap", tmp_path / "out" / "whole.mcap")
    assert report.parts == ("a.mcap", "a_part2.mcap", "a_part3.mcap", "a_part10.mcap")
    assert report.messages == {"/low_state": 25} and report.missing == {"/low_state": 0}
    # The unfinished part's last chunk was never written.
    assert 0 < report.repeated <= 4 and report.complete
    assert any("a_part3.mcap: no MCAP file (0 bytes)" in damage for damage in report.damages)
    with (tmp_path / "out" / "whole.mcap").open("rb") as stream:
        messages = [message for _, _, message in make_reader(stream, validate_crcs=True).iter_messages()]
    assert [message.sequence for message in messages] == list(range(25))
    assert [message.log_time for message in messages] == list(range(1000, 1025))
    assert [message.publish_time for message in messages] == list(range(2000, 2025))
    assert len(list((tmp_path / "out").iterdir())) == 1


def test_parts_of_different_sessions_are_not_joined(tmp_path: Path) -> None:
    write_part(tmp_path / "a.mcap", [0, 1])
    write_part(tmp_path / "a_part2.mcap", [2, 3], session_id="another")
    with pytest.raises(ForeignLogError, match="a part of session 'test'"):
        recover_log(tmp_path / "a.mcap", tmp_path / "out.mcap")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mcap", "a_part2.mcap"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    log = write_part(tmp_path / "a.mcap", [0])
    before = digest(log)
    with pytest.raises(LogError, match="no file at"):
        recover_log(log, log)
    assert digest(log) == before


def test_what_cannot_be_recovered_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mcap").write_bytes(b"not a log")
    with pytest.raises(ForeignLogError, match="do not begin as one"):
        recover_log(tmp_path / "a.mcap", tmp_path / "out.mcap")
    with pytest.raises(LogError, match="no such file"):
        recover_log(tmp_path / "none.mcap", tmp_path / "out.mcap")
    assert not (tmp_path / "out.mcap").exists()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = write_part(tmp_path / "a.mcap", list(range(12)), finish=False)
    assert main(["data", "recover", str(log), "--out", str(tmp_path / "out.mcap"), "--json"]) == 0
    out, err = capsys.readouterr()
    assert '"complete": false' in out
    assert err.startswith("go1: NOTE: this log was not closed: what came after its last message is lost, uncounted")
    assert read_log(tmp_path / "out.mcap").complete
    assert main(["data", "recover", str(log), "--out", str(tmp_path / "out.mcap")]) == 2
    assert "Choose another name with --out" in capsys.readouterr().err
    assert main(["data", "recover", str(tmp_path / "out.mcap"), "--out", str(tmp_path / "again.mcap")]) == 0
    assert capsys.readouterr().err == ""
