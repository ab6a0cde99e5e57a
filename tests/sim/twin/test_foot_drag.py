"""The drag on sunken feet: its law by hand, what it costs, and that ground without it is what it was."""

from __future__ import annotations

import dataclasses
from typing import Any, Callable

import mujoco
import numpy as np
import pytest

from deploy.onboard.wire import JointCommand
from robot_configs.robot import MODEL_XML, RobotModel
from robot_configs.twin_conditions import TwinCondition, load_condition
from sim.twin.body import TwinBody
from sim.twin.foot_drag import FootDrag
from sim.twin.world import build_model

DRAG_N_S_M2 = 500.0


def on_ground(condition: TwinCondition, **changes: Any) -> TwinCondition:
    return dataclasses.replace(condition, ground=dataclasses.replace(condition.ground, **changes))


@pytest.fixture
def foam() -> TwinCondition:
    """The mattress, with a round figure of drag."""
    return on_ground(load_condition("mattress"), foot_drag_n_s_m2=DRAG_N_S_M2)


def put_feet(model: mujoco.MjModel, robot: RobotModel, depth_m: float) -> mujoco.MjData:
    """The standing pose, level, the lowest points of the right front foot this far below the ground."""
    data = mujoco.MjData(model)
    data.qpos[7:19] = robot.stand_position
    mujoco.mj_kinematics(model, data)
    data.qpos[2] += robot.geometry.foot_radius - depth_m - data.geom("FR_foot").xpos[2]
    mujoco.mj_kinematics(model, data)
    return data


def drag_power(data: mujoco.MjData) -> float:
    """What the drag does to the robot [W]; both arrays are of the last step."""
    return float(data.actuator_force[12:] @ data.actuator_velocity[12:])


@pytest.mark.parametrize("slope_rad", [0.0, 0.2])
def test_the_drag_is_depth_times_velocity_and_against_it(
    foam: TwinCondition, robot: RobotModel, slope_rad: float
) -> None:
    """A robot carried through the foam: F = -D r v on each foot, r along the ground's normal, v along the ground."""
    model = build_model(on_ground(foam, slope_rad=slope_rad), robot)
    data = put_feet(model, robot, depth_m=0.03)
    data.qvel[:3] = velocity = np.array([0.4, -0.3, 0.2])
    FootDrag(model, robot).apply(data.ctrl, data.geom_xpos)
    mujoco.mj_forward(model, data)
    normal = np.array([-np.sin(slope_rad), 0.0, np.cos(slope_rad)])
    along_ground = np.stack([np.cross([0.0, 1.0, 0.0], normal), [0.0, 1.0, 0.0]])
    for index, foot in enumerate(robot.foot_names):
        depth = robot.geometry.foot_radius - normal @ data.geom(f"{foot}_foot").xpos
        expected = -DRAG_N_S_M2 * max(depth, 0.0) * (along_ground @ velocity)
        np.testing.assert_allclose(data.actuator_force[12 + 2 * index : 14 + 2 * index], expected, atol=1e-9)
    if slope_rad == 0.0:
        assert data.actuator_force[12] == pytest.approx(-DRAG_N_S_M2 * 0.03 * 0.4)
    # Every foot is part of a robot that moves as one: the forces add up on its trunk, in the world.
    total = along_ground.T @ data.actuator_force[12:].reshape(4, 2).sum(axis=0)
    np.testing.assert_allclose(data.qfrc_actuator[:3], total, atol=1e-9)


def test_a_foot_above_the_ground_or_at_rest_in_it_feels_nothing(foam: TwinCondition, robot: RobotModel) -> None:
    model = build_model(foam, robot)
    drag = FootDrag(model, robot)
    for depth_m, speed_m_s in ((-0.05, 1.0), (0.05, 0.0)):
        data = put_feet(model, robot, depth_m)
        data.qvel[0] = speed_m_s
        drag.apply(data.ctrl, data.geom_xpos)
        mujoco.mj_forward(model, data)
        assert not data.actuator_force[12:].any()


def test_what_is_dragged_through_foam_only_loses(foam: TwinCondition, robot: RobotModel) -> None:
    """Legs that shake wildly over a second: the drag does work at many steps, and never gives any."""
    body = TwinBody(foam, seed=2)
    random = np.random.default_rng(0)
    work_j = 0.0
    for tick in range(500):
        if tick % 20 == 0:
            command = _hold(robot, robot.stand_position + random.normal(0.0, 0.3, 12))
        body.step(command)
        power = drag_power(body.data)
        assert power <= 0.0
        work_j += power / robot.link_hz
    assert work_j < -1.0


def _hold(robot: RobotModel, position: np.ndarray) -> JointCommand:
    return JointCommand.servo(position, robot.stand.stiffness, robot.stand.damping)


