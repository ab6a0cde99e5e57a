"""An engine in a process of its own is the engine; its errors and its end arrive as errors."""

import socket
import sys
import threading

import numpy as np
import pytest
import torch

from robot_configs.robot import load_robot
from sim.engines.array_messages import Message, receive, send
from sim.engines.isaacgym import IsaacGymEngine
from sim.engines.process_engine import EngineProcessError, ProcessEngine
from sim.engines.terrain_message import TerrainMessageError, pack_terrain, unpack_terrain
from sim.terrain.height_field import HeightField, Pad
from tests.sim.engines.bench import ROBOTS, parameters, place


def test_messages_carry_arrays_bit_by_bit():
    one, other = socket.socketpair()
    rng = np.random.default_rng(1)
    arrays: dict[str, np.ndarray] = {
        "large": rng.standard_normal((200, 300)).astype(np.float32),
        "rows": np.array([3, 1], np.int64),
        "none": np.zeros((0, 4), np.float32),
        "view": np.arange(12.0).reshape(3, 4).T,
    }
    with one, other:
        thread = threading.Thread(target=send, args=(one, Message("step", {"substeps": 5}, arrays)))
        thread.start()
        found = receive(other)
        thread.join()
    assert (found.name, found.arguments, list(found.arrays)) == ("step", {"substeps": 5}, list(arrays))
    for name, array in arrays.items():
        assert found.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(found.arrays[name], array)


def test_a_closed_connection_is_an_end():
    one, other = socket.socketpair()
    one.sendall(b"\x10\x00")
    one.close()
    with other, pytest.raises(EOFError):
        receive(other)


@pytest.fixture
def remote(shim):
    engine = ProcessEngine(sys.executable, ROBOTS, "cpu")
    yield engine
    engine.close()


def test_it_moves_like_the_engine_at_home(remote):
    robot = load_robot()
    home = IsaacGymEngine(robot, ROBOTS)
    stand = torch.tensor(robot.stand_position, dtype=torch.float32).repeat(ROBOTS, 1)
    assert remote.physics_dt_s == home.physics_dt_s
    for engine in (remote, home):
        engine.set_parameters(parameters(friction=[0.3, 0.6, 0.9, 1.2], payload_kg=[0.0, 1.0, 2.0, 0.5]))
        place(engine, 0.3, stand)
        engine.step(stand + 0.1, 40)
        engine.push(torch.tensor([0.2, 0.1, 0.0]).repeat(ROBOTS, 1))
        rows = torch.tensor([1])
        engine.reset(rows, torch.tensor([[0.0, 0.0, 0.4]]), torch.tensor([[1.0, 0.0, 0.0, 0.0]]), stand[:1])
        engine.step(stand, 10)
    for name, value in vars(home.state()).items():
        assert torch.equal(getattr(remote.state(), name), value), name


def test_it_stands_on_the_terrain_of_the_engine_at_home(shim):
    """More bytes than a socket holds, so that they are read while they are written."""
    robot = load_robot()
    heights = np.random.default_rng(3).uniform(0.0, 0.04, (301, 251))
    field = HeightField(heights, 0.1, (-15.0, -12.5), [Pad((0.0, 0.0), (1.0, 1.0))])
    home = IsaacGymEngine(robot, ROBOTS, terrain=field)
    away = ProcessEngine(sys.executable, ROBOTS, "cpu", field)
    stand = torch.tensor(robot.stand_position, dtype=torch.float32).repeat(ROBOTS, 1)
    for engine in (away, home):
        engine.set_parameters(parameters(link_mass_scale=[0.9, 1.0, 1.1, 1.0]))
        place(engine, 0.33, stand)
        engine.step(stand, 60)
    for name, value in vars(home.state()).items():
        assert torch.equal(getattr(away.state(), name), value), name
    assert float(home.contact_forces.abs().max()) > 10.0, "they have landed"
    away.close()


def test_a_terrain_arrives_as_it_was_sent():
    field = HeightField(np.random.default_rng(3).uniform(0.0, 0.04, (4, 3)), 0.1, (-5.0, -15.0))
    found = unpack_terrain(pack_terrain(field))
    assert found is not None
    assert (found.spacing_m, found.origin_m) == (0.1, (-5.0, -15.0))
    np.testing.assert_array_equal(found.heights_m, field.heights_m)
    assert unpack_terrain(pack_terrain(None)) is None
    with pytest.raises(TerrainMessageError, match="found 'step'"):
        unpack_terrain(Message("step"))


def test_an_engine_that_can_not_start_says_why(monkeypatch):
    monkeypatch.delenv("GO1_ISAACGYM_SHIM")
    with pytest.raises(EngineProcessError, match="exit status 1"):
        ProcessEngine(sys.executable, 1, "cpu")
    with pytest.raises(EngineProcessError, match="exit status 1"):
        ProcessEngine(sys.executable, 1, "cpu", HeightField(np.zeros((999, 999)), 0.1, (0.0, 0.0)))
    with pytest.raises(EngineProcessError, match="expected a Python with Isaac Gym; found /nowhere/python"):
        ProcessEngine("/nowhere/python", 1, "cpu")


def test_an_error_over_there_is_an_error_here(shim):
    """The shim has no GPU; its own words arrive."""
    with pytest.raises(EngineProcessError, match="--sim_device cpu"):
        ProcessEngine(sys.executable, 1, "cuda:0")


def test_a_process_that_dies_is_noticed(remote):
    remote._process.kill()
    with pytest.raises(EngineProcessError, match="exit status -9"):
        remote.state()
