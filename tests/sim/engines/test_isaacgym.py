"""The Isaac Gym engine, on MuJoCo, against the mujoco engine: what differs is the interface and an explicit motor.

Tolerances hold in every step; `pytest -s` prints what was measured, and docs/isaac_gym.md has both. Free flight with
the joints on their targets: 1e-4 of every unit, which is float32. A step of 0.2 rad: 0.03 rad on the way and 5 mrad
after 160 ms, for the PD law is explicit here and implicit there. On the ground contacts are solved in another order and
PGS stops after 10 rounds: `LANDING`.
"""

import math

import pytest
import torch

from robot_configs.robot import GRAVITY_M_S2, MODEL_XML, load_robot
from sim.engines import mujoco_model
from sim.engines.isaacgym import IsaacGymEngine
from sim.engines.mujoco import MujocoEngine
from tests.sim.engines.bench import (
    LEVEL,
    ROBOTS,
    ROWS,
    assert_less_friction_slides_further,
    assert_reset_touches_only_its_rows,
    largest_differences,
    parameters,
    place,
)

torch.set_num_threads(1)
TIGHT = 1e-4


@pytest.fixture
def engine(robot, shim) -> IsaacGymEngine:
    engine = IsaacGymEngine(robot, ROBOTS)
    engine.set_parameters(parameters())
    return engine


@pytest.fixture
def reference(robot) -> MujocoEngine:
    engine = MujocoEngine(robot, ROBOTS, num_threads=1)
    engine.set_parameters(parameters())
    return engine


def test_free_flight_is_the_same_step_by_step(engine, reference, stand):
    for one in (engine, reference):
        place(one, 5.0, stand)
        one.push(torch.tensor([0.3, -0.2, 0.5]).repeat(ROBOTS, 1))
    largest = 0.0
    for _ in range(25):
        for one in (engine, reference):
            one.step(stand, 1)
        differences = largest_differences(engine, reference)
        feet = differences.pop("foot_position_in_world")  # the mujoco engine's are one step old: v dt
        largest = max(largest, *differences.values())
        assert largest < TIGHT, differences
        assert feet < 2.0 * 0.004
    print(f"free flight: {largest:.1e}")


def test_a_step_response_is_the_same_but_for_the_explicit_motor(engine, reference, stand):
    for one in (engine, reference):
        place(one, 5.0, stand)
    largest = 0.0
    for _ in range(40):
        for one in (engine, reference):
            one.step(stand + 0.2, 1)
        largest = max(largest, largest_differences(engine, reference)["joint_position"])
    last = largest_differences(engine, reference)["joint_position"]
    print(f"step response: {largest:.4f} rad on the way, {last:.4f} rad at its end")
    assert largest < 0.03
    assert last < 0.005
    assert (engine.state().joint_position - stand - 0.2).abs().max() < 0.06, "they arrive"


@pytest.fixture
def sensing_reference(robot, tmp_path, monkeypatch) -> MujocoEngine:
    """The mujoco engine with the net force on each foot in its last sensors: (4, 3) [N], what the foot exerts."""
    sensors = "".join(
        f'<contact name="contact:{foot}" geom1="{foot}_foot" data="force" reduce="netforce" num="1"/>'
        for foot in robot.foot_names
    )
    path = tmp_path / "go1.xml"
    path.write_text(MODEL_XML.read_text(encoding="utf-8").replace("</sensor>", f"{sensors}</sensor>"), encoding="utf-8")
    monkeypatch.setattr(mujoco_model, "MODEL_XML", path)
    engine = MujocoEngine(robot, ROBOTS, num_threads=1)
    engine.set_parameters(parameters())
    return engine


# First to last step of 4 ms: trunk [m], joints [rad], force on a foot along an axis, in a step and averaged over 20 ms
# [N]. Feet that bounce do so at slightly other moments: only averages are near each other then.
LANDING = {
    (0, 250): (0.008, 0.025, 18.0, 4.0),
    (250, 750): (0.008, 0.025, 2.5, 2.5),
    (750, 1000): (0.004, 0.012, 1.5, 1.5),
}
AVERAGED_STEPS = 5


