"""Command sources: what a specification means, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deploy.onboard.commands import CommandError, CommandSource, RandomCommands, neutral_command, parse_commands
from deploy.onboard.remote import encode_remote
from policy.contract import CommandTerm

TERMS = (
    CommandTerm("vx", "m/s", -1.0, 1.5),
    CommandTerm("vy", "m/s", -0.8, 0.8),
    CommandTerm("yaw", "rad/s", -1.5, 1.5),
)
WITH_GAIT = (*TERMS, CommandTerm("gait_hz", "Hz", 2.0, 4.0))


@pytest.fixture
def state(make_state: Any) -> Any:
    return make_state()


def test_constant_in_the_contracts_order(state: Any) -> None:
    command = parse_commands("yaw=-1, vx=0.5,vy=0", TERMS).command(3.0, state)
    assert command.tolist() == [0.5, 0.0, -1.0]
    assert command.dtype == np.float32


@pytest.mark.parametrize(
    ("specification", "complaint"),
    [
        ("vx=0.5,vy=0", "missing: yaw"),
        ("vx=0.5,vy=0,yaw=0,vz=1", "unknown: vz"),
        ("vx=1.51,vy=0,yaw=0", r"within \[-1, 1.5\]"),
        ("vx=-1.01,vy=0,yaw=0", r"within \[-1, 1.5\]"),
        ("vx=fast,vy=0,yaw=0", "'fast'"),
        ("vx=nan,vy=0,yaw=0", "'nan'"),
        ("vx=0.5,vx=0.4,vy=0,yaw=0", "distinct"),
        ("vx=,vy=0,yaw=0", "NAME=VALUE"),
        ("random:seed=1,hold_s=4", "missing: stand_fraction"),
        ("random:seed=1,hold_s=4,stand_fraction=0.1,sed=2", "unknown: sed"),
        ("random:seed=1.5,hold_s=4,stand_fraction=0.1", "whole number"),
        ("random:seed=-1,hold_s=4,stand_fraction=0.1", "seed"),
        ("random:seed=1,hold_s=0,stand_fraction=0.1", "hold_s"),
        ("random:seed=1,hold_s=4,stand_fraction=1.1", "stand_fraction"),
        ("random:seed=1,hold_s=4,stand_fraction=0.1,scale=1.5", "scale"),
        ("forwards", "forwards"),
        ("missing.yaml", "missing.yaml"),
    ],
)
def test_what_cannot_be_meant_is_refused(specification: str, complaint: str) -> None:
    with pytest.raises(CommandError, match=complaint):
        parse_commands(specification, TERMS)


def sample(source: CommandSource, episode: int, times_s: list[float], state: Any) -> np.ndarray:
    source.begin_episode(episode)
    return np.stack([source.command(time_s, state) for time_s in times_s])


def test_random_commands_hold_then_change(state: Any) -> None:
    source = parse_commands("random:seed=3,hold_s=2,stand_fraction=0", TERMS)
    commands = sample(source, 0, [0.0, 1.98, 2.0, 3.98, 4.0], state)
    assert np.array_equal(commands[0], commands[1])
    assert np.array_equal(commands[2], commands[3])
    assert not np.array_equal(commands[1], commands[2])
    assert not np.array_equal(commands[3], commands[4])


def test_random_commands_depend_on_seed_and_episode_only(state: Any) -> None:
    """An episode's commands are the same however long the episodes before it lasted."""
    specification = "random:seed=3,hold_s=1,stand_fraction=0.2"
    source, other = parse_commands(specification, TERMS), parse_commands(specification, TERMS)
    sample(source, 0, [0.0, 50.0], state)
    times_s = [0.0, 1.0, 2.0, 7.0]
    assert np.array_equal(sample(source, 5, times_s, state), sample(other, 5, [*times_s[:2], 2.0, 7.0], state))
    assert not np.array_equal(sample(source, 5, times_s, state), sample(source, 6, times_s, state))
    different = parse_commands("random:seed=4,hold_s=1,stand_fraction=0.2", TERMS)
    assert not np.array_equal(sample(source, 5, times_s, state), sample(different, 5, times_s, state))


def test_random_commands_cover_the_ranges_and_stand_as_often_as_asked(state: Any) -> None:
    source = RandomCommands(WITH_GAIT, seed=1, hold_s=1.0, stand_fraction=0.25, scale=0.5)
    draws = sample(source, 0, [float(second) for second in range(2000)], state)
    standing = np.all(draws == neutral_command(WITH_GAIT), axis=1)
    assert 0.21 < standing.mean() < 0.29  # four standard deviations
    moving = draws[~standing]
    lower, upper = np.array([-0.5, -0.4, -0.75, 2.0]), np.array([0.75, 0.4, 0.75, 3.0])
    assert np.all(moving >= lower)
    assert np.all(moving <= upper)
    assert np.all(moving.min(axis=0) < lower + 0.01 * (upper - lower))
    assert np.all(moving.max(axis=0) > upper - 0.01 * (upper - lower))


