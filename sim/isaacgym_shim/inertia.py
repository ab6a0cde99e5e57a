"""A body's inertia, as Isaac Gym has it and as MuJoCo does."""

from __future__ import annotations

import mujoco
import numpy as np

from sim.isaacgym_shim.errors import IsaacGymShimError


def principal(inertia: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Moments (3,) [kg m^2] about the principal axes, and the axes' rotation (4,), w x y z, in the body's frame.

    Args:
        inertia: (3, 3) [kg m^2] about the centre of mass, in the body's axes.
        name: of the body, for the error.

    Raises:
        IsaacGymShimError: no body has such an inertia: it is not symmetric, or a moment is not above zero.
    """
    moments, axes, rotation = np.zeros(3), np.zeros(9), np.zeros(4)
    mujoco.mju_eig3(moments, axes, rotation, np.ascontiguousarray(inertia, dtype=float).ravel())
    if not np.allclose(inertia, inertia.T, rtol=1e-5, atol=1e-9) or moments.min() <= 0.0:
        rows = np.array2string(inertia, separator=", ").replace("\n", "")
        expected = f"a symmetric inertia of {name} with moments above zero"
        raise IsaacGymShimError(expected, rows, "Give it about the centre of mass, in the body's axes.")
    return moments, rotation
