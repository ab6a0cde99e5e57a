"""What a contract is made of: the blocks of an observation, the commands, the gait clock, and the error of them all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple, Union

from robot_configs.errors import Go1Error

CONTRACT_VERSION = 1
LONGEST_SETTLING_S = 5.0
HISTORY_STARTS = ("repeat", "zeros")
"""What stands for the moments before the first one: copies of it, which is the default, or nothing."""

TERM_WIDTHS = {  # command and gait_clock take theirs from the contract
    "projected_gravity": 3,  # gravity direction in the trunk frame, unit length
    "angular_velocity": 3,
    "joint_position": 12,  # minus the default position
    "joint_velocity": 12,
    "last_action": 12,
    "action_before_last": 12,
}


class ContractError(Go1Error):
    """A contract that contradicts itself, or does not fit the robot or the runner."""


@dataclass(frozen=True)
class CommandTerm:
    """One command input: its unit and the range that the policy was trained for.

    Attributes:
        slew_per_s: how fast the value that the policy follows moves to the one commanded [unit/s]; None: at once. It
            starts at zero, for a robot that begins to walk stands; at `rest` if the contract holds its commands.
        neutral: what stands for "nothing special" while the robot stands or is steered by sticks; None: zero, or the
            nearest value in the range. A gait phase needs it: zero is a gait of its own.
    """

    name: str
    unit: str
    lower: float
    upper: float
    slew_per_s: Optional[float] = None
    neutral: Optional[float] = None

    @property
    def rest(self) -> float:
        """The neutral value; without one zero, or what is nearest to it in the range."""
        return min(max(0.0, self.lower), self.upper) if self.neutral is None else self.neutral


@dataclass(frozen=True)
class ObservationTerm:
    """One block of an observation frame: `scale` times the quantity, elementwise where several scales are given."""

    name: str
    scale: Tuple[float, ...]


@dataclass(frozen=True)
class GaitClock:
    """A phase in [0, 1) that the graph advances by frequency / control_hz each step, seen through sines.

    Attributes:
        frequency: Hz, or the name of the command term that holds it.
        channels: for each channel the names of the command terms that are added to its phase.
        waveform: `sin` gives one value a channel, `sin_cos` two.
        stand_below: the clock shows zeros while the first three commands' norm is below this; 0 keeps it always on.
        settle_s: for how long it still shows its phase after that norm has fallen below: a robot that is told to stand
            brakes in steps, and does not tip over feet that have stopped before it. One just reset stands.
    """

    frequency: Union[float, str]
    channels: Tuple[Tuple[str, ...], ...]
    waveform: str
    stand_below: float
    settle_s: float = 0.0

    @property
    def width(self) -> int:
        return len(self.channels) * (2 if self.waveform == "sin_cos" else 1)
