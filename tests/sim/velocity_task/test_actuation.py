"""Delays, pushes, commands and physics that the velocity task draws."""

import dataclasses
import math

import pytest
import torch

from sim.randomization import Randomization, draw_commands, draw_physics
from sim.velocity_task import VelocityTask, VelocityTaskSettings
from tests.sim.velocity_task.bench import NO_ACTION, QUIET, ROBOTS, make_task

torch.set_num_threads(1)


def test_each_robot_waits_its_own_number_of_substeps(robot, graph, engine):
    task = make_task(robot, graph, engine, delay_substeps=(0, 2))
    task.delay[:] = torch.tensor([0, 1, 2, 1])
    task.step(torch.full((ROBOTS, 12), 0.2))
    old = graph.joint_target(torch.full((ROBOTS, 12), 0.2))
    engine.targets.clear()
    task.step(torch.full((ROBOTS, 12), -0.2))
    new = graph.joint_target(torch.full((ROBOTS, 12), -0.2))
    assert len(engine.targets) == 5  # 20 ms of 4 ms each
    for substep, target in enumerate(engine.targets):
        for robot_index, delay in enumerate((0, 1, 2, 1)):
            expected = old if substep < delay else new
            torch.testing.assert_close(target[robot_index], expected[robot_index])


def test_delays_are_drawn_over_the_whole_inclusive_range(robot, graph, engine):
    seen = {int(d) for seed in range(8) for d in reseeded(robot, graph, engine, seed).delay}
    assert seen == {0, 1, 2}


def reseeded(robot, graph, engine, seed: int) -> VelocityTask:
    randomization = dataclasses.replace(QUIET, delay_substeps=(0, 2))
    return VelocityTask(VelocityTaskSettings(ROBOTS, seed, randomization=randomization), robot, graph, engine)


def test_pushes_are_horizontal_and_bounded(robot, graph, engine):
    task = make_task(robot, graph, engine, push_interval_s=0.02, push_speed_m_s=0.6)  # every robot at every step
    for _ in range(50):
        task.step(NO_ACTION)
    pushes = torch.stack(engine.pushes)
    assert pushes.shape == (50, ROBOTS, 3)
    assert pushes[:, :, 2].abs().max() == 0
    assert 0.55 < pushes.abs().max() <= 0.6
    assert (pushes[:, :, :2].abs().sum(2) > 0).all()


def test_without_pushes_nobody_is_pushed(task, engine):
    for _ in range(20):
        task.step(NO_ACTION)
    assert engine.pushes == []


def test_a_physics_step_that_does_not_divide_the_control_step_is_refused(robot, graph, engine):
    engine.physics_dt_s = 0.003
    with pytest.raises(ValueError, match="does not divide"):
        make_task(robot, graph, engine)


def test_commands_fill_their_ranges_and_a_part_stands(contract):
    randomization = dataclasses.replace(QUIET, standing_fraction=0.1)
    command = draw_commands(randomization, contract, 20_000, torch.Generator().manual_seed(0))
    standing = (command == 0).all(dim=1)
    assert float(standing.float().mean()) == pytest.approx(0.1, abs=4 * math.sqrt(0.1 * 0.9 / 20_000))
    for column, term in enumerate(contract.commands):
        values = command[~standing, column]
        assert term.lower <= values.min() < term.lower + 0.01
        assert term.upper - 0.01 < values.max() <= term.upper
        assert float(values.mean()) == pytest.approx(0.5 * (term.lower + term.upper), abs=0.03)


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_nobody_or_everybody_stands(contract, fraction):
    randomization = dataclasses.replace(QUIET, standing_fraction=fraction)
    command = draw_commands(randomization, contract, 500, torch.Generator().manual_seed(0))
    assert (command == 0).all(dim=1).float().mean() == fraction


def test_commands_change_when_their_time_is_over(robot, graph, engine):
    task = make_task(robot, graph, engine, command_interval_s=0.06)
    history = [task.command.clone()]
    for _ in range(7):
        task.step(NO_ACTION)
        history.append(task.command.clone())
    changed = [not torch.equal(a, b) for a, b in zip(history[:-1], history[1:], strict=True)]
    assert changed == [False, False, True, False, False, True, False]


def test_physics_is_drawn_inside_its_ranges(contract):
    settings = Randomization()
    draw = draw_physics(settings, contract, 2000, torch.Generator().manual_seed(0))
    for values, (low, high) in ((draw.friction, settings.friction), (draw.payload_kg, settings.payload_kg)):
        assert low <= values.min() < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < values.max() <= high
    assert draw.center_of_mass_shift_m.abs().max() <= settings.center_of_mass_shift_m
    scale = draw.stiffness / torch.tensor(contract.stiffness)
    assert 0.85 <= scale.min() < 0.86
    assert 1.14 < scale.max() <= 1.15
    assert draw.damping.shape == draw.joint_friction_nm.shape == (2000, 12)
