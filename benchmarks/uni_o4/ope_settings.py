"""How much the test of offline policy evaluation does."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.uni_o4.fitted_q import FittedQSettings
from benchmarks.uni_o4.policy_zoo import ZooSettings
from benchmarks.uni_o4.robots import EPISODE_STEPS
from policy.uni_o4.evaluation import EvaluationSettings
from policy.uni_o4.settings import require

WHOLE_EPISODES = EvaluationSettings(
    starts=32, horizon=EPISODE_STEPS, discount=1.0, exploration=0.0, outcome_noise=0.0, from_beginning=True,
    worst_member=True,
)  # fmt: skip
"""Whole episodes of the mean policy from logged first steps, as the model sees them, and V for who still stands."""


@dataclass(frozen=True)
class OpeSettings:
    """How policies are judged, and which.

    Attributes:
        zoo: the policies. fitted_q: of fitted Q evaluation.
        logged_starts: starts and 20-step horizon of `am_q` and `model_gain`.
        initial_starts: branches a model member: so many logged initial states, drawn at random; where there are fewer,
            several branches from each.
        horizon: steps of `model_return`. whole_episodes: starts and horizon of the estimator of that name.
        confidence: of the two-sided intervals. episodes: of the truth.
    """

    zoo: ZooSettings = field(default_factory=ZooSettings)
    fitted_q: FittedQSettings = field(default_factory=FittedQSettings)
    logged_starts: EvaluationSettings = EvaluationSettings(exploration=0.0)
    initial_starts: int = 256
    horizon: int = 100
    whole_episodes: EvaluationSettings = WHOLE_EPISODES
    confidence: float = 0.9
    episodes: int = 20

    def __post_init__(self) -> None:
        require(self, "initial_starts", 2)
        require(self, "horizon", 1)
        require(self, "confidence", 0.5, 0.999)
        require(self, "episodes", 2)
