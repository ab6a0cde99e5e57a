"""A robot's data sets: made by the recipe and cached under its hash, or read from D4RL's own files.

<cache>/training_<hash>/             the training run (`behavior_training`)
        <robot>_<set>_<hash>.hdf5    the sets

<d4rl>/<robot>_<set>-v2.hdf5         D4RL's files as it names them ("medium_replay" with an underscore)
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from benchmarks.uni_o4.behavior_training import SEED_STRIDE, BehaviorTraining, load_actor
from benchmarks.uni_o4.evaluate import make_environment
from benchmarks.uni_o4.logged_steps import LoggedSteps, concatenate, read_hdf5, write_hdf5
from benchmarks.uni_o4.provenance import versions
from benchmarks.uni_o4.recipe import DataRecipe, DataSetName
from benchmarks.uni_o4.robots import EPISODE_STEPS, BenchmarkRobot, benchmark_robot
from benchmarks.uni_o4.soft_actor_critic import SquashedActor
from policy.uni_o4.settings import Progress, no_progress


@dataclass(frozen=True)
class DataSet:
    """One data set and where it comes from: a recipe's hash, or the path of a file of D4RL."""

    robot: BenchmarkRobot
    name: DataSetName
    steps: LoggedSteps
    source: str

    @cached_property
    def sha256(self) -> str:
        """Hash over every value of the steps."""
        return self.steps.sha256()

    def mean_score(self) -> float:
        """Mean normalised return of its whole episodes; what the behaviour earned.

        Whole is an episode that the task ended, or that ran to the clock: where the recording stopped, or where two
        recordings were put together, is neither. All count where none is whole.
        """
        steps = self.steps
        whole = steps.terminals[steps.ends] | (steps.episode_lengths() >= EPISODE_STEPS)
        returns = steps.episode_returns()
        return self.robot.normalized_score(float(returns[whole].mean() if whole.any() else returns.mean()))


def cached_path(cache: Path, recipe: DataRecipe, name: DataSetName) -> Path:
    """Where a set of this recipe lies."""
    return cache / f"{recipe.robot}_{name}_{recipe.set_key(name)}.hdf5"


def d4rl_path(folder: Path, robot: str, name: DataSetName) -> Path:
    """Where D4RL keeps its version 2 of a set."""
    return folder / f"{robot}_{name.replace('-', '_')}-v2.hdf5"


def load_data_set(
    recipe: DataRecipe,
    name: DataSetName,
    cache: Path,
    d4rl_folder: Path | None = None,
    progress: Progress = no_progress,
) -> DataSet:
    """The set from D4RL's files where a folder of them is given, else from the cache, made first where it is missing.

    Raises:
        BenchmarkError: a file is missing or not what it should be, or the training misses its medium score.
    """
    robot = benchmark_robot(recipe.robot)
    key = recipe.set_key(name)
    if d4rl_folder is not None:
        path = d4rl_path(d4rl_folder, recipe.robot, name)
        return DataSet(robot, name, read_hdf5(path, robot), f"D4RL {path.name}")
    path = cached_path(cache, recipe, name)
    if not path.exists():
        steps = _make(recipe, name, cache, progress)
        attributes = {"recipe": json.dumps(recipe.training_record()), "versions": json.dumps(versions())}
        write_hdf5(path, steps, attributes)
    return DataSet(robot, name, read_hdf5(path, robot), f"recipe {key}")


def _make(recipe: DataRecipe, name: DataSetName, cache: Path, progress: Progress) -> LoggedSteps:
    training = BehaviorTraining(recipe, cache / f"training_{recipe.training_key()}", progress)
    training.run("expert" if name == "medium-expert" else "medium")
    if name == "medium-replay":
        return training.replay.steps(training.medium_steps or 0)
    medium = load_actor(training.folder / "medium.safetensors", recipe)
    first = log_policy(medium, recipe, 0)
    if name == "medium":
        return first
    expert = load_actor(training.folder / "expert.safetensors", recipe)
    return concatenate([first, log_policy(expert, recipe, 1)])


@torch.no_grad()
def log_policy(actor: SquashedActor, recipe: DataRecipe, part: int) -> LoggedSteps:
    """`logged_steps` steps of the actor with its exploration; part 0 and 1 meet other resets and other luck."""
    robot = benchmark_robot(recipe.robot)
    environment = make_environment(robot)
    generator = torch.Generator().manual_seed(2 * recipe.seed + part)
    seed = (3 * recipe.seed + 3) * SEED_STRIDE + part * (SEED_STRIDE // 2)
    rows: list[tuple[np.ndarray, np.ndarray, np.ndarray, float, bool, bool, float]] = []
    episode, observation = 0, environment.reset(seed=seed)[0]
    while len(rows) < recipe.logged_steps:
        action, log_prob = actor.sample(torch.from_numpy(observation).float()[None], generator)
        executed = action[0].numpy()
        following, reward, terminated, truncated, _ = environment.step(executed)
        # The recording's own end cuts its last episode.
        timeout = (truncated or len(rows) + 1 == recipe.logged_steps) and not terminated
        rows.append((observation, following, executed, float(reward), terminated, timeout, float(log_prob[0])))
        observation = following
        if terminated or truncated:
            episode += 1
            observation = environment.reset(seed=seed + episode)[0]
    environment.close()
    columns = list(zip(*rows, strict=True))
    dtypes = (np.float32, np.float32, np.float32, np.float32, bool, bool, np.float32)
    return LoggedSteps(*(np.asarray(column, dtype=dtype) for column, dtype in zip(columns, dtypes, strict=True)))
