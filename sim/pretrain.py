"""Pretraining: rsl_rl's PPO on the velocity task, from nothing to a sealed bundle.

go1 sim train --out runs/pretrain --seed 1
"""

from __future__ import annotations

import csv
import json
import math
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Callable, Mapping, Optional

import torch
from rsl_rl.runners import OnPolicyRunner
from safetensors.torch import load_file, save_file

from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot
from sim.engines.choice import make_engine
from sim.mirror import Mirror
from sim.pretrain_settings import PretrainSettings
from sim.terrain.grid import build_grid
from sim.velocity_task import VelocityTask

Progress = Callable[[int, int, dict[str, float]], None]


def pretrain(settings: PretrainSettings, out: Path, progress: Optional[Progress] = None) -> PolicyGraph:
    """Train from scratch; writes settings.json, curve.csv and trainer.safetensors into `out`; returns the policy."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "settings.json").write_text(json.dumps(asdict(settings), indent=1))
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.task.seed)
    robot = load_robot()
    contract = velocity_contract(robot)
    actor = GaussianActor(contract.observation_dim, contract.action_dim, settings.actor_hidden, settings.initial_std)
    # In training commands jump: the policy meets harder changes than its bundle lets through.
    graph = PolicyGraph(contract.without_slew(), actor).requires_grad_(False)
    terrain = settings.task.terrain
    grid = build_grid(terrain, settings.task.seed) if terrain is not None else None
    engine = make_engine(settings.engine, robot, settings.task.num_envs, grid.field if grid is not None else None)
    task = VelocityTask(settings.task, robot, graph, engine, grid)
    runner = PpoRunner(task, settings, out, progress)
    runner.learn(settings.iterations, init_at_random_ep_len=True)
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
    contract = velocity_contract(load_robot())
    actor = GaussianActor(contract.observation_dim, contract.action_dim, settings.actor_hidden, settings.initial_std)
    copy_actor(weights, actor)
    return with_deployed_std(PolicyGraph(contract, actor), settings.deployed_std)


class PpoRunner(OnPolicyRunner):
    """rsl_rl's runner with our curve file in place of its console log, and safetensors in place of pickles."""

    def __init__(self, task: VelocityTask, settings: PretrainSettings, out: Path, progress: Optional[Progress]) -> None:
        configuration = _runner_configuration(settings)
        if settings.mirror:
            mirror = Mirror(task.contract, load_robot())
            configuration["algorithm"]["symmetry_cfg"] = {
                "data_augmentation_func": mirror.augment,
                "use_data_augmentation": True,
            }
        super().__init__(task, configuration, log_dir=None, device="cpu")
        self.logger = _CurveLog(out, settings, progress, self.save)

    def save(self, path: str, infos: Optional[dict[str, Any]] = None) -> None:
        """Weights of actor and critic, and Adam's moments, as one safetensors file."""
        state = self.alg.save()
        tensors = {f"actor.{k}": v for k, v in state["actor_state_dict"].items()}
        tensors.update({f"critic.{k}": v for k, v in state["critic_state_dict"].items()})
        for index, moments in state["optimizer_state_dict"]["state"].items():
            tensors.update({f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in moments.items()})
        metadata = {"iteration": str(self.current_learning_iteration), "learning_rate": repr(self.alg.learning_rate)}
        part = f"{path}.part"
        save_file({k: v.contiguous().clone() for k, v in tensors.items()}, part, metadata=metadata)
        os.replace(part, path)


class _CurveLog:
    """The part of rsl_rl's Logger that its runner calls: one row of curve.csv an iteration, and TensorBoard."""

    def __init__(
        self, out: Path, settings: PretrainSettings, progress: Optional[Progress], save: Callable[[str], None]
    ) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.log_dir = str(out)
        self.writer = None  # rsl_rl's runner would write pickles if this were set
        self._board = SummaryWriter(str(out / "tensorboard"))
        self._curve = out / "curve.csv"
        self._curve.unlink(missing_ok=True)
        self._checkpoint = str(out / "trainer.safetensors")
        self._settings = settings
        self._progress = progress
        self._save = save
        self._start = time.monotonic()
        self._rewards: list[torch.Tensor] = []
        self._logs: list[dict[str, torch.Tensor]] = []
        self._columns: list[str] = []

    def init_logging_writer(self) -> None:
        """Nothing to do: everything is open already."""

    def process_env_step(self, rewards: torch.Tensor, dones: torch.Tensor, extras: dict[str, Any], _: Any) -> None:
        self._rewards.append(rewards.mean())
        self._logs.append(extras["log"])

    def log(self, it: int, loss_dict: dict[str, float], action_std: torch.Tensor, **rest: Any) -> None:
        settings = self._settings
        steps = (it + 1) * settings.steps_per_iteration * settings.task.num_envs
        row = {"steps": float(steps), "wall_s": time.monotonic() - self._start}
        row["reward_per_step"] = float(torch.stack(self._rewards).mean())
        row["action_std"] = float(action_std.detach().mean())
        row["learning_rate"] = float(rest["learning_rate"])
        row.update({f"loss_{name}": float(value) for name, value in loss_dict.items()})
        for name in sorted({name for log in self._logs for name in log}):
            row[name[1:]] = float(torch.stack([log[name] for log in self._logs if name in log]).mean())
        self._rewards, self._logs = [], []
        self._write(row)
        for name, value in row.items():
            self._board.add_scalar(name, value, steps)
        if self._progress is not None:
            self._progress(it + 1, settings.iterations, row)
        if (it + 1) % settings.save_every == 0 or it + 1 == settings.iterations:
            self._save(self._checkpoint)

    def _write(self, row: dict[str, float]) -> None:
        new = not self._curve.exists()
        if new:
            self._columns = list(row)
        with open(self._curve, "a", newline="") as stream:
            writer = csv.DictWriter(stream, self._columns, restval="", extrasaction="ignore")
            if new:
                writer.writeheader()
            writer.writerow({name: f"{value:.6g}" for name, value in row.items()})


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
