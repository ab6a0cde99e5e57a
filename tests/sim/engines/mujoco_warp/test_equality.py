"""MuJoCo Warp on Warp's CPU device against the mujoco engine: the same model, another solver, 32 bits in place of 64.

Stated tolerances. Free flight and a step of 0.2 rad in the air: 1e-5 m and rad, 1e-3 of velocities and torques, for
there only the bits differ. On the ground: 2 mrad and 0.5 mm while landing and at rest; 20 mrad and 1 mm with softness,
joint friction and loads varied, for PGS stops after 10 rounds where Newton's method arrives. Against MuJoCo with
Newton's method a landing is equal to 1e-5 m and rad again.

Slow: the first run compiles MuJoCo Warp's kernels for minutes; later ones find them in Warp's cache.
"""

import mujoco
import numpy as np
import pytest
import torch

from sim.engines.mujoco_warp_model import warp_training_model
from sim.engines.protocol import Engine
from tests.sim.engines.bench import ROBOTS, largest_differences, parameters, place
from tests.sim.engines.mujoco_warp.motions import hold

pytestmark = pytest.mark.slow
POSITION, VELOCITY_AND_TORQUE = 1e-5, 1e-3


def report(differences: list[dict[str, float]]) -> None:
    """The largest of several, for docs/mujoco_warp.md: pytest -rP shows it."""
    print({name: f"{max(one[name] for one in differences):.1e}" for name in differences[0]})


def assert_same_in_the_air(warp: Engine, reference: Engine, feet_before: torch.Tensor) -> dict[str, float]:
    """After a step; the mujoco engine's feet are those of its beginning."""
    differences = largest_differences(warp, reference)
    old = feet_before - reference.state().foot_position_in_world
    differences["foot_position_in_world"] = float(old.abs().max())
    for name, difference in differences.items():
        loose = "velocity" in name or "torque" in name
        assert difference < (VELOCITY_AND_TORQUE if loose else POSITION), (name, difference)
    return differences


def test_free_flight_is_the_same_step_by_step(engine, reference, stand):
    for one in (engine, reference):
        place(one, 5.0, stand)
        one.push(torch.tensor([0.3, -0.2, 0.5]).repeat(ROBOTS, 1))
    seen = []
    for _ in range(25):
        feet = engine.state().foot_position_in_world
        for one in (engine, reference):
            one.step(stand, 1)
        seen.append(assert_same_in_the_air(engine, reference, feet))
    report(seen)


def test_a_step_response_is_the_same_step_by_step(engine, reference, stand):
    """Robots of different gains, strength, armature, masses, payloads and delay: each parameter acts as there."""
    different = parameters(
        stiffness=[20.0, 30.0, 40.0, 1000.0],
        damping=[0.5, 0.75, 1.0, 5.0],
        motor_strength=[1.0, 0.7, 0.3, 1.1],
        armature_scale=[0.5, 1.0, 2.0, 1.5],
        link_mass_scale=[0.8, 1.0, 1.2, 1.1],
        payload_kg=[0.0, 3.0, -0.5, 1.0],
        delay_substeps=[0, 1, 4, 8],
    )
    different.center_of_mass_shift_m[1, 1], different.payload_offset_m[1, 0] = 0.03, 0.1
    for one in (engine, reference):
        one.set_parameters(different)
        place(one, 5.0, stand)
    seen = []
    for _ in range(40):
        feet = engine.state().foot_position_in_world
        for one in (engine, reference):
            one.step(stand + 0.2, 1)
        seen.append(assert_same_in_the_air(engine, reference, feet))
    report(seen)
    assert (engine.state().joint_position - stand - 0.2)[1].abs().max() < 0.1, "they arrive"


def test_landing_and_standing_are_the_same(engine, reference, stand):
    for one in (engine, reference):
        place(one, 0.30, stand)
    seen = []
    for steps in (50, 200, 750):
        for one in (engine, reference):
            hold(one, stand, steps)
        seen.append(largest_differences(engine, reference))
        assert seen[-1]["joint_position"] < 2e-3
        assert seen[-1]["position_trunk_in_world"] < 5e-4
    report(seen)


def test_with_newtons_method_in_both_landing_is_the_same(engine, robot, stand):
    """MuJoCo itself, in 64 bits, to convergence: what is left is rounding."""
    model = warp_training_model()
    model.opt.iterations, model.opt.ls_iterations = 100, 50
    data = mujoco.MjData(model)
    model.geom_friction[[model.geom(f"{name}_foot").id for name in robot.foot_names], 0] = 0.8
    model.dof_frictionloss[:] = 0.0
    data.qpos[:] = [0.0, 0.0, 0.30, 1.0, 0.0, 0.0, 0.0, *robot.stand_position]
    data.ctrl[:] = robot.stand_position
    place(engine, 0.30, stand)
    seen = []
    for _ in range(40):
        mujoco.mj_step(model, data, 5)
        engine.step(stand, 5)
        state = engine.state()
        joints = np.abs(state.joint_position[0].numpy() - data.qpos[7:]).max()
        trunk = np.abs(state.position_trunk_in_world[0].numpy() - data.qpos[:3]).max()
        seen.append({"joint_position": joints, "position_trunk_in_world": trunk})
        assert joints < POSITION
        assert trunk < POSITION
    report(seen)


def test_each_robot_has_its_own_physics_on_the_ground(engine, reference, stand):
    """Payload, its place, centre of mass, softness of the ground, joint friction and gains at rest."""
    changed = parameters(
        payload_kg=[0.0, 1.0, 2.0, -0.5],
        stiffness=[25.0, 30.0, 35.0, 40.0],
        ground_time_constant_s=[0.02, 0.05, 0.01, 0.03],
        link_mass_scale=[1.0, 0.9, 1.0, 1.1],
        joint_friction_nm=[0.0, 0.0, 0.2, 0.4],
    )
    changed.center_of_mass_shift_m[1, 1], changed.payload_offset_m[2, 0] = 0.03, -0.1
    for one in (engine, reference):
        one.set_parameters(changed)
        place(one, 0.30, stand)
        hold(one, stand, 1000)
    heights = [one.state().position_trunk_in_world[:, 2] for one in (engine, reference)]
    torch.testing.assert_close(heights[0], heights[1], atol=1e-3, rtol=0)
    differences = largest_differences(engine, reference)
    report([differences])
    assert differences["joint_position"] < 0.02
    assert heights[0].max() - heights[0].min() > 0.015, "they differ from each other"
