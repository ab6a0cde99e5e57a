"""PPO carried on from a bundle in a condition itself: the return that refinement on logs is measured against."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Optional

import torch

from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import TwinCondition
from sim.pretrain import PpoRunner, Progress, copy_actor
from sim.pretrain_settings import PretrainSettings
from sim.twin_batch.engine import TwinEngine, condition_randomization
from sim.velocity_task import VelocityTask, VelocityTaskSettings


@dataclass(frozen=True)
class OracleSettings:
    """Settings of the trainer where they differ from those of learning to walk from nothing.

    Attributes:
        steps: environment steps in all. robots: side by side.
        initial_std: of the actions. Smaller than for a policy that cannot walk yet; and the first steps must leave the
            critic, which starts from nothing, time before they can spoil the gait: hence the small rate and KL.
    """

    steps: int = 2_000_000
    robots: int = 512
    initial_std: float = 0.3
    entropy_weight: float = 0.004
    learning_rate: float = 2e-4
    desired_kl: float = 0.008
    seed: int = 1
    threads: int = 2

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


def train_oracle(
    start: PolicyGraph,
    condition: TwinCondition,
    out: Path,
    settings: OracleSettings = OracleSettings(),
    progress: Optional[Progress] = None,
) -> PolicyGraph:
    """Carry PPO on from `start` on the twins of `condition`; files beside as from `pretrain`, into `out`.

    Returns:
        The policy under `start`'s contract, its standard deviations those of `start`.

    Raises:
        TwinBatchError: a condition that cannot be trained on, see `TwinEngine`.
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
    runner = PpoRunner(VelocityTask(trainer.task, robot, graph, engine), trainer, out, progress)
    _load_start(runner, start, settings.initial_std)
    runner.learn(trainer.iterations, init_at_random_ep_len=True)
    copy_actor(runner.alg.actor.state_dict(), actor)
    with torch.no_grad():
        actor.log_std.copy_(start.actor.log_std)
    return PolicyGraph(contract, actor)


def _load_start(runner: PpoRunner, start: PolicyGraph, std: float) -> None:
    """The trainer's actor becomes `start`'s mean with this standard deviation."""
    state = runner.alg.actor.state_dict()
    for name, value in start.actor.state_dict().items():
        if name.startswith("mean_network."):
            state[name.replace("mean_network.", "mlp.")] = value
    state["distribution.log_std_param"] = torch.full_like(state["distribution.log_std_param"], math.log(std))
    runner.alg.actor.load_state_dict(state)
