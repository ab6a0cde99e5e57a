"""Results as files: what is written comes back, whole, and a line an episode."""

from typing import Any

from benchmarks.twin_conditions_cells import is_there, read_record, write_record


def test_a_record_comes_back_as_it_was(tmp_path):
    walks = [{"seed": 7, "episode_return": 1.5, "fell": False}, {"seed": 8, "episode_return": -2.0, "fell": True}]
    record: dict[str, Any] = {
        "settings": {"kl_limit": float("inf"), "name": 'EPISODES of "ice"'},
        "seed": None,
        "evaluation": {"per_episode": walks, "falls": 1},
    }
    file = tmp_path / "pre.json"
    assert read_record(file) is None and not is_there(file, {})
    write_record(file, record)
    assert read_record(file) == record and is_there(file, record["settings"])
    assert sum("episode_return" in line for line in file.read_text().splitlines()) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["pre.json"]
