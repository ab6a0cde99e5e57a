"""Choosing an engine, and training on the chosen one."""

import json
from dataclasses import replace

import pytest
import torch

from cli.main import main
from policy.bundle import read_bundle
from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot
from sim.engines.choice import EngineChoice, make_engine
from sim.engines.isaacgym import IsaacGymEngine
from sim.engines.mujoco import MujocoEngine
from sim.presets import PRESETS, preset
from sim.pretrain import pretrain
from sim.pretrain_checkpoint import BUNDLE_FILE
from sim.pretrain_command import train_bundle
from sim.pretrain_settings import PretrainSettings
from sim.privileged import PRIVILEGED_WIDTH
from sim.randomization import FIRM_GROUND
from sim.terrain.grid import build_grid
from sim.velocity_settings import VelocityTaskSettings
from sim.velocity_task import START_HEIGHT_M, VelocityTask


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


def tiny(name: str) -> PretrainSettings:
    """A preset's settings, but for its size: eight robots on a few small tiles, one small update, no trot before it."""
    settings = preset(name, 1, EngineChoice("isaacgym"), firm_ground=True)
    task = replace(settings.task, num_envs=8)
    if task.terrain is not None:
        task = replace(task, terrain=replace(task.terrain, levels=2, tile_m=3.0, border_m=1.0))
    small = replace(settings, actor_hidden=(8,), critic_hidden=(8,), begin_with_trot=False, threads=1, task=task)
    return replace(small, steps=8 * 4, steps_per_iteration=4, epochs=1, minibatches=1)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_runs_on_isaac_gym(name):
    """Terrain, payloads, links, rotors: what the settings say, on firm ground."""
    settings, robot = tiny(name), load_robot()
    contract = settings.contract(robot)
    graph = PolicyGraph(contract, GaussianActor(contract.observation_dim, 12, (), 1.0))
    grid = build_grid(settings.task.terrain, 1) if settings.task.terrain is not None else None
    engine = make_engine(settings.engine, robot, 8, grid.field if grid is not None else None)
    task = VelocityTask(settings.task, robot, graph, engine, grid)
    height = task._trunk_height(engine.state())
    assert (height - START_HEIGHT_M).abs().max() < 0.02, "robots start above the ground of their own tiles"
    reward = task.step(torch.zeros(8, 12))[1]
    assert torch.isfinite(reward).all()
    if grid is not None:
        assert engine.state().position_trunk_in_world[:, :2].unique(dim=0).shape[0] > 3
        assert task.physics.payload_offset_m.abs().max() > 0.05 and task.physics.link_mass_scale.unique().numel() > 2


@pytest.mark.parametrize("name", ["robust", "gait"])
def test_a_preset_with_terrain_becomes_a_sealed_bundle_on_isaac_gym(name, tmp_path):
    train_bundle(tiny(name), tmp_path, "go1 sim train --preset robust", film=False)
    bundle = read_bundle(tmp_path / BUNDLE_FILE)
    assert bundle.lineage.stage == "pretrain"
    rows = (tmp_path / "curve.csv").read_text().splitlines()
    assert len(rows) == 2 and "level/rough" in rows[0]
    written = json.loads((tmp_path / "settings.json").read_text())["task"]["randomization"]
    assert written["ground_time_constant_s"] == list(FIRM_GROUND)


def test_soft_ground_on_isaac_gym_is_refused_with_the_command_that_runs(tmp_path, capsys):
    words = ["sim", "train", "--preset", "robust", "--engine", "isaacgym", "--out", str(tmp_path / "run")]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert f"go1 sim train --preset robust --engine isaacgym --out {tmp_path / 'run'} --firm-ground" in said
    assert "0.01 to 0.05 s" in said
    assert not (tmp_path / "run").exists(), "refused before anything is made"


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