def test_drag_takes_energy_even_where_it_is_far_stiffer_than_the_step(foam: TwinCondition, robot: RobotModel) -> None:
    """600 N s/m stop a foot of a fifth of a kilogram within a third of a step: taken explicitly, it would be thrown."""
    model = build_model(on_ground(foam, foot_drag_n_s_m2=10000.0), robot)
    data = put_feet(model, robot, depth_m=0.06)
    drag = FootDrag(model, robot)
    data.qvel[0] = 1.0
    for _ in range(20):
        drag.apply(data.ctrl, data.geom_xpos)
        mujoco.mj_step(model, data)
    assert (data.ctrl[12:] > 0.02).all()  # as deep, still
    # The trunk goes on above its feet.
    assert data.qvel[0] > 0.9
    assert np.abs(data.actuator_velocity[12:]).max() < 0.1


def test_a_robot_dropped_on_latex_comes_to_rest_and_stays(robot: RobotModel, stand_up: Callable[..., None]) -> None:
    """From 10 cm above: it settles, and what friction gives way to dies out within ten seconds."""
    body = TwinBody(load_condition("latex"), seed=1)
    stand_up(body, 1.0)
    standing_m = body.data.qpos[2]
    body.data.qpos[2] += 0.1
    mujoco.mj_kinematics(body.model, body.data)
    moved = []
    for _ in range(5):
        before = body.data.qpos.copy()
        for _ in range(2 * robot.link_hz):
            body.step()
        moved.append(np.abs(body.data.qpos - before).max())
    assert body.data.qpos[2] == pytest.approx(standing_m, abs=0.003)
    assert (np.diff(moved) < 0.0).all()
    assert moved[-1] < 1e-5


def test_feet_sink_into_latex_by_five_centimetres(stand_up: Callable[..., None]) -> None:
    height = {}
    for name in ("nominal", "latex"):
        body = TwinBody(load_condition(name), seed=1)
        stand_up(body, 2.0)
        height[name] = body.truth.position_trunk_in_world[2]
    assert 0.04 < height["nominal"] - height["latex"] < 0.06


def test_latex_holds_back_what_the_mattress_lets_go(robot: RobotModel, stand_up: Callable[..., None]) -> None:
    """A standing robot kicked to 0.5 m/s goes less far on foam that drags."""
    way = {}
    for drag in (0.0, 2000.0):
        body = TwinBody(on_ground(load_condition("mattress"), friction=0.05, foot_drag_n_s_m2=drag), seed=1)
        stand_up(body, 1.0)
        start = body.data.qpos[0]
        body.data.qvel[0] += 0.5
        for _ in range(robot.link_hz // 4):
            body.step()
        way[drag] = body.data.qpos[0] - start
    assert 0.0 < way[2000.0] < 0.7 * way[0.0]


@pytest.mark.parametrize("name", ["nominal", "mattress", "ice", "rough", "slope", "payload"])
def test_ground_without_drag_has_the_model_it_had(name: str, robot: RobotModel) -> None:
    """No actuator, no site: nothing that could change a bit; and its steps are MuJoCo's alone."""
    model = build_model(load_condition(name), robot)
    assert model.nu == 12
    assert model.nsite == mujoco.MjModel.from_xml_path(str(MODEL_XML)).nsite
    drag = FootDrag(model, robot)
    assert not drag.acts
    data = put_feet(model, robot, depth_m=0.03)
    data.ctrl[:] = before = np.linspace(-1.0, 1.0, 12)
    drag.apply(data.ctrl, data.geom_xpos)
    np.testing.assert_array_equal(data.ctrl, before)


STOOD_BEFORE_M = {
    "nominal": [-0.028558276145897336, 0.0002394734509481183, 0.2589660081384518],
    "mattress": [-0.06304727354278362, 0.003092399382658901, 0.1968878145496188],
}
"""Where the trunk came to stand in the version that had no drag (46ea196, MuJoCo 3.14.0)."""


@pytest.mark.parametrize("name", STOOD_BEFORE_M)
def test_ground_without_drag_moves_a_robot_as_before_there_was_any(name: str, robot: RobotModel) -> None:
    """Equal to the last bit on the machine that recorded it; others may round otherwise."""
    body = TwinBody(load_condition(name), seed=3)
    for tick in range(1500):
        share = min(1.0, tick / 700)
        target = robot.sit_position + (robot.stand_position - robot.sit_position) * share
        body.step(JointCommand.servo(target, 40.0, 1.0))
    np.testing.assert_allclose(body.data.qpos[:3], STOOD_BEFORE_M[name], rtol=0.0, atol=1e-9)
