"""Gaits held over any source; sources that know only velocities leave them alone; the gate knows neither."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from deploy.host.teleop import Teleoperation, TeleopSettings
from deploy.onboard.command_text import CommandError
from deploy.onboard.commands import CommandSource, neutral_command, parse_commands
from deploy.onboard.held_commands import with_gait
from deploy.onboard.operator_input import Operator, OperatorCommands, SupervisedCommands
from deploy.onboard.pilot_process import run_pilot
from deploy.onboard.remote import encode_remote
from deploy.onboard.runner import RunSettings, run_session
from deploy.onboard.schedule import SessionSettings
from policy.bundle import BUNDLES, read_bundle
from policy.gait_contract import gait_contract
from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot

ROOT = Path(__file__).resolve().parents[3]
ROBOT = load_robot()
PLAIN, TERMS = velocity_contract(ROBOT).commands, gait_contract(ROBOT).commands
DEFAULTS = [2.5, 0.09, 0.29]
HELD = "gait_frequency=2, trunk_height=0.26"


def test_velocity_alone_gives_the_gaits_defaults(make_state: Any) -> None:
    command = parse_commands("vx=0.5,vy=0,yaw=-1", TERMS).command(0.0, make_state())
    assert command.tolist() == pytest.approx([0.5, 0.0, -1.0, *DEFAULTS])
    command = parse_commands("remote", TERMS).command(0.0, make_state(remote=encode_remote(ly=1.0)))
    assert command.tolist() == pytest.approx([1.5, 0.0, 0.0, *DEFAULTS])
    command = OperatorCommands(TERMS, Operator([], speed=1.0)).command(0.0, make_state())
    assert command.tolist() == pytest.approx([0.0, 0.0, 0.0, *DEFAULTS])


def test_a_script_sets_the_gait_where_it_names_it(tmp_path: Path, make_state: Any) -> None:
    path = tmp_path / "walk.yaml"
    path.write_text(
        "segments:\n"
        "  - {duration_s: 1, vx: 0.5, vy: 0, yaw: 0}\n"
        "  - {duration_s: 2, ramp_s: 1, vx: 0.5, vy: 0, yaw: 0, gait_frequency: 3.5, swing_height: 0.05}\n"
    )
    source = parse_commands(str(path), TERMS)
    rows = [source.command(time_s, make_state()).tolist() for time_s in (0.5, 1.5, 2.5, 9.0)]
    assert rows[0] == pytest.approx([0.5, 0.0, 0.0, *DEFAULTS])
    assert rows[1] == pytest.approx([0.5, 0.0, 0.0, 3.0, 0.07, 0.29])
    assert rows[2] == pytest.approx([0.5, 0.0, 0.0, 3.5, 0.05, 0.29])
    assert rows[3] == pytest.approx([0.0, 0.0, 0.0, *DEFAULTS])


def test_random_commands_draw_the_gait_too(make_state: Any) -> None:
    source = parse_commands("random:seed=1,hold_s=1,stand_fraction=0.5", TERMS)
    rows = np.array([source.command(float(second), make_state()) for second in range(400)])
    standing = ~rows[:, :3].any(axis=1)
    assert 0.4 < standing.mean() < 0.6
    np.testing.assert_allclose(rows[standing], np.tile(neutral_command(TERMS), (standing.sum(), 1)))
    walking = rows[~standing, 3:]
    for column, term in enumerate(TERMS[3:]):
        width = term.upper - term.lower
        assert term.lower <= walking[:, column].min() < term.lower + 0.05 * width
        assert term.upper >= walking[:, column].max() > term.upper - 0.05 * width


def test_a_held_gait_overrides_every_source_and_leaves_the_velocity(make_state: Any) -> None:
    state = make_state(remote=encode_remote(ly=1.0))
    operator = Operator([], speed=1.0)
    random = parse_commands("random:seed=3,hold_s=1,stand_fraction=0", TERMS)
    sources: list[CommandSource] = [
        parse_commands("vx=0.5,vy=0,yaw=0,gait_frequency=3", TERMS),
        parse_commands("remote", TERMS),
        OperatorCommands(TERMS, operator),
        SupervisedCommands(random, TERMS, operator),
        random,
    ]
    for source in sources:
        held = with_gait(source, HELD, TERMS)
        held.begin_episode(2)
        free = source.command(0.0, state).copy()
        command = held.command(0.0, state)
        assert command[[3, 5]].tolist() == pytest.approx([2.0, 0.26])
        assert command[[0, 1, 2, 4]].tolist() == free[[0, 1, 2, 4]].tolist()
        assert source.command(0.0, state).tolist() == free.tolist(), "the source's own array is not written into"


def test_an_episode_is_begun_in_the_source_behind(make_state: Any) -> None:
    """Else random commands would go on with the episode before."""
    specification = "random:seed=3,hold_s=1,stand_fraction=0"
    held = with_gait(parse_commands(specification, TERMS), HELD, TERMS)
    held.begin_episode(7)
    fresh = parse_commands(specification, TERMS)
    fresh.begin_episode(7)
    assert held.command(0.0, make_state())[:3].tolist() == fresh.command(0.0, make_state())[:3].tolist()


def test_no_gait_changes_nothing() -> None:
    source = parse_commands("vx=0,vy=0,yaw=0", PLAIN)
    assert with_gait(source, "", PLAIN) is source


@pytest.mark.parametrize(
    ("gait", "complaint"),
    [
        ("frequency=2", "gait_frequency"),
        ("vx=1", "vx"),
        ("gait_frequency=1.49", r"within \[1.5, 3.5\]"),
        ("swing_height=0.13", r"within \[0.04, 0.12\]"),
        ("trunk_height=nan", "nan"),
        ("trunk_height", "NAME=VALUE"),
        ("trunk_height=0.3,trunk_height=0.3", "distinct"),
    ],
)
def test_what_is_no_gait_of_this_policy_is_refused(gait: str, complaint: str) -> None:
    with pytest.raises(CommandError, match=complaint):
        with_gait(parse_commands("remote", TERMS), gait, TERMS)


def test_a_plain_policy_has_no_gait_to_hold() -> None:
    with pytest.raises(CommandError, match="a gait of its own"):
        with_gait(parse_commands("remote", PLAIN), "gait_frequency=2", PLAIN)


@pytest.mark.parametrize("where", ["one process", "the pilot's process", "teleoperation"])
def test_wherever_the_policy_runs_a_gait_is_checked_before_anything_is_sent(where: str, tmp_path: Path) -> None:
    """Links, clocks and slots are not there: what touched one before the gait was looked at would fail otherwise."""
    bundle, absent = read_bundle(BUNDLES / "go1_velocity.go1policy"), cast(Any, None)
    held = "gait_frequency=2"
    settings = RunSettings("vx=0,vy=0,yaw=0", SessionSettings(episode_s=0.1, episodes=1), lockstep=True, gait=held)
    with pytest.raises(CommandError, match="a gait of its own"):
        if where == "one process":
            run_session(bundle, ROBOT, absent, absent, settings)
        elif where == "teleoperation":
            Teleoperation(bundle, ROBOT, absent, absent, [], TeleopSettings(gait=held), tmp_path)
        else:
            run_pilot(bundle, ROBOT, settings, absent, absent, 0, 0, absent)


def test_the_gate_knows_no_commands() -> None:
    """What limits the motors is loaded without anything that knows of commands or contracts."""
    source = (
        "import sys, deploy.onboard.gate\n"
        "known = ('policy', 'deploy.onboard.command', 'deploy.onboard.held', 'deploy.onboard.pilot')\n"
        "print([name for name in sys.modules if name.startswith(known)])"
    )
    result = subprocess.run([sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_both_kinds_of_policy_give_the_gate_the_same_limits() -> None:
    plain, gait = velocity_contract(ROBOT), gait_contract(ROBOT)
    for field in ("target_lower", "target_upper", "stiffness", "damping", "action_scale", "default_position"):
        assert getattr(plain, field) == getattr(gait, field)
