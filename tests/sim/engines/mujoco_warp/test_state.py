"""Delays, resets, snapshots and recorded steps: nothing leaks from one robot, or one life of it, to another."""

import pytest
import torch

from sim.engines.mujoco_warp import MujocoWarpEngine
from sim.engines.mujoco_warp_modules import MujocoWarpError
from sim.engines.protocol import MAX_DELAY_SUBSTEPS, ResumableEngine
from tests.sim.engines.bench import ROBOTS, assert_reset_touches_only_its_rows, parameters, place

pytestmark = pytest.mark.slow


def test_each_robot_waits_its_own_number_of_steps(engine, stand):
    """The targets of five control steps of 4 come out as many steps later as each robot waits."""
    delays = [0, 1, 3, 8]
    engine.set_parameters(parameters(delay_substeps=delays, damping=[0.0] * ROBOTS))
    place(engine, 5.0, stand)
    given, seen = [], []
    for step in range(20):
        offset = 1e-3 * (1 + step // 4)
        target = stand.clone()
        target[:, 0] += offset
        before = engine.state().joint_position[:, 0]
        engine.step(target, 1)
        given.append(offset)
        seen.append((engine.state().joint_torque[:, 0] / 30.0 + before - stand[:, 0]).tolist())
    for row, delay in enumerate(delays):
        expected = [0.0] * delay + given[: 20 - delay]
        assert [values[row] for values in seen] == pytest.approx(expected, abs=2e-6)


def test_delays_hold_after_an_hour(engine, stand):
    """Time is 32 bits: half a step of margin must outlast its rounding in an episode without end."""
    engine.set_parameters(parameters(delay_substeps=[0, 1, 4, 8], damping=[0.0] * ROBOTS))
    place(engine, 5.0, stand)
    engine._time[:] = 3600.0
    buffers = engine._history
    buffers[:, :, 2 : 2 + MAX_DELAY_SUBSTEPS + 1] += 3600.0
    engine.step(stand, MAX_DELAY_SUBSTEPS + 1)
    seen = []
    for _ in range(MAX_DELAY_SUBSTEPS + 1):
        engine.step(stand + 0.5, 1)
        seen.append((engine.state().joint_torque[:, 1] > 5.0).tolist())
    first = [[row[robot] for row in seen].index(True) for robot in range(ROBOTS)]
    assert first == [0, 1, 4, 8]


def test_a_reset_forgets_the_targets_on_their_way(engine, stand):
    engine.set_parameters(parameters(delay_substeps=[8] * ROBOTS, damping=[0.0] * ROBOTS))
    place(engine, 5.0, stand)
    engine.step(stand + 0.5, 4)
    place(engine, 5.0, stand)
    assert engine.state().joint_torque.abs().max() == 0.0
    engine.step(stand + 0.5, MAX_DELAY_SUBSTEPS)
    assert engine.state().joint_torque.abs().max() < 0.01, "the pose of the reset acts"
    engine.step(stand + 0.5, 1)
    assert engine.state().joint_torque[:, 0].min() > 10.0


def test_a_reset_touches_only_its_rows(engine, stand):
    assert_reset_touches_only_its_rows(engine, stand)


def test_a_reset_robot_moves_like_one_that_was_never_used(engine, robot, stand):
    """Nothing of the life before, such as warm starts or targets, leaks through a reset."""
    fresh = MujocoWarpEngine(robot, ROBOTS)
    fresh.set_parameters(parameters(delay_substeps=[0, 2, 4, 8]))
    engine.set_parameters(parameters(delay_substeps=[0, 2, 4, 8]))
    place(engine, 0.30, stand)
    engine.step(stand + 0.3, 100)
    for one in (engine, fresh):
        place(one, 0.30, stand)
        one.step(stand, 30)
    for name, value in vars(engine.state()).items():
        torch.testing.assert_close(value, getattr(fresh.state(), name), atol=0, rtol=0)


def test_a_recorded_step_is_the_step_kernel_by_kernel(engine, stand):
    """Bit for bit, through a landing in which Newton's method takes now more, now fewer iterations."""
    ends, iterations = [], []
    for recorded in (True, False):
        place(engine, 0.30, stand)
        torch.manual_seed(0)
        for _ in range(30):
            target = stand + 0.2 * torch.randn(ROBOTS, 12)
            if recorded:
                engine.step(target, 5)
            else:
                engine._ctrl.copy_(target)
                engine._control_step(5)
            iterations.append(int(engine._warp.to_torch(engine._data.solver_niter).max()))
        ends.append(engine.state())
    for name, value in vars(ends[0]).items():
        assert torch.equal(value, getattr(ends[1], name)), name
    assert len(set(iterations[:30])) > 1
    assert iterations[:30] == iterations[30:]


def test_one_call_of_five_steps_is_five_calls_of_one(engine, stand):
    """A recorded control step is launched as often as it is asked for, with the targets of that moment."""
    engine.set_parameters(parameters(delay_substeps=[0, 2, 5, 7]))
    ends = []
    for substeps in (5, 1):
        place(engine, 0.30, stand)
        torch.manual_seed(0)
        for _ in range(6):
            target = stand + 0.2 * torch.randn(ROBOTS, 12)
            for _ in range(5 // substeps):
                engine.step(target, substeps)
        ends.append(engine.state())
    assert torch.equal(ends[0].joint_position, ends[1].joint_position)
    assert torch.equal(ends[0].position_trunk_in_world, ends[1].position_trunk_in_world)


def test_a_run_goes_on_bit_for_bit_from_a_snapshot(engine, stand):
    engine.set_parameters(parameters(delay_substeps=[0, 2, 5, 8]))
    assert isinstance(engine, ResumableEngine)
    place(engine, 0.30, stand)
    engine.step(stand + 0.1, 37)
    kept, there = engine.snapshot(), engine.state()
    engine.step(stand - 0.1, 12)
    after = engine.state()
    place(engine, 1.0, stand)
    engine.restore(kept)
    for name, value in vars(engine.state()).items():
        assert torch.equal(value, getattr(there, name)), name
    engine.step(stand - 0.1, 12)
    for name, value in vars(engine.state()).items():
        assert torch.equal(value, getattr(after, name)), name


def test_the_state_is_a_copy(engine, stand):
    place(engine, 0.30, stand)
    state = engine.state()
    kept = {name: value.clone() for name, value in vars(state).items()}
    engine.step(stand + 0.1, 10)
    assert all(torch.equal(getattr(state, name), value) for name, value in kept.items())
    assert not torch.equal(engine.state().joint_position, state.joint_position)


def test_the_engines_tensors_are_warps_own_memory(engine):
    """Zero-copy: what torch writes, Warp reads."""
    for tensor, array in ((engine._qpos, engine._data.qpos), (engine._history, engine._data.history)):
        assert tensor.data_ptr() == array.ptr


def test_lost_contacts_are_an_error_that_ends_with_the_reset(engine, stand):
    """As MuJoCo Warp marks a robot whose constraints did not fit."""
    place(engine, 0.30, stand)
    engine._lost[2] = int(engine._mjw.OverflowType.NEFC)
    with pytest.raises(MujocoWarpError, match="at most 16 contacts a robot"):
        engine.state()
    engine._lost[2] = int(engine._mjw.OverflowType.ITERATIONS)
    engine.state()
    engine._lost[2] = int(engine._mjw.OverflowType.NARROWPHASE)
    place(engine, 0.30, stand)
    engine.state()
