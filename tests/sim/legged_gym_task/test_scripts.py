"""legged_gym's scripts by the documented command, each in a process of its own, over a stand-in for rsl_rl v1.0.2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ARGUMENTS = ("--task", "go1_velocity", "--headless", "--num_envs", "4", "--rl_device", "cpu")
# legged_gym's play script runs for ten episodes; a user who wants shorter ones changes the configuration, as here.
SHORT_EPISODES = """
import runpy, sys
import isaacgym
from legged_gym.envs import *
from legged_gym.utils import task_registry
task_registry.env_cfgs["go1_velocity"].env.episode_length_s = 0.3
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(repositories: Path, *command: str) -> str:
    """Standard output of `python -m sim.legged_gym_task ...`, started from legged_gym's own folder."""
    folders = [ROOT, repositories / "rsl_rl_repository", repositories / "legged_gym_repository"]
    environment = {**os.environ, "GO1_ISAACGYM_SHIM": "1", "PYTHONPATH": os.pathsep.join(map(str, folders))}
    whole = [sys.executable, "-m", "sim.legged_gym_task", *command]
    folder = repositories / "legged_gym_repository"
    result = subprocess.run(whole, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.slow
def test_train_and_play(repositories):
    trained = run(repositories, "legged_gym/scripts/train.py", *ARGUMENTS, "--max_iterations", "2")
    assert "iteration 1: mean episode reward_track_linear_velocity:" in trained
    assert len(list((repositories / "legged_gym_repository/logs/go1_velocity").glob("*/model_2.pt"))) == 1
    short = repositories / "short_episodes.py"
    short.write_text(SHORT_EPISODES, encoding="utf-8")
    played = run(repositories, str(short), "legged_gym/scripts/play.py", *ARGUMENTS)
    assert "9 states of 100 steps" in played
    assert " - reward_track_linear_velocity: 0." in played
    assert "Total number of episodes: 4" in played
    assert (repositories / "legged_gym_repository/logs/go1_velocity/exported/policies/policy_1.pt").is_file()
