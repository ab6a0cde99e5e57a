"""Modes and the ramps between them: DAMP -> STAND -> WALK -> HALT -> STAND -> SIT -> DAMP, and FAULT from anywhere.

DAMP ──► STAND ──► WALK        every mode ──► DAMP (it is always allowed to let go)
 ▲        ▲▼ ▲      ▼          every mode ──► FAULT (the gate decides); FAULT ──► DAMP by re-arming only
 └─────── SIT └── HALT

No ramp begins in a stride: out of a fast walk it threw the twin over. So WALK leads to HALT, in which the policy brings
the robot to rest, and only from there to the ramps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, FrozenSet, Optional

import numpy as np

from deploy.onboard.remote import Key
from deploy.onboard.target import JointTarget, Mode
from deploy.onboard.wire import RobotState
from robot_configs.errors import Go1Error
from robot_configs.robot import RobotModel

ALLOWED_NEXT: Dict[Mode, FrozenSet[Mode]] = {
    Mode.DAMP: frozenset({Mode.STAND}),
    Mode.STAND: frozenset({Mode.WALK, Mode.SIT, Mode.DAMP}),
    Mode.WALK: frozenset({Mode.HALT, Mode.DAMP}),
    Mode.HALT: frozenset({Mode.STAND, Mode.DAMP}),
    Mode.SIT: frozenset({Mode.STAND, Mode.DAMP}),
    Mode.FAULT: frozenset({Mode.DAMP}),
}

MAY_BE_ASKED_FOR: Dict[Mode, FrozenSet[Mode]] = {
    **{mode: following - {Mode.HALT} for mode, following in ALLOWED_NEXT.items()},
    Mode.WALK: frozenset({Mode.STAND, Mode.SIT, Mode.DAMP}),
    Mode.HALT: frozenset({Mode.STAND, Mode.SIT, Mode.DAMP}),
}
"""What a person may ask for: a mode that may come next, or one that coming to rest leads to."""

MODE_KEYS = (
    (frozenset({Key.L2, Key.A}), Mode.STAND),
    (frozenset({Key.START}), Mode.WALK),
    (frozenset({Key.L2, Key.X}), Mode.SIT),
    (frozenset({Key.L2, Key.Y}), Mode.DAMP),
)
"""Chords of the remote and what they ask for; DAMP also re-arms after a fault. The stop key is `gate.STOP_KEY`."""


class ModeError(Go1Error):
    """A mode was asked for that cannot follow the present one."""


@dataclass(frozen=True)
class ModeSettings:
    """Durations of the ramps [s]."""

    gain_ramp_s: float = 0.4
    """The measured pose is held while Kp rises from zero: a step to full gains can brown the boards out (published)."""
    move_s: float = 1.2
    """Then the joints move to the goal pose, starting and ending at rest."""
    settle_s: float = 0.4
    """Then the goal pose is held this long before the ramp counts as finished."""

    def __post_init__(self) -> None:
        for name in ("gain_ramp_s", "move_s"):
            if not getattr(self, name) > 0.0:
                raise ModeError(f"{name} above 0 s", f"{getattr(self, name)}", "Give the ramp some time.")
        if not self.settle_s >= 0.0:
            raise ModeError("settle_s of at least 0 s", f"{self.settle_s}", "Correct the setting.")

    @property
    def total_s(self) -> float:
        """From the mode's first tick to the end of its ramp [s]."""
        return self.gain_ramp_s + self.move_s + self.settle_s


def smooth_step(fraction: float) -> float:
    """Quintic from 0 to 1 with zero velocity and acceleration at both ends; clamped outside [0, 1]."""
    x = min(max(fraction, 0.0), 1.0)
    return x * x * x * (x * (6.0 * x - 15.0) + 10.0)


def requested_mode(keys: FrozenSet[Key]) -> Optional[Mode]:
    """The mode that the pressed keys ask for, or None."""
    for chord, mode in MODE_KEYS:
        if chord <= keys:
            return mode
    return None


