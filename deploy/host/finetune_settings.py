"""How online fine-tuning goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from policy.uni_o4.online import ModelSettings, OnlineSettings

OnlineMethod = Literal["ensemble", "ppo"]


@dataclass(frozen=True)
class FinetuneSettings:
    """Rounds, steps, and how each round learns.

    Attributes:
        steps: policy steps to log in all. rounds: equal parts of them, each followed by an update.
        method: `ensemble` refits the transition model to everything logged and improves inside it, the default;
            `ppo` is PPO on the round's own steps (see `OnlineSettings` for the paper's).
        earlier_data: data sets logged before, under the same contract; `ensemble` learns from them too.
        seed: of the logging: commands and exploration. The learner draws from `online.seed`.
    """

    steps: int
    rounds: int = 2
    method: OnlineMethod = "ensemble"
    earlier_data: tuple[Path, ...] = ()
    seed: int = 0
    threads: int = 2
    online: OnlineSettings = field(default_factory=OnlineSettings)
    model: ModelSettings = field(default_factory=ModelSettings)
