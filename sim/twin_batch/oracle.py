"""PPO carried on from a bundle in a condition itself: the return that refinement on logs is measured against.

It is a reference, not an upper bound. What PPO climbs is the task's reward with its shaping (`sim.shaping`), what is
measured afterwards is the reward alone; so the policy is looked at now and then on twins held out for that, by the
measure, and the best look is kept, the start included.
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Optional

import numpy as np
import torch

from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import TwinCondition
from sim.pretrain import PpoRunner, Progress, copy_actor
from sim.pretrain_settings import PretrainSettings
from sim.twin_batch.engine import TwinEngine, condition_randomization
from sim.twin_batch.errors import TwinBatchError
from sim.twin_batch.evaluation import walk_episodes
from sim.twin_batch.twins import TwinBatch
from sim.velocity_settings import VelocityTaskSettings
from sim.velocity_task import VelocityTask


@dataclass(frozen=True)
class OracleSettings:
    """Settings of the trainer where they differ from those of learning to walk from nothing.

    Attributes:
        steps: environment steps in all. robots: side by side.
        look_every: iterations between two looks. held_out_episodes, held_out_seed: what is walked for a look.
        initial_std: of the actions. Smaller than for a policy that cannot walk yet; and the first steps must leave the
            critic, which starts from nothing, time before they can spoil the gait: hence the small rate and KL.
    """

    steps: int = 2_000_000
    robots: int = 512
    initial_std: float = 0.3
    entropy_weight: float = 0.004
    learning_rate: float = 2e-4
    desired_kl: float = 0.008
    look_every: int = 20
    held_out_episodes: int = 32
    held_out_seed: int = 600_000
    seed: int = 1
    threads: int = 2

    def __post_init__(self) -> None:
        for name in ("robots", "look_every", "held_out_episodes"):
            if getattr(self, name) < 1:
                raise TwinBatchError(f"{name} of at least 1", f"{getattr(self, name)}", "Correct the setting.")

    def for_trainer(self, condition: TwinCondition, actor: GaussianActor) -> PretrainSettings:
        """The trainer's own settings."""
        task = VelocityTaskSettings(
            num_envs=self.robots, seed=self.seed, randomization=condition_randomization(condition)
        )
        return PretrainSettings(
            steps=self.steps,
            actor_hidden=actor.hidden_dims,
            initial_std=self.initial_std,
            entropy_weight=self.entropy_weight,
            learning_rate=self.learning_rate,
            desired_kl=self.desired_kl,
            threads=self.threads,
            task=task,
        )


@dataclass(frozen=True, eq=False)
class Oracle:
    """The best policy that was looked at.

    Attributes:
        graph: under the start's contract, its standard deviations those of the start.
        iteration: after which it was; 0 is the start itself.
        held_out_return: its mean return over the held-out episodes; the largest of several noisy ones, so no measure
            of it: that takes other episodes.
        looks: iteration and mean return of each look.
    """

    graph: PolicyGraph
    iteration: int
    held_out_return: float
    looks: tuple[tuple[int, float], ...]


def train_oracle(
    start: PolicyGraph,
    condition: TwinCondition,
    out: Path,
    settings: OracleSettings = OracleSettings(),
    progress: Optional[Progress] = None,
) -> Oracle:
    """Carry PPO on from `start` on the twins of `condition`; files beside as from `pretrain`, into `out`.

    Raises:
        TwinBatchError: a condition that cannot be trained on, see `require_trainable`.
    """
    out.mkdir(parents=True, exist_ok=True)
    trainer = settings.for_trainer(condition, start.actor)
    (out / "settings.json").write_text(json.dumps(asdict(trainer), indent=1))
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    robot = load_robot()
    contract = start.contract
    actor = GaussianActor(contract.observation_dim, contract.action_dim, start.actor.hidden_dims, settings.initial_std)
    graph = PolicyGraph(contract.without_slew(), actor).requires_grad_(False)
    engine = TwinEngine(condition, robot, settings.robots, settings.seed, settings.threads)
    looks = _Looks(start, condition, settings)

    def look_and_tell(iteration: int, iterations: int, row: dict[str, float]) -> None:
        if iteration % settings.look_every == 0 or iteration == iterations:
            looks.look(iteration, runner.alg.actor.state_dict())
        if progress is not None:
            progress(iteration, iterations, row)

    runner = PpoRunner(VelocityTask(trainer.task, robot, graph, engine), trainer, out, look_and_tell)
    _load_start(runner, start, settings.initial_std)
    looks.look(0, runner.alg.actor.state_dict())
    runner.learn(trainer.iterations, init_at_random_ep_len=True)
    (out / "looks.json").write_text(json.dumps(looks.seen, indent=1))
    return looks.best()


class _Looks:
    """Walks held-out episodes with the policy as it is, and keeps the best one."""

    def __init__(self, start: PolicyGraph, condition: TwinCondition, settings: OracleSettings) -> None:
        self._start = start
        seeds = [settings.held_out_seed * 100_000 + index for index in range(settings.held_out_episodes)]
        self._seeds, self._twins = seeds, TwinBatch(condition, seeds, settings.threads)
        self.seen: list[tuple[int, float]] = []
        self._best = start

    def look(self, iteration: int, trained: Mapping[str, torch.Tensor]) -> None:
        """Measure rsl_rl's actor after this iteration."""
        graph = copy.deepcopy(self._start)
        copy_actor(trained, graph.actor)
        with torch.no_grad():
            graph.actor.log_std.copy_(self._start.actor.log_std)
        self._twins.reset(np.arange(self._twins.count))
        walked = walk_episodes(graph, self._twins, self._seeds)
        mean = float(np.mean([episode.episode_return for episode in walked]))
        if not self.seen or mean > max(before for _, before in self.seen):
            self._best = graph
        self.seen.append((iteration, mean))

    def best(self) -> Oracle:
        """What the looks came to; the first of equals."""
        iteration, held_out_return = max(self.seen, key=lambda look: look[1])
        return Oracle(self._best, iteration, held_out_return, tuple(self.seen))


def _load_start(runner: PpoRunner, start: PolicyGraph, std: float) -> None:
    """The trainer's actor becomes `start`'s mean with this standard deviation."""
    state = runner.alg.actor.state_dict()
    for name, value in start.actor.state_dict().items():
        if name.startswith("mean_network."):
            state[name.replace("mean_network.", "mlp.")] = value
    state["distribution.log_std_param"] = torch.full_like(state["distribution.log_std_param"], math.log(std))
    runner.alg.actor.load_state_dict(state)
