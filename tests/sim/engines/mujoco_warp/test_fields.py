"""Each robot's model for MuJoCo Warp: the very numbers that the mujoco engine simulates, and room for all contacts."""

import dataclasses

import mujoco
import numpy as np
import pytest
import torch

from sim.engines.mujoco import MujocoEngine
from sim.engines.mujoco_fields import VARIED, MujocoParametersError, model_fields
from sim.engines.mujoco_model import training_model
from sim.engines.mujoco_warp_model import room, warp_training_model
from sim.engines.protocol import PhysicsParameters
from sim.terrain.grid import build_grid
from sim.terrain.height_field import HeightField
from sim.terrain.settings import TerrainSettings
from tests.sim.engines.bench import ROBOTS, parameters


def different_robots() -> PhysicsParameters:
    """Every parameter another on every robot."""
    generator = torch.Generator().manual_seed(3)
    drawn = {
        name: value * (0.5 + torch.rand(value.shape, generator=generator))
        for name, value in vars(parameters(payload_kg=[2.0] * ROBOTS, joint_friction_nm=[0.3] * ROBOTS)).items()
    }
    drawn["delay_substeps"] = torch.tensor([0, 1, 5, 8])
    drawn["payload_offset_m"] = torch.rand(ROBOTS, 3, generator=generator) - 0.5
    drawn["center_of_mass_shift_m"] = 0.1 * torch.rand(ROBOTS, 3, generator=generator)
    return PhysicsParameters(**drawn)


def test_both_engines_simulate_the_same_robots(robot):
    engine = MujocoEngine(robot, ROBOTS, num_threads=1)
    engine.set_parameters(different_robots())
    fields = model_fields(training_model(), robot.foot_names, different_robots())
    assert set(fields) == set(VARIED) == set(engine._field)
    for name, values in fields.items():
        np.testing.assert_allclose(values, engine._field[name].reshape(values.shape), rtol=1e-12, err_msg=name)
        rows = values.reshape(ROBOTS, -1)
        assert len(np.unique(rows, axis=0)) == ROBOTS, f"{name} differs between robots"


def test_parameters_leave_the_model_as_it_was(robot):
    model = training_model()
    before = {name: np.array(getattr(model, name)) for name in VARIED}
    model_fields(model, robot.foot_names, different_robots())
    for name, values in before.items():
        assert np.array_equal(getattr(model, name), values)


def test_half_a_motor_by_hand(robot):
    """Kp 30, Kd 0.75, 23.7 Nm at the hip and 35.55 Nm at the calf, at half their strength."""
    fields = model_fields(training_model(), robot.foot_names, parameters(motor_strength=[0.5] * ROBOTS))
    assert fields["actuator_gainprm"][0, 0, 0] == 15.0
    assert fields["actuator_biasprm"][0, 0, :3].tolist() == [0.0, -15.0, -0.375]
    assert fields["actuator_forcerange"][0, 0].tolist() == [-11.85, 11.85]
    assert fields["actuator_forcerange"][0, 2].tolist() == [-17.775, 17.775]


def test_delays_fall_between_physics_steps(robot):
    fields = model_fields(training_model(), robot.foot_names, parameters(delay_substeps=[0, 1, 2, 8]))
    np.testing.assert_allclose(fields["actuator_delay"][:, 7], [0.0, 0.002, 0.006, 0.030], rtol=1e-12)


@pytest.mark.parametrize("delays", [[0, 1, 2, 9], [0, -1, 2, 3]])
def test_a_delay_out_of_range_is_refused(robot, delays):
    with pytest.raises(MujocoParametersError, match="0 to 8 physics steps"):
        model_fields(training_model(), robot.foot_names, parameters(delay_substeps=delays))


def test_the_payload_is_read_and_not_kept(robot):
    """Parameters may be changed in place afterwards."""
    changed = dataclasses.replace(parameters(), payload_kg=torch.tensor([1.0, 0.0, 0.0, 0.0]))
    fields = model_fields(training_model(), robot.foot_names, changed)
    mass = fields["body_mass"].sum(axis=1)
    changed.payload_kg[:] = 5.0
    assert (mass - mass[1]).tolist() == pytest.approx([1.0, 0.0, 0.0, 0.0], abs=1e-9)
    assert fields["body_mass"].sum(axis=1).tolist() == mass.tolist()


def test_the_model_is_the_trainers_but_for_its_solver():
    model, reference = warp_training_model(), training_model()
    assert (reference.opt.solver, model.opt.solver) == (mujoco.mjtSolver.mjSOL_PGS, mujoco.mjtSolver.mjSOL_NEWTON)
    for name in ("timestep", "integrator", "cone", "impratio", "gravity"):
        assert np.array_equal(getattr(model.opt, name), getattr(reference.opt, name)), name
    assert np.array_equal(model.actuator_history, reference.actuator_history)


def test_a_robot_on_its_belly_has_room_for_its_contacts():
    """Folded until feet, knees and trunk are in the floor: MuJoCo's own count fits, row by row."""
    model = warp_training_model()
    data = mujoco.MjData(model)
    model.dof_frictionloss[:] = 0.2
    data.qpos[2] = -0.3
    data.qpos[7:] = [0.9, 4.6, -2.9] * 4  # beyond every joint's limit
    mujoco.mj_forward(model, data)
    space = room(model)
    assert data.ncon > 8, "more than feet and knees"
    assert data.ncon <= space.contacts
    assert data.nefc <= space.constraint_rows
    assert space.constraint_rows == 12 + 12 + 4 * space.contacts


def test_terrain_has_more_room():
    field = HeightField(np.zeros((3, 3)), 0.1, (0.0, 0.0))
    assert room(warp_training_model(field)).contacts > room(warp_training_model()).contacts


@pytest.mark.slow
def test_falls_on_terrain_find_room():
    """Robots thrown down at random on the terrain of training, in MuJoCo: at most half of the room is ever needed."""
    grid = build_grid(TerrainSettings(), 1)
    model, random = warp_training_model(grid.field), np.random.default_rng(0)
    model.actuator_gainprm[:, 0], model.actuator_biasprm[:, 1] = 5.0, -5.0
    data, centres = mujoco.MjData(model), grid.centre_m.reshape(-1, 2).numpy()
    contacts, rows = 0, 0
    for _ in range(60):
        mujoco.mj_resetData(model, data)
        data.qpos[:2] = centres[random.integers(len(centres))] + random.uniform(-3.0, 3.0, 2)
        turn = random.normal(size=4)
        data.qpos[2], data.qpos[3:7] = 0.9, turn / np.linalg.norm(turn)
        data.ctrl[:] = [0.0, 0.9, -1.8] * 4
        data.qpos[7:] = data.ctrl + random.uniform(-0.5, 0.5, 12)
        for _ in range(160):
            mujoco.mj_step(model, data)
            contacts, rows = max(contacts, data.ncon), max(rows, data.nefc)
    print(f"{contacts} contacts, {rows} constraint rows")
    assert 10 < contacts <= room(model).contacts / 2
    assert rows <= room(model).constraint_rows / 2
