"""Settings of the velocity task, without the task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from policy.rewards import RewardWeights
from sim.randomization import Randomization
from sim.shaping import ShapingWeights
from sim.terrain.settings import TerrainSettings


@dataclass(frozen=True)
class VelocityTaskSettings:
    """The task's settings; all of them are written beside a run.

    Attributes:
        episode_s: time limit; ends as a time-out, not as a fall.
        fall_height_m: above the ground; below it, or past the robot's tilt limit, the episode ends in a fall.
        terrain: None is a flat floor.
    """

    num_envs: int = 1024
    seed: int = 1
    episode_s: float = 20.0
    fall_height_m: float = 0.12
    randomization: Randomization = field(default_factory=Randomization)
    reward: RewardWeights = field(default_factory=RewardWeights)
    shaping: ShapingWeights = field(default_factory=ShapingWeights)
    terrain: Optional[TerrainSettings] = None
