"""Long motions for engines that record a control step before they launch it."""

import torch

from sim.engines.protocol import Engine

_RECORDED = 50


def hold(engine: Engine, joint_target: torch.Tensor, steps: int) -> None:
    """One target for some physics steps, a multiple of `_RECORDED`; the same as in one call, which would record all."""
    assert steps % _RECORDED == 0
    for _ in range(steps // _RECORDED):
        engine.step(joint_target, _RECORDED)
