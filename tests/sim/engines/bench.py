"""Four robots side by side, for the tests of every engine: parameters, places, and what a reset owes them."""

from typing import Any

import torch

from sim.engines.protocol import Engine, PhysicsParameters

ROBOTS = 4
ROWS = torch.arange(ROBOTS)
LEVEL = torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(ROBOTS, 1)


def parameters(**changed: Any) -> PhysicsParameters:
    """Parameters of four equal robots, except for what is named: (4,) values, one a robot."""
    values = vars(PhysicsParameters.nominal(ROBOTS, 0.8, [30.0] * 12, [0.75] * 12)).copy()
    for name, value in changed.items():
        column = torch.as_tensor(value, dtype=values[name].dtype)
        values[name] = column.reshape(ROBOTS, *[1] * (values[name].dim() - 1)).expand_as(values[name]).clone()
    return PhysicsParameters(**values)


def place(engine: Engine, height_m: float, joints: torch.Tensor) -> None:
    engine.reset(ROWS, torch.tensor([0.0, 0.0, height_m]).repeat(ROBOTS, 1), LEVEL, joints)


def largest_differences(one: Engine, other: Engine) -> dict[str, float]:
    """By the state's fields, over all robots."""
    first, second = vars(one.state()), vars(other.state())
    return {name: float((first[name] - second[name]).abs().max()) for name in first}


def assert_reset_touches_only_its_rows(engine: Engine, stand: torch.Tensor) -> None:
    """Two of four moving robots are put elsewhere, at rest; the others go on. For the tests of every engine."""
    place(engine, 0.30, stand)
    engine.step(stand + 0.1, 20)
    before = engine.state()
    rows = torch.tensor([0, 2])
    joints = stand[:2] + torch.tensor([[0.05], [-0.05]])
    engine.reset(rows, torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), LEVEL[:2], joints)
    after = engine.state()
    for name in ("position_trunk_in_world", "joint_position", "joint_velocity", "linear_velocity_trunk_in_trunk"):
        torch.testing.assert_close(getattr(after, name)[[1, 3]], getattr(before, name)[[1, 3]], atol=0, rtol=0)
    assert after.position_trunk_in_world[rows].tolist() == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    torch.testing.assert_close(after.joint_position[rows], joints, atol=1e-6, rtol=0)
    assert after.joint_velocity[rows].abs().max() == 0
    assert before.joint_velocity.abs().max() > 0.1, "they were moving before"


def assert_less_friction_slides_further(engine: Engine, stand: torch.Tensor) -> None:
    """Four standing robots on ground of other friction are pushed sideways. For the tests of every engine."""
    engine.set_parameters(parameters(friction=[0.05, 0.1, 0.3, 1.2]))
    place(engine, 0.30, stand)
    engine.step(stand, 250)
    before = engine.state().foot_position_in_world
    engine.push(torch.tensor([0.0, 0.4, 0.0]).repeat(ROBOTS, 1))
    engine.step(stand, 125)
    slid = (engine.state().foot_position_in_world - before).norm(dim=2).mean(dim=1)
    assert slid[0] > slid[1] > slid[2] > slid[3]
    assert slid[0] > 4 * slid[3]
