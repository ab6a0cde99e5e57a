"""Datasets: flags by hand, and every kind of tampering refused with its own message."""

import json
from pathlib import Path

import numpy as np
import pytest

from offline_data.dataset import MANIFEST, Dataset, DatasetError, dataset_columns
from offline_data.dataset_writer import DatasetHeader, DatasetWriter
from offline_data.log_schema import Ending
from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot

ROBOT = load_robot()
HEADER = DatasetHeader(velocity_contract(ROBOT), ROBOT.sha256, ("a", "b"), {"a": 1.0, "b": -0.5}, {"importer": "test"})


def episode(rows: int, value: float = 0.0) -> dict[str, np.ndarray]:
    columns = {
        name: np.full((rows, column.width) if column.width else rows, value)
        for name, column in dataset_columns(HEADER.contract, HEADER.reward_terms).items()
        if column.required and name not in ("episode", "final", "terminated", "truncated")
    }
    columns["valid"] = np.ones(rows, dtype=bool)
    return columns


def two_episodes(path: Path) -> Dataset:
    writer = DatasetWriter(path, HEADER)
    writer.append(episode(5, 1.0), Ending.TERMINATED, "a.mcap", {"22"})
    masked = episode(3, 2.0)
    masked["valid"][0] = False
    writer.append(masked, Ending.INTERVENTION, "b.mcap", {"11", "22"})
    return writer.finish()


def test_flags_and_counts_by_hand(tmp_path: Path) -> None:
    dataset = two_episodes(tmp_path / "d")
    assert dataset["episode"].tolist() == [0, 0, 0, 0, 0, 1, 1, 1]
    assert dataset["final"].tolist() == [False] * 4 + [True] + [False] * 2 + [True]
    assert dataset["terminated"].tolist() == [False] * 3 + [True] + [False] * 4
    assert dataset["truncated"].tolist() == [False] * 6 + [True, False]
    assert dataset.transitions().tolist() == [0, 1, 2, 3, 6]
    assert dataset.info().to_dict() == {
        "episodes": 2,
        "steps": 6,
        "terminated": 1,
        "truncated": 0,
        "intervention": 1,
        "stopped": 0,
        "masked": 1,
        "quarantined": 0,
    }
    assert [(e.start, e.stop, e.ending, e.source) for e in dataset.episodes] == [
        (0, 5, "terminated", "a.mcap"),
        (5, 8, "intervention", "b.mcap"),
    ]
    assert dataset.bundles == ("11", "22")
    assert len(dataset) == 8


def test_reopened_dataset_is_equal_and_read_only(tmp_path: Path) -> None:
    written = two_episodes(tmp_path / "d")
    opened = Dataset.open(tmp_path / "d")
    assert opened.contract == HEADER.contract
    assert opened.sha256 == written.sha256
    assert isinstance(opened["action"], np.memmap)
    assert opened["reward"].tolist() == [1.0] * 5 + [2.0] * 3
    with pytest.raises(ValueError, match="read-only"):
        opened["action"][0] = 1.0


def test_equal_content_gives_equal_hash_and_other_content_another(tmp_path: Path) -> None:
    assert two_episodes(tmp_path / "a").sha256 == two_episodes(tmp_path / "b").sha256
    writer = DatasetWriter(tmp_path / "c", HEADER)
    writer.append(episode(5, 1.0), Ending.TERMINATED, "a.mcap", {"22"})
    assert writer.finish().sha256 != Dataset.open(tmp_path / "a").sha256


def test_changed_byte_in_a_column(tmp_path: Path) -> None:
    two_episodes(tmp_path / "d")
    column = tmp_path / "d" / "columns" / "action.npy"
    content = bytearray(column.read_bytes())
    content[-1] ^= 1
    column.write_bytes(content)
    with pytest.raises(DatasetError, match="action.npy as it was written; found changed bytes"):
        Dataset.open(tmp_path / "d")


def test_changed_manifest(tmp_path: Path) -> None:
    two_episodes(tmp_path / "d")
    file = tmp_path / "d" / MANIFEST
    manifest = json.loads(file.read_text())
    manifest["episodes"][0]["ending"] = "truncated"
    file.write_text(json.dumps(manifest))
    with pytest.raises(DatasetError, match="its hash differs"):
        Dataset.open(tmp_path / "d")


@pytest.mark.parametrize("verify", [True, False])
def test_missing_and_truncated_columns(tmp_path: Path, verify: bool) -> None:
    two_episodes(tmp_path / "d")
    column = tmp_path / "d" / "columns" / "reward.npy"
    column.write_bytes(column.read_bytes()[:-4])
    with pytest.raises(DatasetError, match="reward.npy"):
        Dataset.open(tmp_path / "d", verify=verify)
    column.unlink()
    with pytest.raises(DatasetError, match=r"the column file .*reward.npy; found none"):
        Dataset.open(tmp_path / "d", verify=verify)


def test_no_dataset_and_another_version(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="go1 data ingest"):
        Dataset.open(tmp_path)
    (tmp_path / MANIFEST).write_text('{"format_version": 7}')
    with pytest.raises(DatasetError, match="version 1; found 7"):
        Dataset.open(tmp_path)


def test_writer_refuses_bad_episodes(tmp_path: Path) -> None:
    writer = DatasetWriter(tmp_path / "d", HEADER)
    with pytest.raises(DatasetError, match="at least one step and its final row; found 1 rows"):
        writer.append(episode(1), Ending.STOPPED, "a", set())
    with pytest.raises(DatasetError, match="Ending.NONE"):
        writer.append(episode(3), Ending.NONE, "a", set())
    nan = episode(3)
    nan["joint_position"][1, 4] = np.nan
    with pytest.raises(DatasetError, match="joint_position; found NaN or infinity in row 1, a"):
        writer.append(nan, Ending.STOPPED, "a", set())
    with pytest.raises(DatasetError, match=r"command of shape \(3, 3\)"):
        writer.append({**episode(3), "command": np.zeros((3, 15))}, Ending.STOPPED, "a", set())
    with pytest.raises(DatasetError, match="unknown .'colour'"):
        writer.append({**episode(3), "colour": np.zeros(3)}, Ending.STOPPED, "a", set())
    writer.append({**episode(3), "log_prob": np.zeros(3)}, Ending.STOPPED, "a", set())
    with pytest.raises(DatasetError, match="missing .'log_prob'"):
        writer.append(episode(3), Ending.STOPPED, "b", set())


def test_nothing_appears_until_finished_and_nothing_is_overwritten(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="at least one episode"):
        DatasetWriter(tmp_path / "d", HEADER).finish()
    assert not (tmp_path / "d").exists()
    (tmp_path / "d.partial").mkdir()
    (tmp_path / "d.partial" / "left_by_a_killed_run").touch()
    two_episodes(tmp_path / "d")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d"]
    assert not (tmp_path / "d" / "left_by_a_killed_run").exists()
    with pytest.raises(DatasetError, match="datasets are not edited"):
        DatasetWriter(tmp_path / "d", HEADER)


def test_unknown_column_lists_what_there_is(tmp_path: Path) -> None:
    dataset = two_episodes(tmp_path / "d")
    assert "log_prob" not in dataset
    with pytest.raises(DatasetError, match="'log_prob'. This source did not record it"):
        dataset["log_prob"]
    with pytest.raises(DatasetError, match="'torque'. Check the spelling"):
        dataset["torque"]
