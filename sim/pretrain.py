"""Pretraining: rsl_rl's PPO on the velocity task, from nothing to a sealed bundle.

go1 sim train --out runs/pretrain --seed 1
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Mapping, Optional

import torch
from rsl_rl.runners import OnPolicyRunner
from safetensors.torch import load_file

from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from policy.trainer_state import TrainerState, save_trainer_state
from robot_configs.robot import load_robot
from sim.curve_log import CurveLog, Progress
from sim.engines.choice import make_engine
from sim.mirror import Mirror
from sim.pretrain_checkpoint import (
    CHECKPOINT_FILE,
    curve_mark,
    iterations_done,
    make_checkpoint,
    open_folder,
    restore_checkpoint,
)
from sim.pretrain_settings import PretrainSettings
from sim.terrain.grid import build_grid
from sim.velocity_task import VelocityTask


def pretrain(settings: PretrainSettings, out: Path, progress: Optional[Progress] = None) -> PolicyGraph:
    """Train into `out`, or go on with what an interrupted run has left there; returns the policy.

    Writes settings.json, curve.csv, tensorboard/ and, every `save_every` iterations, trainer.safetensors. A run that
    goes on ends with the same weights and the same curve, bit for bit, as one that was never interrupted; where it has
    ended already, nothing is trained.

    Raises:
        PretrainFolderError: the folder holds another run, or one that can not go on.
    """
    checkpoint = open_folder(settings, out)
    done = iterations_done(checkpoint)
    if checkpoint is not None and done == settings.iterations:
        return policy_from_checkpoint(out / CHECKPOINT_FILE, settings)
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.task.seed)
    robot = load_robot()
    contract = settings.contract(robot)
    actor = GaussianActor(contract.observation_dim, contract.action_dim, settings.actor_hidden, settings.initial_std)
    # In training commands jump: the policy meets harder changes than its bundle lets through.
    graph = PolicyGraph(contract.without_slew(), actor).requires_grad_(False)
    terrain = settings.task.terrain
    grid = build_grid(terrain, settings.task.seed) if terrain is not None else None
    engine = make_engine(settings.engine, robot, settings.task.num_envs, grid.field if grid is not None else None)
    task = VelocityTask(settings.task, robot, graph, engine, grid)
    runner = PpoRunner(task, settings, out, progress, checkpoint)
    runner.learn(settings.iterations - done, init_at_random_ep_len=checkpoint is None)
    copy_actor(runner.alg.actor.state_dict(), graph.actor)
    return with_deployed_std(PolicyGraph(contract, actor), settings.deployed_std)


def with_deployed_std(graph: PolicyGraph, deployed_std: float) -> PolicyGraph:
    """The same policy with its standard deviations scaled to the given mean."""
    with torch.no_grad():
        graph.actor.log_std.add_(math.log(deployed_std / float(graph.actor.std().mean())))
    return graph


def copy_actor(source: Mapping[str, torch.Tensor], target: GaussianActor) -> None:
    """Into `target`, from the state of rsl_rl's actor under its own names."""
    names = [name for name in target.state_dict() if name.startswith("mean_network.")]
    state = {name: source[name.replace("mean_network.", "mlp.")] for name in names}
    target.load_state_dict({**state, "log_std": source["distribution.log_std_param"]})


def policy_from_checkpoint(path: Path, settings: PretrainSettings) -> PolicyGraph:
    """The policy in a `trainer.safetensors` that a run has written."""
    tensors = load_file(str(path))
    weights = {name[len("actor.") :]: value for name, value in tensors.items() if name.startswith("actor.")}
    contract = settings.contract(load_robot())
    actor = GaussianActor(contract.observation_dim, contract.action_dim, settings.actor_hidden, settings.initial_std)
    copy_actor(weights, actor)
    return with_deployed_std(PolicyGraph(contract, actor), settings.deployed_std)


class PpoRunner(OnPolicyRunner):
    """rsl_rl's runner with our curve file in place of its console log, and safetensors in place of pickles."""

    def __init__(
        self,
        task: VelocityTask,
        settings: PretrainSettings,
        out: Path,
        progress: Optional[Progress],
        checkpoint: Optional[TrainerState] = None,
    ) -> None:
        configuration = _runner_configuration(settings)
        if settings.mirror:
            mirror = Mirror(task.contract, load_robot())
            configuration["algorithm"]["symmetry_cfg"] = {
                "data_augmentation_func": mirror.augment,
                "use_data_augmentation": True,
            }
        super().__init__(task, configuration, log_dir=None, device="cpu")
        self._task, self._settings = task, settings
        self.logger = CurveLog(out, settings, progress, self.save, curve_mark(checkpoint))
        if checkpoint is not None:
            restore_checkpoint(self.alg, task, checkpoint)
            self.current_learning_iteration = iterations_done(checkpoint)

    def save(self, path: str, infos: Optional[dict[str, Any]] = None) -> None:
        """Everything that the run needs to go on, as one safetensors file."""
        checkpoint = make_checkpoint(self.alg, self._task, self._settings, self.logger.mark())
        save_trainer_state(Path(path), checkpoint)


def _runner_configuration(settings: PretrainSettings) -> dict[str, Any]:
    network = {"class_name": "MLPModel", "activation": "elu", "obs_normalization": False}
    gaussian = {"class_name": "GaussianDistribution", "init_std": settings.initial_std, "std_type": "log"}
    return {
        "num_steps_per_env": settings.steps_per_iteration,
        "save_interval": settings.iterations + 1,
        "obs_groups": {"actor": ["observation"], "critic": ["observation", "privileged"]},
        "actor": {**network, "hidden_dims": list(settings.actor_hidden), "distribution_cfg": gaussian},
        "critic": {**network, "hidden_dims": list(settings.critic_hidden)},
        "algorithm": {
            "class_name": "PPO",
            "num_learning_epochs": settings.epochs,
            "num_mini_batches": settings.minibatches,
            "clip_param": settings.clip,
            "gamma": settings.gamma,
            "lam": settings.gae_lambda,
            "entropy_coef": settings.entropy_weight,
            "learning_rate": settings.learning_rate,
            "schedule": "adaptive",
            "desired_kl": settings.desired_kl,
            "max_grad_norm": 1.0,
            "value_loss_coef": 1.0,
            "use_clipped_value_loss": True,
        },
    }