def test_landing_and_standing_are_the_same_step_by_step(engine, sensing_reference, robot, stand):
    """From 0.30 m, over 4 s, contact forces included, whose sum rises to one and a half times the weight."""
    for one in (engine, sensing_reference):
        place(one, 0.30, stand)
    feet = [engine.body_names.index(f"{name}_foot") for name in robot.foot_names]
    exerted = sensing_reference._batch.bind("sensordata")[:, -3 * len(feet) :]
    trunk, joints, forces, expected = [], [], [], []
    for _ in range(1000):
        for one in (engine, sensing_reference):
            one.step(stand, 1)
        differences = largest_differences(engine, sensing_reference)
        trunk.append(differences["position_trunk_in_world"])
        joints.append(differences["joint_position"])
        forces.append(engine.contact_forces[:, feet].clone())
        expected.append(torch.tensor(-exerted.reshape(ROBOTS, -1, 3), dtype=torch.float32))
    apart = torch.stack(forces) - torch.stack(expected)
    averages = apart.unflatten(0, (-1, AVERAGED_STEPS)).mean(1)
    for (first, last), allowed in LANDING.items():
        single = apart[first:last].abs().max()
        averaged = averages[first // AVERAGED_STEPS : last // AVERAGED_STEPS].abs().max()
        found = [max(trunk[first:last]), max(joints[first:last]), float(single), float(averaged)]
        print(f"steps {first} to {last}: {found[0]:.4f} m, {found[1]:.4f} rad, {found[2]:.2f} N, {found[3]:.2f} N")
        assert all(value < most for value, most in zip(found, allowed, strict=True))
    highest = torch.stack(forces)[..., 2].amax(0)
    assert (highest > 30.0).all(), "they land on all feet"


def test_contact_forces_sum_to_the_weight(engine, robot, stand):
    place(engine, 0.30, stand)
    engine.step(stand, 1000)
    total = engine.contact_forces.sum(dim=1)
    weight = robot.total_mass_kg * GRAVITY_M_S2
    print(f"at rest: {float((total[:, 2] - weight).abs().max()):.2f} N from the weight of {weight:.1f} N")
    torch.testing.assert_close(total[:, 2], torch.full((ROBOTS,), weight), atol=0.4, rtol=0)
    feet = [engine.body_names.index(f"{name}_foot") for name in robot.foot_names]
    assert (engine.contact_forces[:, feet, 2] > 5.0).all()


def test_joints_are_in_the_wires_order(engine, robot, stand):
    """One joint of one leg is moved, and no other."""
    place(engine, 5.0, stand)
    for joint, name in enumerate(robot.joint_names):
        joints = stand.clone()
        joints[:, joint] += 0.05
        engine.reset(ROWS, torch.tensor([0.0, 0.0, 5.0]).repeat(ROBOTS, 1), LEVEL, joints)
        engine.step(joints, 1)
        moved = engine._dof[0, :, 0] - engine._dof.new_tensor(robot.stand_position)[engine._wire_to_gym]
        assert int(moved.abs().argmax()) == engine._gym_to_wire[joint]
        names = ["FL", "FR", "RL", "RR"]
        assert int(moved.abs().argmax()) == 3 * names.index(name[:2]) + ("hip", "thigh", "calf").index(name[3:])
        torch.testing.assert_close(engine.state().joint_position[:, joint], joints[:, joint], atol=2e-3, rtol=0)


def test_a_turned_robot_is_seen_from_its_own_frame(engine, stand):
    """A quarter turn about z: pushed along the world's x, it moves to its own right."""
    quarter = torch.tensor([math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)]).repeat(ROBOTS, 1)
    engine.reset(ROWS, torch.tensor([0.0, 0.0, 5.0]).repeat(ROBOTS, 1), quarter, stand)
    engine.push(torch.tensor([1.0, 0.0, 0.0]).repeat(ROBOTS, 1))
    before = engine.state()
    torch.testing.assert_close(before.orientation_trunk_in_world, quarter)
    expected = torch.tensor([0.0, -1.0, 0.0]).repeat(ROBOTS, 1)
    torch.testing.assert_close(before.linear_velocity_trunk_in_trunk, expected, atol=1e-6, rtol=0)
    engine.step(stand, 5)
    after = engine.state()
    expected[:, 2] = -GRAVITY_M_S2 * 0.02
    torch.testing.assert_close(after.linear_velocity_trunk_in_trunk, expected, atol=1e-4, rtol=0)
    assert float(after.position_trunk_in_world[0, 0]) == pytest.approx(0.02, abs=1e-5)


def test_a_turning_trunks_velocity_is_that_of_its_frame(engine, stand):
    """PhysX tells the velocity of the centre of mass, at (0.0223, 0.002): w x r for a turn about the trunk's origin."""
    place(engine, 5.0, stand)
    engine._root[:, 7:13] = torch.tensor([-2.0 * 0.002, 2.0 * 0.0223, 0.0, 0.0, 0.0, 2.0])
    state = engine.state()
    torch.testing.assert_close(state.linear_velocity_trunk_in_trunk, torch.zeros(ROBOTS, 3), atol=1e-6, rtol=0)
    assert state.angular_velocity_trunk_in_trunk[:, 2].unique().tolist() == [2.0]