def test_standing_still_is_the_nearest_allowed_value_to_zero() -> None:
    terms = (*WITH_GAIT, CommandTerm("height", "m", -0.3, -0.1))
    assert neutral_command(terms).tolist() == pytest.approx([0.0, 0.0, 0.0, 2.0, -0.1])


SCRIPT = """
segments:
  - {duration_s: 2.0, vx: 1.0, vy: 0.0, yaw: 0.0}
  - {duration_s: 4.0, ramp_s: 1.0, vx: 0.0, vy: 0.4, yaw: -1.0}
"""


def test_a_script_by_hand(tmp_path: Path, state: Any) -> None:
    path = tmp_path / "walk.yaml"
    path.write_text(SCRIPT)
    commands = sample(parse_commands(str(path), TERMS), 0, [0.0, 1.99, 2.0, 2.5, 3.0, 5.99, 6.0, 99.0], state)
    assert commands == pytest.approx(
        np.array(
            [
                [1.0, 0.0, 0.0],
                [1.0, 0.0, 0.0],
                [1.0, 0.0, 0.0],  # the ramp begins where the segment before ended
                [0.5, 0.2, -0.5],
                [0.0, 0.4, -1.0],
                [0.0, 0.4, -1.0],
                [0.0, 0.0, 0.0],  # over: it stands
                [0.0, 0.0, 0.0],
            ]
        )
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("walk: 1", "segments"),
        ("segments: []", "segments"),
        ("segments: [1]", "segments"),
        ("segments: [{vx: 0, vy: 0, yaw: 0}]", "duration_s"),
        ("segments: [{duration_s: 0, vx: 0, vy: 0, yaw: 0}]", "duration_s"),
        ("segments: [{duration_s: 1, ramp_s: 1.1, vx: 0, vy: 0, yaw: 0}]", "ramp_s"),
        ("segments: [{duration_s: 1, vx: 0, vy: 0}]", "segment 0: missing: yaw|missing: yaw"),
        ("segments: [{duration_s: 1, vx: 2, vy: 0, yaw: 0}]", "vx"),
        ("segments: [", "YAML"),
    ],
)
def test_a_malformed_script_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "walk.yaml"
    path.write_text(text)
    with pytest.raises(CommandError, match=complaint):
        parse_commands(str(path), TERMS)


@pytest.mark.parametrize(
    ("sticks", "expected"),
    [
        ({}, [0.0, 0.0, 0.0, 2.0]),
        ({"ly": 1.0}, [1.5, 0.0, 0.0, 2.0]),  # forward, the range is not symmetric
        ({"ly": -1.0}, [-1.0, 0.0, 0.0, 2.0]),
        ({"lx": 0.54}, [0.0, -0.4, 0.0, 2.0]),  # stick right, robot right; half way behind the dead zone of 0.08
        ({"ly": 0.08, "lx": -0.05}, [0.0, 0.0, 0.0, 2.0]),  # a worn stick at rest
        ({"rx": -1.0}, [0.0, 0.0, 1.5, 2.0]),  # stick left, turn left
        ({"ry": 1.0}, [0.0, 0.0, 0.0, 2.0]),
        ({"ly": 7.0}, [1.5, 0.0, 0.0, 2.0]),  # a broken stick
        ({"ly": float("nan")}, [0.0, 0.0, 0.0, 2.0]),
    ],
)
def test_the_sticks(make_state: Any, sticks: dict[str, Any], expected: list[float]) -> None:
    source = parse_commands("remote", WITH_GAIT)
    assert source.command(0.0, make_state(remote=encode_remote(**sticks))) == pytest.approx(np.array(expected))


def test_the_sticks_need_a_policy_that_takes_velocities() -> None:
    with pytest.raises(CommandError, match="vx, vy, yaw"):
        parse_commands("remote", TERMS[:2])


def test_the_documented_command_file_is_one_and_its_page_is_named(tmp_path: Path, state: Any) -> None:
    text = (Path(__file__).resolve().parents[3] / "docs/teleop.md").read_text(encoding="utf-8")
    assert "\n## Command files\n" in text
    example = tmp_path / "example.yaml"
    example.write_text(text.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    source = parse_commands(str(example), TERMS)
    assert source.command(1.0, state).tolist() == [0.0, 0.0, 0.0]
    assert source.command(2.5, state).tolist() == [0.25, 0.0, 0.0]  # half of the ramp
    assert source.command(12.0, state).tolist() == [0.0, 0.0, 0.0]
    example.write_text("walk: 1", encoding="utf-8")
    with pytest.raises(CommandError, match=r"docs/teleop\.md, Command files"):
        parse_commands(str(example), TERMS)
