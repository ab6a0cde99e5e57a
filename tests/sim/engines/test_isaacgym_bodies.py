"""Masses, their places, inertias and rotors on the Isaac Gym engine, on MuJoCo: those of the mujoco engine's robots.

Mass matrices, which hold all of them, are equal to 1e-6 of their largest entry, for Isaac Gym's numbers are float32. On
the ground under an uneven load, trunks tilt alike within `TILT_RAD`; in the air, joints with other rotors move
alike within `STEP_RESPONSE_RAD`, which the explicit motor accounts for. `pytest -s` prints what was measured.
"""

import copy
import dataclasses
from typing import Any

import mujoco
import numpy as np
import pytest
import torch

from sim.engines.isaacgym import IsaacGymEngine
from sim.engines.isaacgym_scene import IsaacGymError
from sim.engines.mujoco import MujocoEngine
from sim.engines.protocol import PhysicsParameters
from tests.sim.engines.bench import ROBOTS, parameters, place

torch.set_num_threads(1)
TILT_RAD = 0.012
STEP_RESPONSE_RAD = 0.03


@pytest.fixture
def engine(robot, shim) -> IsaacGymEngine:
    return IsaacGymEngine(robot, ROBOTS)


@pytest.fixture
def reference(robot) -> MujocoEngine:
    return MujocoEngine(robot, ROBOTS, num_threads=1)


def varied() -> PhysicsParameters:
    """One nominal robot, and three that differ in everything that this file is about."""
    offset = torch.tensor([[0.0, 0.0, 0.0], [0.1, -0.05, 0.12], [-0.12, 0.12, 0.0], [0.0, 0.0, 0.0]])
    shift = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.03, -0.02, 0.01], [-0.04, 0.0, 0.0]])
    armature = torch.ones(ROBOTS, 12)
    armature[1:, ::2] = torch.tensor([[0.8], [1.5], [1.2]])
    different = parameters(payload_kg=[0.0, 3.0, 4.0, -1.0], link_mass_scale=[1.0, 0.9, 1.1, 1.05])
    return dataclasses.replace(
        different, payload_offset_m=offset, center_of_mass_shift_m=shift, armature_scale=armature
    )


def mass_matrix(model: mujoco.MjModel, fields: dict[str, np.ndarray], row: int, robot: Any) -> np.ndarray:
    """(18, 18) of one robot in the stance: free joint, then joints in the wire's order."""
    own = copy.copy(model)
    for name in ("body_mass", "body_ipos", "body_iquat", "body_inertia", "dof_armature"):
        if name in fields:
            getattr(own, name)[:] = fields[name][row]
    data = mujoco.MjData(own)
    joints = [own.joint(name) for name in robot.joint_names]
    data.qpos[[joint.qposadr[0] for joint in joints]] = robot.stand_position
    mujoco.mj_forward(own, data)
    full = np.zeros((own.nv, own.nv))
    mujoco.mj_fullM(own, data, full)
    order = [*range(6), *(joint.dofadr[0] for joint in joints)]
    return full[np.ix_(order, order)]


def assert_same_bodies(engine, reference, robot) -> np.ndarray:
    """Returns the robots' mass matrices."""
    running = engine._sim.running
    ours = [mass_matrix(running._model, running._field, row, robot) for row in range(ROBOTS)]
    theirs = [mass_matrix(reference._model, reference._field, row, robot) for row in range(ROBOTS)]
    largest = np.abs(np.array(ours) - theirs).max() / np.abs(theirs).max()
    print(f"mass matrices: {largest:.1e} of the largest entry")
    assert largest < 1e-6
    # Small ones too: rotors and calves are lost beside the trunk.
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    return np.array(ours)


@pytest.mark.parametrize("after_a_step", [False, True])
def test_masses_inertias_and_rotors_are_those_of_the_mujoco_engine(engine, reference, robot, stand, after_a_step):
    """Set before the scene is closed and, on the CPU, while it runs."""
    if after_a_step:
        engine.set_parameters(parameters())
        place(engine, 5.0, stand)
        engine.step(stand, 1)
    for one in (engine, reference):
        one.set_parameters(varied())
    engine.state()
    matrices = assert_same_bodies(engine, reference, robot)
    total = varied().link_mass_scale * robot.total_mass_kg + varied().payload_kg
    np.testing.assert_allclose(matrices[:, 0, 0], total.numpy(), rtol=2e-4)  # go1.xml is 1 g above the data sheet
    for one in (engine, reference):
        one.set_parameters(parameters())
    engine.step(stand, 1)
    np.testing.assert_allclose(assert_same_bodies(engine, reference, robot)[:, 0, 0], robot.total_mass_kg, rtol=2e-4)


