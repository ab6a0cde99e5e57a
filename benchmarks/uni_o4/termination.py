"""When an episode of a robot ends: what is unhealthy by Gymnasium's MuJoCo documentation of the v5 environments.

Known beforehand as on the Go1, where the safety gate's tilt limit ends an episode; models of the field are given it too
(MOPO, Yu et al. 2020; MOReL, Kidambi et al. 2020). The observation begins with height z [m] and trunk angle [rad].
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.uni_o4.robots import benchmark_robot
from policy.uni_o4.ensemble_rollouts import FallRule

_HEIGHT, _ANGLE = 0, 1


def never(physical: Tensor) -> Tensor:
    """(N, P) -> (N,) False."""
    return torch.zeros(len(physical), dtype=torch.bool)


def _hopper(physical: Tensor) -> Tensor:
    """z above 0.7, the angle within +-0.2, everything else within +-100."""
    healthy = (physical[:, _HEIGHT] > 0.7) & (physical[:, _ANGLE].abs() < 0.2)
    return ~healthy | (physical[:, 1:].abs() >= 100.0).any(1)


def _walker2d(physical: Tensor) -> Tensor:
    """z between 0.8 and 2.0, the angle within +-1."""
    height = physical[:, _HEIGHT]
    return ~((height > 0.8) & (height < 2.0) & (physical[:, _ANGLE].abs() < 1.0))


_RULES: dict[str, FallRule] = {"halfcheetah": never, "hopper": _hopper, "walker2d": _walker2d}


def termination_rule(robot: str) -> FallRule:
    """The rule of a robot by its name.

    Raises:
        BenchmarkError: there is no such robot.
    """
    return _RULES[benchmark_robot(robot).name]