def test_a_reset_touches_only_its_rows(engine, stand):
    assert_reset_touches_only_its_rows(engine, stand)


def test_writes_reach_the_simulator_once(engine, stand):
    """Isaac Gym's GPU pipeline keeps the last of several writes: pushes and resets of one step go over together."""
    place(engine, 5.0, stand)
    engine.step(stand, 1)
    calls = []
    write = engine._gym.set_actor_root_state_tensor_indexed

    def note(sim, states, rows, count):
        calls.append(rows.torch_tensor.tolist())
        return write(sim, states, rows, count)

    engine._gym.set_actor_root_state_tensor_indexed = note
    for row in (1, 3):
        rows = torch.tensor([row])
        engine.reset(rows, torch.tensor([[float(row), 0.0, 5.0]]), LEVEL[:1], stand[:1])
    assert calls == []
    engine.step(stand, 3)
    assert calls == [[1, 3]]
    torch.testing.assert_close(
        engine.state().position_trunk_in_world[[1, 3], 0], torch.tensor([1.0, 3.0]), atol=1e-4, rtol=0
    )


def test_each_robot_has_its_own_physics(engine, reference, stand):
    """Payload, centre of mass and gains at rest on the ground, against the mujoco engine."""
    changed = parameters(payload_kg=[0.0, 1.0, 2.0, -0.5], stiffness=[25.0, 30.0, 35.0, 40.0])
    changed.center_of_mass_shift_m[1, 1] = 0.03
    for one in (engine, reference):
        one.set_parameters(changed)
        place(one, 0.30, stand)
        one.step(stand, 1000)
    heights = [one.state().position_trunk_in_world[:, 2] for one in (engine, reference)]
    weight = (load_robot().total_mass_kg + changed.payload_kg) * GRAVITY_M_S2
    lost = (engine.contact_forces.sum(1)[:, 2] - weight).abs().max()
    print(f"own physics: {float((heights[0] - heights[1]).abs().max()):.4f} m, {float(lost):.2f} N")
    torch.testing.assert_close(heights[0], heights[1], atol=0.005, rtol=0)
    assert heights[0].max() - heights[0].min() > 0.02, "they differ from each other"
    torch.testing.assert_close(engine.contact_forces.sum(1)[:, 2], weight, atol=1.5, rtol=0)


def test_parameters_that_are_changed_in_place_are_seen(engine, stand):
    """The engine compares with what it has set, not with the caller's own tensors."""
    changed = parameters()
    engine.set_parameters(changed)
    changed.payload_kg[2] = 3.0
    engine.set_parameters(changed)
    place(engine, 0.30, stand)
    engine.step(stand, 750)
    force = engine.contact_forces.sum(1)[:, 2]
    assert float(force[2] - force[0]) == pytest.approx(3.0 * GRAVITY_M_S2, abs=1.0)


def test_less_friction_slides_further(engine, stand):
    assert_less_friction_slides_further(engine, stand)


def test_torque_ends_at_the_motors_limit(engine, robot, stand):
    engine.set_parameters(parameters(stiffness=[1000.0] * ROBOTS))
    place(engine, 5.0, stand)
    engine.step(stand + 0.2, 1)
    limit = torch.tensor(robot.torque_limit, dtype=torch.float32).expand(ROBOTS, 12)
    torch.testing.assert_close(engine.state().joint_torque, limit)


def test_friction_slows_a_joint_and_never_turns_it_back(engine, robot, stand):
    """More Coulomb friction, slower; friction beyond all torque leaves a creep that keeps its sign."""
    engine.set_parameters(parameters(stiffness=[10.0] * ROBOTS, joint_friction_nm=[0.0, 0.2, 2.0, 50.0]))
    place(engine, 5.0, stand)
    target = stand.clone()
    target[:, 0] += 0.1
    moved = []
    for _ in range(15):
        engine.step(target, 1)
        moved.append((engine.state().joint_position - stand)[:, 0])
    path = torch.stack(moved)
    assert path[-1, 0] > path[-1, 1] > path[-1, 2] > 0.0
    assert (path.diff(dim=0)[:, 2:] > -1e-4).all()


def test_a_physics_step_that_the_caller_names(robot, shim):
    """legged_gym hands over its own SimParams."""
    from sim.isaacgym_shim import gymapi

    params = gymapi.SimParams()
    params.dt, params.substeps, params.up_axis, params.gravity = 0.005, 1, gymapi.UP_AXIS_Z, gymapi.Vec3(0, 0, -9.81)
    assert IsaacGymEngine(robot, 1, "cpu", params).physics_dt_s == 0.005
