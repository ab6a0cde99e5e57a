"""Physics that diverges is not taken back in silence: the engine, the twin and its batch, each spoiled."""

import math
from pathlib import Path

import mujoco
import numpy as np
import pytest
import torch

from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from policy.velocity_contract import velocity_contract
from robot_configs.robot import RobotModel, load_robot
from robot_configs.twin_conditions import load_condition
from sim.divergence import LARGEST_STATE, DivergedPhysicsError, hear_warnings
from sim.engines.mujoco import MujocoEngine
from sim.nan_guard import GuardedVelocityTask, NonFiniteError
from sim.terrain.grid import build_grid
from sim.terrain.settings import TerrainSettings
from sim.twin.body import TwinBody
from sim.twin_batch.simulations import Simulations
from sim.velocity_settings import VelocityTaskSettings

ROBOTS, SPOILED = 4, 2
WRONG = [math.nan, math.inf, -1e12, 1e8]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """Where the user is."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def robot() -> RobotModel:
    return load_robot()


def guarded(robot: RobotModel, terrain: bool) -> tuple[GuardedVelocityTask, MujocoEngine]:
    contract = velocity_contract(robot).without_slew()
    actor = GaussianActor(contract.observation_dim, contract.action_dim, (8,), 0.1)
    grid = build_grid(TerrainSettings(levels=2), 1) if terrain else None
    engine = MujocoEngine(robot, ROBOTS, 1, None if grid is None else grid.field)
    settings = VelocityTaskSettings(num_envs=ROBOTS, terrain=None if grid is None else grid.settings)
    return GuardedVelocityTask(
        settings, robot, PolicyGraph(contract, actor).requires_grad_(False), engine, grid
    ), engine


@pytest.mark.parametrize("terrain", [False, True])
@pytest.mark.parametrize("array", ["_qpos", "_qvel"])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_robot_whose_physics_diverges_ends_the_run(robot, folder, terrain, array, wrong):
    task, engine = guarded(robot, terrain)
    no_action = torch.zeros(ROBOTS, 12)
    task.step(no_action)
    getattr(engine, array)[SPOILED, 2] = wrong
    with pytest.raises(NonFiniteError, match=rf"state '.*' of robot {SPOILED}\b") as refusal:
        task.step(no_action)
    assert refusal.value.evidence["robots"].tolist() == [SPOILED]
    assert not list(folder.iterdir())


def test_a_large_state_is_told_from_one_that_is_no_number(robot):
    task, engine = guarded(robot, False)
    engine._qvel[SPOILED, 2] = 10 * LARGEST_STATE
    found = r"states of at most 1e\+06; found a larger state 'linear_velocity_trunk_in_trunk' of robot 2"
    with pytest.raises(NonFiniteError, match=found):
        task.step(torch.zeros(ROBOTS, 12))


@pytest.mark.parametrize("wrong", WRONG)
def test_a_twin_that_diverges_says_so_and_can_be_reset(robot, folder, wrong):
    twin = TwinBody(load_condition("nominal"), 1)
    first = twin.reset(1)
    twin.data.qvel[7] = wrong
    with pytest.raises(DivergedPhysicsError, match="twin 'nominal'"):
        twin.step()
    again = twin.reset(1)
    assert again.joint_position == pytest.approx(first.joint_position)
    twin.step()
    assert not list(folder.iterdir())


def test_a_twin_that_diverges_while_it_lies_down_says_so(robot, monkeypatch):
    """As under a condition that no physics step of ours can follow."""
    fold = TwinBody._fold_at_origin

    def spoiled(twin: TwinBody) -> None:
        fold(twin)
        twin.data.qvel[0] = math.nan

    monkeypatch.setattr(TwinBody, "_fold_at_origin", spoiled)
    with pytest.raises(DivergedPhysicsError, match="twin 'nominal'"):
        TwinBody(load_condition("nominal"), 1)


@pytest.mark.parametrize("wrong", WRONG)
def test_the_twins_of_a_batch_that_diverge_are_named(robot, folder, wrong):
    generators = [np.random.default_rng(seed) for seed in range(ROBOTS)]
    several = Simulations(load_condition("nominal"), robot, generators, 1)
    several.push(SPOILED, np.array([wrong, 0.0, 0.0]))
    with pytest.raises(DivergedPhysicsError, match=rf"robots {SPOILED} "):
        several.step(np.zeros((ROBOTS, 12)))
    assert not list(folder.iterdir())


def test_mujocos_warnings_are_logged_and_written_nowhere(folder, caplog):
    hear_warnings()
    model = mujoco.MjModel.from_xml_string(
        "<mujoco><worldbody><body><freejoint/><geom size='1'/></body></worldbody></mujoco>"
    )
    data = mujoco.MjData(model)
    data.qvel[1] = math.nan
    mujoco.mj_step(model, data)
    assert "QVEL at DOF 1" in caplog.text
    assert not list(folder.iterdir())


def test_who_listens_to_mujocos_warnings_already_goes_on_listening():
    before = mujoco.get_mju_user_warning()
    heard: list[str] = []
    mujoco.set_mju_user_warning(heard.append)
    try:
        hear_warnings()
        assert mujoco.get_mju_user_warning() == heard.append
    finally:
        mujoco.set_mju_user_warning(before)
