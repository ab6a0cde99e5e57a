"""The training run behind a robot's data sets: resumable at any moment, every step of it kept.

    <folder>/replay/<column>.npy      every step so far, in order; rows behind the checkpoint's count are not valid
             state.safetensors        learner and counts, at the end of an episode
             medium.safetensors       the actor at the first evaluation that reached the recipe's score
             expert.safetensors       the actor at the end
             evaluations.json         [steps, normalised score] of every evaluation

A checkpoint is taken between two episodes and every episode's reset has a seed of its own, so that a run that was
killed goes on exactly as it would have.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.uni_o4.evaluate import evaluate, make_environment
from benchmarks.uni_o4.logged_steps import LoggedSteps
from benchmarks.uni_o4.recipe import DataRecipe
from benchmarks.uni_o4.robots import BenchmarkError, benchmark_robot
from benchmarks.uni_o4.soft_actor_critic import SoftActorCritic, SquashedActor
from policy.trainer_state import (
    TrainerState,
    load_trainer_state,
    pack_module,
    require_match,
    save_trainer_state,
    unpack_module,
)
from policy.uni_o4.settings import Progress, no_progress
from policy.whole_files import write_whole

SEED_STRIDE = 1_000_000
"""Between the reset seeds of two recipes' episodes, and between training, logging and evaluation."""


