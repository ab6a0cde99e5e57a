"""How much of everything the benchmark does: the budget that results are made with, and a tiny one to try it out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from benchmarks.uni_o4.finetune_settings import FinetuneSettings
from benchmarks.uni_o4.fitted_q import FittedQSettings
from benchmarks.uni_o4.ope_settings import OpeSettings
from benchmarks.uni_o4.ours import OurSettings
from benchmarks.uni_o4.peers import PeerSettings
from benchmarks.uni_o4.policy_zoo import ZooSettings
from benchmarks.uni_o4.recipe import DataRecipe, SacSettings
from benchmarks.uni_o4.robots import BenchmarkError
from policy.uni_o4.cloning import CloningSettings
from policy.uni_o4.critics import CriticSettings
from policy.uni_o4.dynamics import DynamicsSettings
from policy.uni_o4.evaluation import EvaluationSettings
from policy.uni_o4.offline import EnsembleSettings
from policy.uni_o4.ppo import PpoSettings
from policy.uni_o4.published import PublishedSettings
from policy.uni_o4.value import ValueSettings


@dataclass(frozen=True)
class Budget:
    """Settings of every part.

    Attributes:
        recipe: of the data; its robot is replaced by the one asked for.
        peers, ours: offline learning. ope: offline evaluation. online: fine-tuning.
        episodes: of a final evaluation, and of each point of an online curve. curve_episodes: of an offline curve's.
    """

    recipe: DataRecipe = DataRecipe("halfcheetah")
    peers: PeerSettings = PeerSettings()
    ours: OurSettings = field(default_factory=OurSettings)
    ope: OpeSettings = field(default_factory=OpeSettings)
    online: FinetuneSettings = FinetuneSettings()
    episodes: int = 10
    curve_episodes: int = 3

    def recipe_of(self, robot: str) -> DataRecipe:
        """The recipe of one robot's data."""
        return replace(self.recipe, robot=robot)


def smoke_budget() -> Budget:
    """Every part in seconds, on data of a policy that has hardly learned anything: the figures mean nothing."""
    few = EvaluationSettings(starts=200, horizon=5, resamples=100)
    return Budget(
        recipe=DataRecipe(
            "hopper",
            sac=SacSettings(hidden_dims=(64, 64), batch_size=64, random_steps=500),
            medium_score=0.5,
            evaluation_interval=500,
            evaluation_episodes=2,
            expert_steps=2000,
            logged_steps=2000,
        ),
        peers=PeerSettings(updates=200, cloning_updates=200, watch_interval=100),
        ours=OurSettings(
            cloning=CloningSettings(epochs=3),
            value=ValueSettings(hidden_dims=(64, 64), rounds=4, batch_size=256),
            dynamics=DynamicsSettings(members=3, elites=2, hidden_dims=(64, 64), epochs=3, batch_size=128),
            improvement=EnsembleSettings(
                iterations=3, branches=200, horizon=5, ppo=PpoSettings(minibatch_size=512), evaluation=few
            ),
            critics=CriticSettings(updates=100),
            published=PublishedSettings(updates=20, gate_interval=10, evaluation=few),
        ),
        ope=OpeSettings(
            zoo=ZooSettings(path_iterations=24, path_stride=3, published_updates=(10, 20)),
            fitted_q=FittedQSettings(members=2, hidden_dims=(32, 32), updates=50),
            logged_starts=replace(few, exploration=0.0),
            initial_starts=32,
            horizon=20,
            episodes=2,
        ),
        online=FinetuneSettings(steps=1000, iteration_steps=400, episodes_beside=2, evaluation_interval=400),
        episodes=2,
        curve_episodes=1,
    )


def budget_named(name: str) -> Budget:
    """`standard` or `smoke`.

    Raises:
        BenchmarkError: there is no such budget.
    """
    budgets = {"standard": Budget, "smoke": smoke_budget}
    if name not in budgets:
        raise BenchmarkError(f"a budget of {', '.join(budgets)}", repr(name), "Correct the name.")
    return budgets[name]()
