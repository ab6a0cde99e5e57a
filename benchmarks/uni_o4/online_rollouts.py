"""On-policy steps in the true environment, as the online learner takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from benchmarks.uni_o4.evaluate import make_environment
from benchmarks.uni_o4.gymnasium_world import PHYSICAL_GROUP, Standardization, executed
from benchmarks.uni_o4.robots import BenchmarkError, BenchmarkRobot
from policy.networks import GaussianActor
from policy.trainer_state import TrainerState, load_trainer_state, save_trainer_state
from policy.transitions import Transitions

TRAINING_SEED = 5_000_000
"""Of the first learner's first online episode; far from those of the data and of the evaluation."""
SEEDS_A_LEARNER = 1_000_000


class OngoingEpisodes:
    """Environments side by side whose episodes go on from one iteration to the next.

    An iteration is shorter than an episode: were all environments reset in front of each, nothing would ever be learned
    about an episode's end. The episodes under way are kept as what made them, their seeds and actions; played again,
    they lead to the same states, so that a run that was killed goes on bit for bit.
    """

    def __init__(self, robot: BenchmarkRobot, beside: int, seed: int) -> None:
        self._robot, self._seed = robot, seed
        self._next_seed = TRAINING_SEED + seed * SEEDS_A_LEARNER
        self._environments = [make_environment(robot) for _ in range(beside)]
        self._episode_seeds = [0] * beside
        self._actions: list[list[np.ndarray]] = [[] for _ in range(beside)]
        self._state = np.stack([self._reset(place) for place in range(beside)])

    def _reset(self, place: int) -> np.ndarray:
        self._episode_seeds[place], self._actions[place] = self._next_seed, []
        self._next_seed += 1
        return np.asarray(self._environments[place].reset(seed=self._episode_seeds[place])[0])

    @torch.no_grad()
    def collect(
        self, actor: GaussianActor, standardization: Standardization, steps: int, iteration: int
    ) -> Transitions:
        """About `steps` steps with the policy's own noise, environment after environment.

        The log-probability is that of the action as sampled; the environment executes what of it lies within its
        limits. An episode that is still under way at the end is cut there for the learner, and bootstraps.
        """
        generator = torch.Generator().manual_seed(1_000_003 * (self._seed + 1) + iteration)
        beside = len(self._environments)
        length = max(1, steps // beside)
        columns: dict[str, list[torch.Tensor]] = {}
        for step in range(length):
            physical = torch.from_numpy(self._state).float()
            observation = standardization(physical)
            mean, std = actor(observation)
            action = mean + std * torch.randn(mean.shape, generator=generator)
            following, reward, terminated, truncated = self._step(executed(action.numpy()))
            next_physical = torch.from_numpy(following).float()
            rows = {
                "observation": observation, "next_observation": standardization(next_physical), "action": action,
                "action_mean": mean, "action_std": std.clone(), "log_prob": actor.log_prob(observation, action),
                "reward": torch.from_numpy(reward), "terminated": torch.from_numpy(terminated),
                "truncated": torch.from_numpy((truncated | (step == length - 1)) & ~terminated),
                "physical": physical, "next_physical": next_physical,
            }  # fmt: skip
            for name, value in rows.items():
                columns.setdefault(name, []).append(value)
            self._state = following.copy()
            for ended in np.flatnonzero(terminated | truncated):
                self._state[ended] = self._reset(int(ended))
        return _joined({name: torch.stack(values, dim=1).flatten(0, 1) for name, values in columns.items()})

    def _step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Next states (B, O), rewards (B,), whether the task ended (B,), whether the clock did (B,)."""
        beside = len(self._environments)
        following, reward = self._state.copy(), np.zeros(beside, dtype=np.float32)
        terminated, truncated = np.zeros(beside, dtype=bool), np.zeros(beside, dtype=bool)
        for place, (environment, action) in enumerate(zip(self._environments, actions, strict=True)):
            self._actions[place].append(action.copy())
            following[place], reward[place], terminated[place], truncated[place], _ = environment.step(action)
        return following, reward, terminated, truncated

    # ---- State -------------------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write what `restore` needs."""
        width = self._robot.action_dim
        tensors = {
            f"actions_{place}": torch.from_numpy(np.array(actions, dtype=np.float32).reshape(-1, width))
            for place, actions in enumerate(self._actions)
        }
        tensors["state"] = torch.from_numpy(self._state)
        save_trainer_state(path, TrainerState(tensors, {"seeds": self._episode_seeds, "next_seed": self._next_seed}))

    def restore(self, path: Path) -> None:
        """Go on from what `save` wrote, by playing the episodes under way again.

        Raises:
            TrainerStateError: the file is missing or damaged.
            BenchmarkError: the same actions lead elsewhere than before.
        """
        kept = load_trainer_state(path)
        for place, environment in enumerate(self._environments):
            self._next_seed = kept.record["seeds"][place]
            self._state[place] = self._reset(place)
            for action in kept.tensors[f"actions_{place}"].numpy():
                self._actions[place].append(action)
                self._state[place] = environment.step(action)[0]
        self._next_seed = kept.record["next_seed"]
        if not np.array_equal(self._state, kept.tensors["state"].numpy()):
            raise BenchmarkError(
                f"episodes that end up where they did when {path} was written",
                "other states after the same actions",
                "Continue with the packages that began the run, or delete its .state files and start it anew.",
            )

    def close(self) -> None:
        """Of the environments."""
        for environment in self._environments:
            environment.close()


def _joined(columns: dict[str, torch.Tensor]) -> Transitions:
    """Columns (N, ...), one environment after the other, as transitions without command, memory and past."""
    ends = columns["terminated"] | columns["truncated"]
    count, width = columns["physical"].shape
    return Transitions(
        **columns,
        episode=ends.long().cumsum(0) - ends.long(),
        command=torch.zeros(count, 0),
        memory=torch.zeros(count, 0),
        past=torch.zeros(count, 0, width + columns["action"].shape[1]),
        groups=((PHYSICAL_GROUP, width),),
    )
