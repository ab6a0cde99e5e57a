"""Pretraining: rsl_rl's PPO on the velocity task, from nothing to a sealed bundle.

go1 sim train --out runs/pretrain --seed 1
torchrun --nproc-per-node 2 -m sim.pretrain --out runs/pretrain --seed 1
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from pathlib import Path
from typing import Mapping, Optional

import torch
from safetensors.torch import load_file

from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from policy.run_lock import locked
from policy.trainer_state import TrainerState
from robot_configs.robot import load_robot
from sim.curve_log import CURVE_FILE, Progress, cut_back
from sim.distributed import Processes, joined_processes
from sim.earlier_run import EarlierRun, require_named_run
from sim.engines.choice import make_engine
from sim.nan_guard import GuardedVelocityTask
from sim.ppo_runner import PpoRunner
from sim.pretrain_checkpoint import CHECKPOINT_FILE, curve_mark, iterations_done, open_folder
from sim.pretrain_settings import PretrainSettings
from sim.scripted_trot import imitate_trot
from sim.terrain.grid import build_grid


def pretrain(
    settings: PretrainSettings, out: Path, progress: Optional[Progress] = None, earlier: Optional[EarlierRun] = None
) -> PolicyGraph:
    """Train into `out`, or go on with what an interrupted run has left there; returns the policy.

    Writes settings.json, curve.csv, tensorboard/ and, every `save_every` iterations, trainer.safetensors. A run that
    goes on ends with the same weights and the same curve, bit for bit, as one that was never interrupted; where it has
    ended already, nothing is trained. It may go on for more steps than it began with, or end earlier, but not before
    its last checkpoint.

    With an `earlier` run, whose `continued_by` has made the settings, that one's actor and critic begin.

    Started by torchrun, each of its processes simulates its share of the robots, and the first one writes; returns once
    for each.

    Raises:
        PretrainFolderError: the folder holds another run, or one that can not go on.
        EarlierRunError: the settings name another run to begin with than `earlier`.
        FolderInUseError: another process works in the folder.
        NonFiniteError: something that is not finite came up; the last checkpoint and non_finite.npz stay.
    """
    with joined_processes() as processes:
        out.mkdir(parents=True, exist_ok=True)
        with locked(out) if processes.writes else nullcontext():
            checkpoint = open_folder(settings, out, processes)
            if checkpoint is None:
                require_named_run(settings, earlier)
            if iterations_done(checkpoint) < settings.iterations:
                return _train(settings, out, progress, checkpoint, processes, earlier)
            if processes.writes:
                cut_back(out / CURVE_FILE, curve_mark(checkpoint))
    return policy_from_checkpoint(out / CHECKPOINT_FILE, settings)


def _train(
    settings: PretrainSettings,
    out: Path,
    progress: Optional[Progress],
    checkpoint: Optional[TrainerState],
    processes: Processes,
    earlier: Optional[EarlierRun],
) -> PolicyGraph:
    """From the checkpoint, or from nothing, to the end."""
    own = processes.share_of(settings.task)
    torch.set_num_threads(max(1, settings.threads // processes.count))
    torch.manual_seed(own.seed)
    robot = load_robot()
    contract = settings.contract(robot)
    actor = GaussianActor(contract.observation_dim, contract.action_dim, settings.actor_hidden, settings.initial_std)
    # In training commands jump: the policy meets harder changes than its bundle lets through.
    graph = PolicyGraph(contract.without_slew(), actor).requires_grad_(False)
    # All processes walk on the ground of the run's own seed.
    grid = build_grid(own.terrain, settings.task.seed) if own.terrain is not None else None
    engine = make_engine(settings.engine, robot, own.num_envs, grid.field if grid is not None else None)
    task = GuardedVelocityTask(own, robot, graph, engine, grid)
    runner = PpoRunner(task, settings, out, progress, checkpoint, processes)
    if checkpoint is None and earlier is not None:
        earlier.hand_over(runner.alg)
    elif checkpoint is None and settings.begin_with_trot:
        imitate_trot(graph, robot, settings.task.seed)
        runner.alg.actor.load_state_dict(_rsl_rl_actor(graph.actor))
    runner.learn(settings.iterations - iterations_done(checkpoint), init_at_random_ep_len=checkpoint is None)
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


def _rsl_rl_actor(source: GaussianActor) -> dict[str, torch.Tensor]:
    """The other way: the state of our actor under rsl_rl's names."""
    state = {name.replace("mean_network.", "mlp."): value.clone() for name, value in source.state_dict().items()}
    state["distribution.log_std_param"] = state.pop("log_std")
    return state


def policy_from_checkpoint(path: Path, settings: PretrainSettings) -> PolicyGraph:
    """The policy in a `trainer.safetensors` that a run has written."""
    tensors = load_file(str(path))
    weights = {name[len("actor.") :]: value for name, value in tensors.items() if name.startswith("actor.")}
    contract = settings.contract(load_robot())
    actor = GaussianActor(contract.observation_dim, contract.action_dim, settings.actor_hidden, settings.initial_std)
    copy_actor(weights, actor)
    return with_deployed_std(PolicyGraph(contract, actor), settings.deployed_std)


if __name__ == "__main__":
    from sim.pretrain_command import main

    main()