def test_a_load_beside_the_centre_tilts_robots_alike(engine, reference, stand):
    """3 kg in the rear, on the left, in the rear on the right and high up, after a second: later, feet creep apart."""
    offset = torch.tensor([[-0.12, 0.0, 0.0], [0.0, 0.12, 0.0], [-0.12, -0.12, 0.0], [0.0, 0.0, 0.12]])
    loaded = dataclasses.replace(parameters(payload_kg=[3.0] * ROBOTS), payload_offset_m=offset)
    tilts = []
    for one in (engine, reference):
        one.set_parameters(loaded)
        place(one, 0.30, stand)
        one.step(stand, 250)
        tilts.append(2.0 * one.state().orientation_trunk_in_world[:, 1:3])  # roll and pitch [rad], both small
    print(f"tilt: {float((tilts[0] - tilts[1]).abs().max()):.4f} rad apart, at most {float(tilts[1].abs().max()):.3f}")
    torch.testing.assert_close(tilts[0], tilts[1], atol=TILT_RAD, rtol=0)
    assert tilts[0][0, 1] < tilts[0][3, 1] - 0.005, "a load in the rear lowers it more than one above the centre"
    assert tilts[0][1, 0] < -0.1 and tilts[0][2, 0] > 0.1, "a load on a side lowers that side"


def test_a_turning_loaded_trunks_velocity_is_that_of_its_frame(engine, stand):
    """PhysX tells the velocity of the centre of mass, which the load moved: v = w x r about the trunk's origin."""
    engine.set_parameters(varied())
    place(engine, 5.0, stand)
    spin = torch.tensor([0.3, -0.2, 2.0]).repeat(ROBOTS, 1)
    share = 3.0 / (5.204 * 0.9 + 3.0)
    centre = torch.tensor([0.0223, 0.002, -0.0005]) + share * torch.tensor([0.1, -0.05, 0.12])
    engine._root[:, 10:13] = spin
    engine._root[1, 7:10] = torch.linalg.cross(spin[1], centre)
    state = engine.state()
    torch.testing.assert_close(state.linear_velocity_trunk_in_trunk[1], torch.zeros(3), atol=1e-5, rtol=0)


def test_heavier_rotors_slow_joints_alike(engine, reference, stand):
    """A step of 0.2 rad in the air, rotors of half to threefold inertia."""
    scaled = parameters(armature_scale=[0.5, 1.0, 2.0, 3.0])
    for one in (engine, reference):
        one.set_parameters(scaled)
        place(one, 5.0, stand)
    largest, after = 0.0, torch.zeros(ROBOTS)
    for step in range(30):
        for one in (engine, reference):
            one.step(stand + 0.2, 1)
        positions = [one.state().joint_position for one in (engine, reference)]
        largest = max(largest, float((positions[0] - positions[1]).abs().max()))
        if step == 4:
            after = (positions[0] - stand).mean(1)
    print(f"step response: {largest:.4f} rad; after 20 ms {after.tolist()}")
    assert largest < STEP_RESPONSE_RAD
    assert after[0] > after[1] > after[2] > after[3]
    assert after[0] > 1.3 * after[3]


def test_on_the_gpu_bodies_stay_as_they_were_at_the_first_step(engine, stand):
    engine.set_parameters(varied())
    place(engine, 5.0, stand)
    engine.step(stand, 1)
    engine.on_gpu = True
    engine.set_parameters(dataclasses.replace(varied(), friction=torch.full((ROBOTS,), 0.3)))
    for name in ("payload_offset_m", "link_mass_scale", "armature_scale"):
        changed = dataclasses.replace(varied(), **{name: getattr(varied(), name) + 0.01})
        with pytest.raises(IsaacGymError, match="as they were at the first step"):
            engine.set_parameters(changed)


def test_bodies_that_isaac_gym_does_not_keep_are_an_error(engine, monkeypatch):
    """As though it took nothing: a run says so rather than train other robots."""
    monkeypatch.setattr(type(engine._gym), "set_actor_rigid_body_properties", lambda *_, **__: True)
    with pytest.raises(IsaacGymError, match="masses .kg.*Isaac Gym keeps"):
        engine.set_parameters(varied())


def test_soft_ground_is_refused_with_a_way_out(engine):
    """Neither softer nor harder than firm."""
    for other in (0.05, 0.01):
        softness = torch.tensor([0.02, 0.02, other, 0.02])
        with pytest.raises(IsaacGymError, match=f"rigid; found {other:g}.*--firm-ground"):
            engine.set_parameters(dataclasses.replace(parameters(), ground_time_constant_s=softness))