class PoseRamp:
    """Set points that lead from a measured pose to a goal pose, and from the gains of before to the stand's.

    From rest first the gains rise, then the joints move; out of a motion, where the motors carry it, both do so
    at once.

    Args:
        start: measured joint positions (12,) [rad].
        goal: joint positions (12,) [rad].
        before: what the motors followed up to now; None: they were damping, so Kp starts at zero.
    """

    def __init__(
        self,
        robot: RobotModel,
        start: np.ndarray,
        goal: np.ndarray,
        settings: ModeSettings,
        before: Optional[JointTarget],
    ) -> None:
        self._start = np.array(start, dtype=np.float64)
        self._goal = goal
        self._gain_ramp_s, self._move_s = settings.gain_ramp_s, settings.move_s
        self._move_from_s = settings.gain_ramp_s if before is None else 0.0
        self.duration_s = max(self._move_from_s + settings.move_s, settings.gain_ramp_s) + settings.settle_s
        self._stiffness = np.full(len(goal), robot.stand.stiffness)
        self._damping = np.full(len(goal), robot.stand.damping)
        self._first_stiffness = np.zeros(len(goal)) if before is None else before.stiffness.copy()
        self._first_damping = self._damping if before is None else before.damping.copy()
        self._validity_s = robot.safety.target_age_limit_s

    def target(self, elapsed_s: float, time_s: float) -> JointTarget:
        """The set points `elapsed_s` after the ramp began, for the clock time `time_s`."""
        moved = smooth_step((elapsed_s - self._move_from_s) / self._move_s)
        position = self._start + moved * (self._goal - self._start)
        risen = smooth_step(elapsed_s / self._gain_ramp_s)
        stiffness = self._first_stiffness + risen * (self._stiffness - self._first_stiffness)
        damping = self._first_damping + risen * (self._damping - self._first_damping)
        return JointTarget(position, stiffness, damping, time_s + self._validity_s)


class ModeMachine:
    """Holds the mode, allows or refuses changes, and gives the targets of the modes that are ramps."""

    def __init__(self, robot: RobotModel, settings: ModeSettings) -> None:
        self._robot = robot
        self._settings = settings
        self._ramp: Optional[PoseRamp] = None
        self.mode = Mode.DAMP
        self.entered_s = 0.0

    def allows(self, mode: Mode) -> bool:
        """Whether `mode` may follow the present one."""
        return mode in ALLOWED_NEXT[self.mode]

    def enter(
        self, mode: Mode, state: Optional[RobotState], time_s: float, before: Optional[JointTarget] = None
    ) -> None:
        """Change the mode; STAND and SIT start from `state`'s pose and the gains of `before`, the newest target.

        Raises:
            ModeError: the change is not allowed, or a ramp has no state to start from.
        """
        if not self.allows(mode):
            names = ", ".join(sorted(allowed.name for allowed in ALLOWED_NEXT[self.mode]))
            raise ModeError(f"one of {names} after {self.mode.name}", mode.name, "Go through the modes in order.")
        goals = {Mode.STAND: self._robot.stand_position, Mode.SIT: self._robot.sit_position}
        self._ramp = None
        if mode in goals:
            if state is None:
                raise ModeError(
                    f"a measured pose to start {mode.name} from", "no state yet", "Wait for the first state."
                )
            self._ramp = PoseRamp(self._robot, state.joint_position, goals[mode], self._settings, before)
        self.mode, self.entered_s = mode, time_s

    def fault(self, time_s: float) -> None:
        """The gate has latched: whatever was going on is over."""
        self.mode, self.entered_s, self._ramp = Mode.FAULT, time_s, None

    def ramp_target(self, time_s: float) -> Optional[JointTarget]:
        """The target of STAND or SIT; None in the modes that have no ramp."""
        return self._ramp.target(time_s - self.entered_s, time_s) if self._ramp is not None else None

    def ramp_finished(self, time_s: float) -> bool:
        """Whether the ramp has arrived and settled (False in the modes that have none)."""
        return self._ramp is not None and time_s - self.entered_s >= self._ramp.duration_s