class Replay:
    """Every step of a training run in files of one column each; only as many rows as the checkpoint says count."""

    def __init__(self, folder: Path, capacity: int, observation_dim: int, action_dim: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        shapes: dict[str, tuple[tuple[int, ...], str]] = {
            "observations": ((capacity, observation_dim), "<f4"),
            "next_observations": ((capacity, observation_dim), "<f4"),
            "actions": ((capacity, action_dim), "<f4"),
            "rewards": ((capacity,), "<f4"),
            "terminals": ((capacity,), "|b1"),
            "timeouts": ((capacity,), "|b1"),
            "log_probabilities": ((capacity,), "<f4"),
        }
        self._columns: dict[str, np.ndarray] = {}
        for name, (shape, dtype) in shapes.items():
            path = folder / f"{name}.npy"
            mode = "r+" if path.exists() else "w+"
            self._columns[name] = np.lib.format.open_memmap(path, mode=mode, dtype=dtype, shape=shape)

    def put(self, row: int, **values: Any) -> None:
        """Write one step."""
        for name, value in values.items():
            self._columns[name][row] = value

    def batch(self, rows: np.ndarray) -> tuple[torch.Tensor, ...]:
        """Observation, action, reward, next observation, terminated of the given rows."""
        names = ("observations", "actions", "rewards", "next_observations", "terminals")
        return tuple(torch.from_numpy(self._columns[name][rows]) for name in names)

    def steps(self, count: int) -> LoggedSteps:
        """A copy of the first rows."""
        return LoggedSteps(**{name: np.array(column[:count]) for name, column in self._columns.items()})

    def flush(self) -> None:
        """To disk, before a checkpoint counts them."""
        for column in self._columns.values():
            if isinstance(column, np.memmap):
                column.flush()


@dataclass
class _Position:
    """How far a run is: environment steps, episodes, steps at the last evaluation, steps when medium was reached."""

    steps: int = 0
    episodes: int = 0
    evaluated: int = 0
    medium_steps: int | None = None


class BehaviorTraining:
    """One recipe's training run in a folder."""

    def __init__(self, recipe: DataRecipe, folder: Path, progress: Progress = no_progress) -> None:
        self.recipe, self.folder, self.progress = recipe, folder, progress
        self.robot = benchmark_robot(recipe.robot)
        self.learner = SoftActorCritic(self.robot.observation_dim, self.robot.action_dim, recipe.sac, recipe.seed)
        self.replay = Replay(folder / "replay", recipe.expert_steps, self.robot.observation_dim, self.robot.action_dim)
        self.evaluations: list[tuple[int, float]] = []
        self.position = _Position()
        if self._state_path.exists():
            self._resume()

    @property
    def _state_path(self) -> Path:
        return self.folder / "state.safetensors"

    @property
    def medium_steps(self) -> int | None:
        """Steps at which the medium policy was kept; None before that."""
        return self.position.medium_steps

    def run(self, until: str) -> None:
        """Train until the `medium` policy is kept, or to the `expert` at the end.

        Raises:
            BenchmarkError: the training ended without reaching the medium score.
        """
        environment = make_environment(self.robot)
        while self.position.steps < self.recipe.expert_steps and not (until == "medium" and self.medium_steps):
            self._run_episode(environment)
            if self.position.steps - self.position.evaluated >= self.recipe.evaluation_interval:
                self._evaluate()
                self._checkpoint()
        environment.close()
        if self.position.steps >= self.recipe.expert_steps and not (self.folder / "expert.safetensors").exists():
            self._evaluate()
            self._keep_actor("expert")
            self._checkpoint()
        if self.medium_steps is None:
            best = max((score for _, score in self.evaluations), default=float("nan"))
            raise BenchmarkError(
                f"a normalised score of {self.recipe.medium_score:g} within {self.recipe.expert_steps} steps",
                f"at best {best:.1f}",
                "Give the recipe more steps, a lower medium score or another seed.",
            )

    def _run_episode(self, environment: Any) -> None:
        position, settings = self.position, self.recipe.sac
        seed = (3 * self.recipe.seed + 1) * SEED_STRIDE + position.episodes
        observation, ended = environment.reset(seed=seed)[0], False
        while not ended and position.steps < self.recipe.expert_steps:
            action, log_prob = self._act(observation, position.steps < settings.random_steps)
            following, reward, terminated, truncated, _ = environment.step(action)
            cut_short = position.steps + 1 == self.recipe.expert_steps
            self.replay.put(
                position.steps,
                observations=observation,
                next_observations=following,
                actions=action,
                rewards=reward,
                terminals=terminated,
                timeouts=(truncated or cut_short) and not terminated,
                log_probabilities=log_prob,
            )
            position.steps += 1
            if position.steps >= settings.random_steps and position.steps % settings.steps_per_update == 0:
                count = (settings.batch_size,)
                rows = torch.randint(position.steps, count, generator=self.learner.generator).numpy()
                self.learner.update(*self.replay.batch(rows))
            observation, ended = following, terminated or truncated
        position.episodes += 1

    @torch.no_grad()
    def _act(self, observation: np.ndarray, random: bool) -> tuple[np.ndarray, float]:
        """An action (A,) and its log-probability: uniform over +-1 at first, then the actor's."""
        generator = self.learner.generator
        if random:
            action = 2.0 * torch.rand(self.robot.action_dim, generator=generator) - 1.0
            return action.numpy(), -self.robot.action_dim * float(np.log(2.0))
        action, log_prob = self.learner.actor.sample(torch.from_numpy(observation).float()[None], generator)
        return action[0].numpy(), float(log_prob[0])

    def _evaluate(self) -> None:
        position, recipe = self.position, self.recipe
        # Its own luck, so that the learner's does not depend on how long the evaluation's episodes are.
        luck = torch.Generator().manual_seed(position.steps)
        policy = sampling_policy(self.learner.actor, luck)
        found = evaluate(policy, self.robot, recipe.evaluation_episodes, (3 * recipe.seed + 2) * SEED_STRIDE)
        score = self.robot.normalized_score(float(found.returns.mean()))
        self.evaluations.append((position.steps, score))
        position.evaluated = position.steps
        if position.medium_steps is None and score >= recipe.medium_score:
            position.medium_steps = position.steps
            self._keep_actor("medium")
        self.progress(f"{recipe.robot} data", position.steps, recipe.expert_steps, {"score": score})

    def _keep_actor(self, name: str) -> None:
        record = {"recipe": self.recipe.training_record(), "steps": self.position.steps}
        save_trainer_state(
            self.folder / f"{name}.safetensors", TrainerState(pack_module("actor", self.learner.actor), record)
        )

    def _checkpoint(self) -> None:
        self.replay.flush()
        position = self.position
        record = {
            "recipe": self.recipe.training_record(),
            "steps": position.steps,
            "episodes": position.episodes,
            "evaluated": position.evaluated,
            "medium_steps": position.medium_steps,
            "evaluations": self.evaluations,
        }
        save_trainer_state(self._state_path, TrainerState(self.learner.tensors(), record))
        write_whole(self.folder / "evaluations.json", json.dumps(self.evaluations))

    def _resume(self) -> None:
        state = load_trainer_state(self._state_path)
        require_match(state.record, {"recipe": self.recipe.training_record()})
        self.learner.restore(dict(state.tensors))
        record = state.record
        self.position = _Position(record["steps"], record["episodes"], record["evaluated"], record["medium_steps"])
        self.evaluations = [(steps, score) for steps, score in record["evaluations"]]


def load_actor(path: Path, recipe: DataRecipe) -> SquashedActor:
    """An actor that a training run kept."""
    robot = benchmark_robot(recipe.robot)
    actor = SquashedActor(robot.observation_dim, robot.action_dim, recipe.sac.hidden_dims)
    unpack_module("actor", actor, load_trainer_state(path).tensors)
    return actor


def sampling_policy(actor: SquashedActor, generator: torch.Generator) -> Any:
    """The actor with its exploration, as a `BatchPolicy`."""

    @torch.no_grad()
    def act(observation: np.ndarray) -> np.ndarray:
        return actor.sample(torch.from_numpy(observation), generator)[0].numpy()

    return act
