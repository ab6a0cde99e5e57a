"""Delays, pushes, commands and physics that the velocity task draws."""

import dataclasses
import math
from typing import Any

import pytest
import torch

from sim.engines.protocol import PhysicsParameters
from sim.randomization import NOMINAL_FRICTION, Randomization, RandomizationError, draw_commands, draw_physics
from sim.velocity_settings import VelocityTaskSettings
from sim.velocity_task import VelocityTask
from tests.sim.velocity_task.bench import NO_ACTION, QUIET, ROBOTS, make_task

torch.set_num_threads(1)


def test_a_control_step_is_one_call_with_the_new_target(task, graph, engine):
    engine.targets.clear()
    task.step(torch.full((ROBOTS, 12), 0.2))
    assert len(engine.targets) == 5  # 20 ms of 4 ms each; delays are the engine's
    expected = graph.joint_target(torch.full((ROBOTS, 12), 0.2))
    assert all(torch.equal(target, expected) for target in engine.targets)


def test_delays_are_drawn_over_the_whole_inclusive_range(robot, graph, engine):
    seen = {int(d) for seed in range(8) for d in reseeded(robot, graph, engine, seed).physics.delay_substeps}
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


RANGES: dict[str, Any] = {
    "friction": (0.3, 1.5),
    "payload_kg": (-1.0, 3.0),
    "payload_offset_m": 0.1,
    "center_of_mass_shift_m": 0.05,
    "link_mass_scale": (0.9, 1.1),
    "motor_strength": (0.7, 1.1),
    "joint_friction_nm": (0.1, 0.5),
    "armature_scale": (0.8, 1.4),
    "ground_time_constant_s": (0.02, 0.06),
    "delay_substeps": (1, 8),
}


@pytest.mark.parametrize("name", RANGES)
def test_physics_fills_its_ranges(contract, name):
    """Nothing outside, and both ends are nearly met by 2000 robots."""
    changed: dict[str, Any] = {"payload_kg": (1.0, 1.0), name: RANGES[name]}
    randomization = dataclasses.replace(QUIET, **changed)
    values = getattr(draw_physics(randomization, contract, 2000, torch.Generator().manual_seed(0)), name)
    low, high = RANGES[name] if isinstance(RANGES[name], tuple) else (-RANGES[name], RANGES[name])
    margin = 0.02 * (high - low)
    assert low - 1e-6 <= values.min() <= low + margin
    assert high - margin <= values.max() <= high + 1e-6
    assert float(values.float().mean()) == pytest.approx(0.5 * (low + high), abs=0.04 * (high - low))


def test_gains_are_scaled_per_joint(contract):
    draw = draw_physics(Randomization(), contract, 2000, torch.Generator().manual_seed(0))
    scale = draw.stiffness / torch.tensor(contract.stiffness)
    assert 0.85 <= scale.min() < 0.86
    assert 1.14 < scale.max() <= 1.15
    assert draw.damping.shape == draw.joint_friction_nm.shape == draw.motor_strength.shape == (2000, 12)
    assert not torch.equal(scale[:, 0], scale[:, 1])


def test_only_what_is_added_sits_off_centre(contract):
    randomization = dataclasses.replace(QUIET, payload_kg=(-1.0, 1.0), payload_offset_m=0.1)
    draw = draw_physics(randomization, contract, 500, torch.Generator().manual_seed(0))
    assert draw.payload_offset_m[draw.payload_kg < 0.0].abs().max() == 0.0
    assert draw.payload_offset_m[draw.payload_kg > 0.0].abs().max() > 0.09


@pytest.mark.parametrize("name", [*RANGES, "stiffness", "damping"])
def test_a_share_of_each_quantity_is_left_as_designed(contract, name):
    """Of every joint by itself, where it is one of joints; of every robot as a whole else, and not of all at once."""
    every: dict[str, Any] = {**RANGES, "payload_kg": (1.0, 3.0), "gain_scale": (1.1, 1.2)}
    randomization = dataclasses.replace(QUIET, **every, nominal_share=0.4)
    draw = draw_physics(randomization, contract, 4000, torch.Generator().manual_seed(0))
    designed = PhysicsParameters.nominal(1, NOMINAL_FRICTION, contract.stiffness, contract.damping)
    ordinary = getattr(draw, name) == getattr(designed, name)
    if name in ("payload_offset_m", "center_of_mass_shift_m"):
        assert torch.equal(ordinary.any(1), ordinary.all(1))
    else:
        assert ordinary.float().mean(0).flatten().tolist() == pytest.approx([0.4] * ordinary[0].numel(), abs=0.03)
    other = draw.link_mass_scale == 1.0 if name == "friction" else draw.friction == NOMINAL_FRICTION
    both = (ordinary.reshape(4000, -1)[:, 0] & other).float().mean()
    assert float(both) == pytest.approx(0.16, abs=0.03)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"nominal_share": 1.1}, "nominal share"),
        ({"friction": (1.0, 0.5)}, "friction: lower <= upper"),
        ({"friction": (0.0, 0.5)}, "friction above zero"),
        ({"push_speed_m_s": -0.1}, "push_speed_m_s"),
        ({"delay_substeps": (0, 9)}, "delay_substeps within 0 and 8"),
        ({"motor_strength": (-0.1, 1.0)}, "motor strength"),
        ({"standing_fraction": 1.1}, "standing fraction"),
        ({"link_mass_scale": (float("nan"), 1.0)}, "link_mass_scale"),
    ],
)
def test_impossible_ranges_are_refused(changed, named):
    with pytest.raises(RandomizationError, match=named):
        dataclasses.replace(Randomization(), **changed)
