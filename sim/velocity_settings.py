"""Settings of the velocity task, without the task."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from policy.rewards import RewardWeights
from policy.uni_o4.settings import require
from sim.randomization import Randomization, control_step_s
from sim.shaping import ShapingWeights
from sim.terrain.settings import TerrainSettings

_LONGEST_EPISODE_S = 1e6


@dataclass(frozen=True)
class VelocityTaskSettings:
    """The task's settings; all of them are written beside a run.

    Attributes:
        episode_s: time limit, at least a control step; ends as a time-out, not as a fall.
        fall_height_m: above the ground; below it, or past the robot's tilt limit, the episode ends in a fall.
        terrain: None is a flat floor.

    Raises:
        SettingsError: no task can have them.
    """

    num_envs: int = 1024
    seed: int = 1
    episode_s: float = 20.0
    fall_height_m: float = 0.12
    randomization: Randomization = field(default_factory=Randomization)
    reward: RewardWeights = field(default_factory=RewardWeights)
    shaping: ShapingWeights = field(default_factory=ShapingWeights)
    terrain: Optional[TerrainSettings] = None

    def __post_init__(self) -> None:
        require(self, "num_envs", 1)
        require(self, "seed", 0)
        require(self, "episode_s", control_step_s(), _LONGEST_EPISODE_S)
        require(self, "fall_height_m", 0.0, 1.0)
