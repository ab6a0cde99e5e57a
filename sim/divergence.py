"""Physics that diverges is said: by itself MuJoCo would put such a robot back to its start, and write that into a file.

That reset is switched off, in go1.xml and in the models of `sim.isaacgym_shim`, so that what diverged stays to be seen.
"""

from __future__ import annotations

import logging

import mujoco
import numpy as np

from robot_configs.errors import Go1Error

LARGEST_STATE = 1e6
"""Of places [m], angles [rad], velocities [m/s], [rad/s] and torques [Nm]: with more, physics has diverged. MuJoCo says
so from accelerations of 1e10 on (`mjMAXVAL`), which are 1e7 m/s after the twin's millisecond."""

_logger = logging.getLogger("mujoco")


class DivergedPhysicsError(Go1Error):
    """A simulated robot moves as nothing can."""


def diverged(velocities: np.ndarray) -> np.ndarray:
    """(N,) bool, which of N robots with velocities (N, K) [m/s], [rad/s] move as nothing can, or by no number."""
    # The comparison fails for what is not a number.
    rows: np.ndarray = ~(np.abs(velocities) <= LARGEST_STATE).all(axis=1)
    return rows


def divergence(who: str) -> DivergedPhysicsError:
    """The error that says it of a robot, or several."""
    expected = f"velocities of at most {LARGEST_STATE:g} m/s and rad/s"
    return DivergedPhysicsError(expected, f"physics of {who} that diverged", "Look at its condition and its commands.")


def hear_warnings() -> None:
    """Have MuJoCo's warnings logged under its name, instead of written to MUJOCO_LOG.TXT in the folder one is in.

    Who has asked MuJoCo for them before goes on getting them.
    """
    if mujoco.get_mju_user_warning() is None:
        mujoco.set_mju_user_warning(_logger.warning)
