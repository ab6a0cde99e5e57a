"""What a refinement does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from policy.uni_o4.cloning import CloningSettings
from policy.uni_o4.critics import CriticSettings
from policy.uni_o4.dynamics import DynamicsSettings
from policy.uni_o4.offline import EnsembleSettings
from policy.uni_o4.published import PublishedSettings
from policy.uni_o4.published_sizes import PAPER_CLONING, PAPER_CRITICS
from policy.uni_o4.value import ValueSettings

Method = Literal["ensemble", "uni_o4"]


@dataclass(frozen=True)
class RefineSettings:
    """Settings of all stages.

    Attributes:
        method: `ensemble` is PPO inside the transition model, the default; `uni_o4` follows
            the paper: an ensemble cloned from the logs, IQL critics, AM-Q gate, in the paper's sizes. A policy that is
            given is what its members have to be better than, not one of them.
        seed: of the one generator.
        threads: torch threads.
        cloning: of the start by `ensemble`, where no policy is given. published_cloning, critics: of `uni_o4`.
    """

    method: Method = "ensemble"
    seed: int = 0
    threads: int = 2
    cloning: CloningSettings = field(default_factory=CloningSettings)
    value: ValueSettings = field(default_factory=ValueSettings)
    dynamics: DynamicsSettings = field(default_factory=DynamicsSettings)
    improvement: EnsembleSettings = field(default_factory=EnsembleSettings)
    published_cloning: CloningSettings = PAPER_CLONING
    critics: CriticSettings = PAPER_CRITICS
    published: PublishedSettings = field(default_factory=PublishedSettings)

    @property
    def clones(self) -> CloningSettings:
        """How the chosen method clones."""
        return self.published_cloning if self.method == "uni_o4" else self.cloning


DEFAULT_REFINEMENT = RefineSettings()
