"""Choosing an engine, and training on the chosen one."""

import json
from dataclasses import replace

import pytest
import torch

from cli.main import main
from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot
from sim.engines.choice import EngineChoice, make_engine
from sim.engines.isaacgym import IsaacGymEngine
from sim.engines.mujoco import MujocoEngine
from sim.presets import preset
from sim.pretrain import pretrain
from sim.pretrain_settings import PretrainSettings
from sim.privileged import PRIVILEGED_WIDTH
from sim.velocity_settings import VelocityTaskSettings
from sim.velocity_task import VelocityTask


def test_engines_by_name():
    robot = load_robot()
    assert isinstance(make_engine(EngineChoice(), robot, 1), MujocoEngine)
    assert isinstance(make_engine(EngineChoice("isaacgym"), robot, 1), IsaacGymEngine)


def test_a_run_trains_on_isaac_gym(tmp_path):
    settings = PretrainSettings(
        steps=8 * 4 * 2,
        steps_per_iteration=4,
        actor_hidden=(8,),
        critic_hidden=(8,),
        epochs=1,
        minibatches=1,
        threads=1,
        engine=EngineChoice("isaacgym"),
        task=VelocityTaskSettings(num_envs=8, seed=2, episode_s=0.1),
    )
    pretrain(settings, tmp_path)
    assert json.loads((tmp_path / "settings.json").read_text())["engine"] == {
        "name": "isaacgym",
        "device": "cpu",
        "python": None,
    }
    assert len((tmp_path / "curve.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize("name", ["standard", "quick"])
def test_the_presets_of_level_ground_run_on_isaac_gym(name):
    """docs/isaac_gym.md names them; the others' terrain is refused."""
    choice, robot = EngineChoice("isaacgym"), load_robot()
    contract = velocity_contract(robot)
    settings = replace(preset(name, 1, choice).task, num_envs=2)
    assert settings.terrain is None
    graph = PolicyGraph(contract, GaussianActor(contract.observation_dim, 12, (), 1.0))
    task = VelocityTask(settings, robot, graph, make_engine(choice, robot, 2))
    reward = task.step(torch.zeros(2, 12))[1]
    assert torch.isfinite(reward).all()


def test_the_critic_sees_as_many_numbers_as_are_said():
    """legged_gym's configuration names the width before there is a task."""
    robot = load_robot()
    contract = velocity_contract(robot)
    graph = PolicyGraph(contract, GaussianActor(contract.observation_dim, 12, (), 1.0))
    task = VelocityTask(VelocityTaskSettings(num_envs=1), robot, graph, MujocoEngine(robot, 1, 1))
    assert task.privileged.shape == (1, PRIVILEGED_WIDTH)


def test_the_command_line_says_what_is_missing(tmp_path, monkeypatch: pytest.MonkeyPatch, capsys):
    """A Python that can not be started, in one message and exit status 2."""
    words = ["sim", "train", "--engine", "isaacgym", "--engine-python", "/nowhere/python", "--out", str(tmp_path)]
    assert main(words) == 2
    assert "expected a Python with Isaac Gym" in capsys.readouterr().err
