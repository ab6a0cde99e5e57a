"""The contract of our gait-conditioned policies: the velocity policy's, with the gait itself among the commands.

The ranges are a box that the legs reach at walking speed; `tests/policy/test_gait_contract.py` holds the first two:

- Trunk no lower than the most folded knee allows above a swinging foot: 2 x 0.213 m x cos(2.697 rad / 2) = 0.094 m
  from hip to foot, plus 0.12 m of swing, plus the foot's radius of 0.022 m, are 0.236 m. At 0.22 m the highest swing
  could be 0.104 m.
- Frequency no higher than the knees turn: lifting a foot by 0.12 m in half a cycle of 3.5 Hz takes 2.6 m/s at its
  fastest, which is 16 rad/s of the calf's 20 rad/s in the usual pose. No lower than the stride is long: half a cycle
  of 1.5 Hz at the fastest walk of 1.5 m/s puts a foot 0.25 m before and behind its hip, 0.37 m from it at the default
  height; the least folded knee gives 0.38 m, and at 0.32 m the two do not go together. Walk-these-ways trained
  2 to 4 Hz on this robot (Margolis and Agrawal, 2022).
- Swing from 0.04 m, twice the foot's radius: our choice, less is dragged over any carpet.

Defaults are what the plain velocity policy always does, so that the two can be exchanged.
"""

from __future__ import annotations

from dataclasses import replace

from policy.contract import CommandTerm, ObservationTerm, PolicyContract
from policy.velocity_contract import GAIT_FREQUENCY_HZ, velocity_contract
from robot_configs.robot import RobotModel

GAIT_FREQUENCY, SWING_HEIGHT, TRUNK_HEIGHT = "gait_frequency", "swing_height", "trunk_height"
"""Names of the gait's commands. `trunk_height` is above the ground; walk-these-ways' `body_height` is an offset."""

DEFAULT_SWING_HEIGHT_M = 0.09
DEFAULT_TRUNK_HEIGHT_M = 0.29

# A change over the whole range takes a second, 0.4 s and 0.8 s: some steps, as with the velocities.
GAIT_COMMANDS = (
    CommandTerm(GAIT_FREQUENCY, "Hz", 1.5, 3.5, slew_per_s=2.0, neutral=GAIT_FREQUENCY_HZ),
    CommandTerm(SWING_HEIGHT, "m", 0.04, 0.12, slew_per_s=0.2, neutral=DEFAULT_SWING_HEIGHT_M),
    CommandTerm(TRUNK_HEIGHT, "m", 0.24, 0.32, slew_per_s=0.1, neutral=DEFAULT_TRUNK_HEIGHT_M),
)
_OBSERVED_AT = (1.0, 25.0, 25.0)
"""Scales that make each range two wide, as those of the velocities are."""


def gait_contract(robot: RobotModel) -> PolicyContract:
    """50 observed values a moment: those of `velocity_contract` and the three commands of the gait.

    The gait is observed as what it differs from the defaults by: heights as such are a constant that varies by a tenth,
    and a network learns the constant first.
    """
    plain = velocity_contract(robot)
    assert plain.gait_clock is not None
    scales = (1.0,) * plain.command_dim + _OBSERVED_AT
    terms = tuple(ObservationTerm(term.name, scales) if term.name == "command" else term for term in plain.terms)
    told = replace(
        plain,
        commands=(*plain.commands, *GAIT_COMMANDS),
        terms=terms,
        gait_clock=replace(plain.gait_clock, frequency=GAIT_FREQUENCY),
        holds_commands=True,
    )
    defaults = [scale * told.commands[place].rest for place, scale in enumerate(scales)]
    means = [defaults if term.name == "command" else [0.0] * told.term_width(term.name) for term in told.terms]
    return replace(told, observation_mean=tuple(value for block in means for value in block))
