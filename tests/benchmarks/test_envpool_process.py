"""EnvPool's side of the comparison, with a stand-in for the package: what it is asked for and what it tells."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from benchmarks.envpool_process import EnvPool, EnvPoolError
from benchmarks.envpool_program import TASK
from tests.benchmarks import fake_envpool


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the other Python finds the stand-in, and in which that leaves its notes."""
    shutil.copy(fake_envpool.__file__, tmp_path / "envpool.py")
    fake_envpool.lay_assets(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


def test_a_round_is_as_many_steps_of_all_robots(beside: Path) -> None:
    with EnvPool(sys.executable, robots=3, threads=2) as pool:
        assert pool.told.sim_dt_s == 0.004 and pool.told.ctrl_dt_s == 0.02
        assert pool.told.versions["envpool"] == "9.9.9"
        assert (beside / "steps.txt").read_text().splitlines() == ["(3, 12)"], "one to warm up"
        assert 0.0 < pool.run(20) < 5.0
        assert len((beside / "steps.txt").read_text().splitlines()) == 21
        asked = json.loads((beside / "asked.json").read_text())
    assert (asked["task"], asked["num_envs"], asked["num_threads"]) == (TASK, 3, 2)


def test_bounding_volumes_are_off_unless_it_is_to_stay_as_it_ships(beside: Path) -> None:
    with EnvPool(sys.executable, robots=1, threads=1) as pool:
        assert not pool.told.as_it_ships and pool.told.scene == str(beside / fake_envpool.SCENE)
        asked = json.loads((beside / "asked.json").read_text())
        assert '<global bvactive="false" azimuth="120"/>' in asked["scene"]
        changed = Path(asked["base_path"])
        assert (changed / fake_envpool.SCENE).with_name("robot.xml").is_file(), "what the scene includes is there, too"
        assert (changed / "mujoco/playground/assets/mujoco_menagerie").is_dir()
    assert not changed.exists(), "the changed copy is gone with the process"
    with EnvPool(sys.executable, robots=1, threads=1, as_it_ships=True) as pool:
        assert pool.told.as_it_ships
        assert json.loads((beside / "asked.json").read_text())["scene"] == fake_envpool.ROBOT


def test_a_scene_that_can_not_be_changed_is_an_error(beside: Path, capfd: pytest.CaptureFixture[str]) -> None:
    scene = beside / fake_envpool.SCENE
    scene.write_text(scene.read_text().replace("<global", "<other"))
    with pytest.raises(EnvPoolError, match="its end with status 1"):
        EnvPool(sys.executable, robots=1, threads=1)
    assert "expected one <global" in capfd.readouterr().err


def test_a_python_without_envpool_is_an_error() -> None:
    with pytest.raises(EnvPoolError, match="see its message above.*requirements-envpool.txt"):
        EnvPool(sys.executable, robots=1, threads=1)
