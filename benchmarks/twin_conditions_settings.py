"""What `benchmarks.twin_conditions` measures: conditions, stages, and the sizes of each stage."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.uni_o4.finetune_settings import FinetuneSettings as BenchmarkFinetuning
from benchmarks.uni_o4.finetune_settings import OnPolicySettings
from deploy.host.finetune_steps import LEAST_ROUND_STEPS
from deploy.host.refine_settings import RefineSettings
from policy.bundle import BUNDLES
from policy.uni_o4.online import ModelSettings, OnlineSettings
from robot_configs.errors import Go1Error
from sim.collect import CollectSettings
from sim.pretrain_settings import PretrainSettings
from sim.twin_batch.collect import BatchCollectSettings
from sim.twin_batch.oracle import OracleSettings

TUNED_CONDITIONS = ("latex", "payload")
"""On these, settings and stopping rules may be fixed: their figures are not what a target is judged by."""
REPORTED_CONDITIONS = ("ice", "weak_motor", "rough")
"""No setting has been chosen by a result on these."""
CONDITIONS = (*TUNED_CONDITIONS, *REPORTED_CONDITIONS)

STEADY_CONDITION = "latex"
"""Where the speed under a steady command is a target of its own."""
STEADY_CONDITIONS = (STEADY_CONDITION, "mattress")
"""Where it is measured; the springy mattress held the target's place before there was latex."""

OFFLINE_STAGES = ("refined", "published")
"""Ours and the published Uni-O4, round after round; the first round of both learns from the same log."""
ONLINE_STAGES = {"online": "refined", "published_online": "published"}
"""Online learning, and the offline stage whose last round it goes on from."""
STAGES = ("pre", "robust", *OFFLINE_STAGES, *ONLINE_STAGES, "oracle")


class ConditionBenchmarkError(Go1Error):
    """Results that do not belong together, or sizes of nothing."""


def _require_one_at_least(name: str, value: int) -> None:
    if value < 1:
        raise ConditionBenchmarkError(f"{name} of at least 1", f"{value}", "Raise it.")


@dataclass(frozen=True)
class OnlineStage:
    """Online learning on the twin, through the wire.

    Attributes:
        steps: policy steps in all. looks: how often on the way the policy is measured, the end included.
        rounds: of ours, equal parts of the steps. learner, model: of ours.
        published: the published learner, and its steps between two updates; as `benchmarks.uni_o4` has it.
        collect: how the twins log.
    """

    steps: int = 100_000
    looks: int = 5
    rounds: int = 5
    learner: OnlineSettings = OnlineSettings()
    model: ModelSettings = ModelSettings()
    published: OnPolicySettings = BenchmarkFinetuning().published
    collect: CollectSettings = CollectSettings(episode_s=10.0)

    def __post_init__(self) -> None:
        for name in ("steps", "looks", "rounds"):
            _require_one_at_least(name, getattr(self, name))
        if self.rounds % self.looks:
            raise ConditionBenchmarkError(
                f"rounds that {self.looks} looks divide into equal parts", f"{self.rounds}", "Change one of them."
            )

    @property
    def published_rounds(self) -> int:
        """As many updates as the published learner makes of these steps."""
        return max(self.looks, round(self.steps / self.published.iteration_steps))

    def round_at(self, look: int, rounds: int) -> int:
        """Number of the round after which a look is taken; the last look is at the last round."""
        return round(look * rounds / self.looks)


@dataclass(frozen=True)
class ConditionBenchmark:
    """Sizes of the benchmark.

    Attributes:
        bundle: R_pre, the policy that was pretrained on flat, firm ground with ordinary randomisation.
        robust: the policy that was pretrained on all kinds of ground; measured beside it, and not learned from.
        log_steps: policy steps a round. rounds: of logging and refining, each on all logs so far.
        episodes: walks that a policy is measured on, of `episode_s` seconds.
        threads: of physics and torch.
        refine, published: ours and the published Uni-O4.
    """

    bundle: Path = BUNDLES / "go1_velocity_flat.go1policy"
    robust: Path = BUNDLES / "go1_velocity.go1policy"
    log_steps: int = 60_000
    rounds: int = 2
    episodes: int = 128
    episode_s: float = 10.0
    threads: int = 2
    collect: BatchCollectSettings = field(default_factory=BatchCollectSettings)
    refine: RefineSettings = field(default_factory=RefineSettings)
    published: RefineSettings = RefineSettings(method="uni_o4")
    online: OnlineStage = OnlineStage()
    oracle: OracleSettings = field(default_factory=OracleSettings)

    def __post_init__(self) -> None:
        for name in ("log_steps", "rounds", "episodes", "threads"):
            _require_one_at_least(name, getattr(self, name))

    def learning(self, stage: str) -> RefineSettings:
        """How one of `OFFLINE_STAGES` learns."""
        return self.refine if stage == "refined" else self.published

    def scaled(self, share: float) -> ConditionBenchmark:
        """The same with this share of the learning stages' rounds, epochs, iterations and steps, at least one each."""

        def some(count: int) -> int:
            return max(1, math.ceil(share * count))

        robots = some(self.oracle.robots)
        one_iteration = PretrainSettings.steps_per_iteration * robots
        held_out = some(self.oracle.held_out_episodes)
        oracle = replace(
            self.oracle, robots=robots, steps=max(some(self.oracle.steps), one_iteration), held_out_episodes=held_out
        )
        online = self.online
        fewest = LEAST_ROUND_STEPS * max(online.rounds, online.looks)
        model = replace(
            online.model,
            value=replace(online.model.value, rounds=some(online.model.value.rounds)),
            dynamics=replace(online.model.dynamics, epochs=some(online.model.dynamics.epochs)),
            improvement=replace(online.model.improvement, iterations=some(online.model.improvement.iterations)),
        )
        return replace(
            self,
            log_steps=some(self.log_steps),
            refine=_some_refining(self.refine, some),
            published=_some_refining(self.published, some),
            online=replace(online, steps=max(some(online.steps), fewest), model=model),
            oracle=oracle,
        )


def _some_refining(settings: RefineSettings, some: Callable[[int], int]) -> RefineSettings:
    """A refinement with part of its work."""
    value, dynamics, improvement = settings.value, settings.dynamics, settings.improvement
    cloning, critics, published = settings.published_cloning, settings.critics, settings.published
    return replace(
        settings,
        value=replace(value, rounds=some(value.rounds)),
        dynamics=replace(dynamics, epochs=some(dynamics.epochs)),
        improvement=replace(improvement, iterations=some(improvement.iterations)),
        published_cloning=replace(cloning, epochs=some(cloning.epochs)),
        critics=replace(critics, updates=some(critics.updates)),
        published=replace(published, updates=some(published.updates)),
    )
