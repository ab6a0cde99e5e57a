"""The other side of the race: stable-baselines3's PPO on the same task, engine, reward, views and networks.

What is the same: the task object with its engine, the observation of the actor, the wider view of the critic (SB3 takes
one observation; a policy with its own `mlp_extractor`, as its documentation shows, lets the actor see only its part),
layers and activations, initial deviation, robots, steps an iteration, minibatches, epochs, clipping, discount, entropy
weight, norm of gradients (SB3 clips that of both networks together), threads.

What differs: ours begins with an actor that imitates a scripted trot (`begin_with_trot` of `quick`), SB3's with random
weights; SB3 learns from every sample once, for it has no mirror; its learning rate adapts to the divergence by the same
rule after every iteration, rsl_rl's after every minibatch; advantages are normalised in each minibatch, not over the
iteration; the critic's loss is not clipped, which is SB3's default; optimiser and initial critic are its own.

What is compared by default is `quick` as a whole with what SB3 makes of the same task: the trot and the mirror are part
of the one and not of the other, and whoever takes SB3 has to write both. How much of the ratio is the trot's says
`--sb3-begin-with-trot`: SB3's actor then begins with the same weights as ours, imitated on its own clock.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces  # type: ignore[import-not-found]
from safetensors.torch import save_file
from stable_baselines3 import PPO  # type: ignore[import-not-found]
from stable_baselines3.common.callbacks import BaseCallback  # type: ignore[import-not-found]
from stable_baselines3.common.policies import ActorCriticPolicy  # type: ignore[import-not-found]
from stable_baselines3.common.vec_env import VecEnv  # type: ignore[import-not-found]
from torch import nn

from benchmarks.walk_race.keeping import Keeper
from benchmarks.walk_race.task import StableBaselinesSettings
from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from robot_configs.robot import load_robot
from sim.engines.choice import make_engine
from sim.pretrain_settings import PretrainSettings
from sim.scripted_trot import imitate_trot
from sim.velocity_task import VelocityTask

_ACTION_BOUND = 100.0  # SB3 clips actions and wants finite bounds; no policy of ours comes near it
_RATE_BOUNDS, _RATE_FACTOR = (1e-5, 1e-2), 1.5  # those of rsl_rl's adaptive schedule
_EVER = 10**12  # steps; the clock ends a training, not their number


class TaskVecEnv(VecEnv):
    """The velocity task as SB3's vectorised environment; observations are the actor's view, then the critic's own.

    A time-out is reported as SB3 asks: `TimeLimit.truncated`, with a `terminal_observation` to value the rest of the
    episode by. The task hands out only the next episode's first, so that it is the one before the last step, which is
    also what rsl_rl bootstraps from.
    """

    def __init__(self, task: VelocityTask) -> None:
        self._task = task
        self._actions = torch.zeros(0)
        self._observation = self._views()
        bound = np.full(task.num_actions, _ACTION_BOUND, dtype=np.float32)
        space = spaces.Box(-np.inf, np.inf, self._observation.shape[1:], np.float32)
        super().__init__(task.num_envs, space, spaces.Box(-bound, bound, dtype=np.float32))

    def _views(self) -> np.ndarray:
        views = self._task.get_observations()
        joined: np.ndarray = torch.cat([views["observation"], views["privileged"]], dim=1).numpy()
        return joined

    def reset(self) -> np.ndarray:
        """The task's robots are always in the midst of something: nothing is reset."""
        return self._observation

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = torch.from_numpy(actions)

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        with torch.inference_mode():
            _, reward, done, extras = self._task.step(self._actions)
            infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
            for row in extras["time_outs"].nonzero().squeeze(1).tolist():
                infos[row] = {"TimeLimit.truncated": True, "terminal_observation": self._observation[row]}
            self._observation = self._views()
            return self._observation, reward.numpy().copy(), done.numpy().copy(), infos

    def close(self) -> None:
        """Nothing is open."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """SB3 asks for `render_mode`: there is nothing to see."""
        return [None if attr_name == "render_mode" else getattr(self._task, attr_name)] * self.num_envs

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise AttributeError(f"one task holds all robots: {attr_name} can not be set for some")

    def env_method(self, method_name: str, *arguments: Any, indices: Any = None, **named: Any) -> list[Any]:
        raise AttributeError(f"one task holds all robots: {method_name} can not be called for some")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        return [False] * self.num_envs


class TwoViews(nn.Module):
    """SB3's `mlp_extractor` with ELU, in which the actor sees the first `actor_view` columns and the critic all."""

    def __init__(self, width: int, actor_view: int, actor_hidden: list[int], critic_hidden: list[int]) -> None:
        super().__init__()
        self._actor_view = actor_view
        self.actor = _layers(actor_view, actor_hidden)
        self.critic = _layers(width, critic_hidden)
        self.latent_dim_pi, self.latent_dim_vf = actor_hidden[-1], critic_hidden[-1]

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.forward_actor(features), self.forward_critic(features)

    def forward_actor(self, features: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.actor(features[:, : self._actor_view])
        return hidden

    def forward_critic(self, features: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.critic(features)
        return hidden


def _layers(width: int, hidden: list[int]) -> nn.Sequential:
    widths = [width, *hidden]
    pairs = zip(widths[:-1], widths[1:], strict=True)
    return nn.Sequential(*(layer for before, after in pairs for layer in (nn.Linear(before, after), nn.ELU())))


class TwoViewPolicy(ActorCriticPolicy):
    """SB3's actor and critic on `TwoViews`; `net_arch` has the widths, `actor_view` the actor's columns."""

    def __init__(self, *arguments: Any, actor_view: int, **named: Any) -> None:
        self._actor_view = actor_view
        super().__init__(*arguments, **named)

    def _build_mlp_extractor(self) -> None:
        self.mlp_extractor = TwoViews(self.features_dim, self._actor_view, self.net_arch["pi"], self.net_arch["vf"])


class _Race(BaseCallback):
    """Keeps policies, adapts the learning rate, pauses between iterations and ends at the cap."""

    def __init__(self, keeper: Keeper, settings: StableBaselinesSettings, rate: list[float]) -> None:
        super().__init__()
        self._keeper, self._settings, self._rate = keeper, settings, rate
        self._iteration, self._over = 0, False
        self._rewards: list[float] = []

    def _on_rollout_start(self) -> None:
        """The update after the last rollout is done, too."""
        if self._rewards:
            self._iteration += 1
            self._keeper.note(self._iteration, self.num_timesteps, float(np.mean(self._rewards)))
            self._rewards = []
            self._adapt()
            self._over = self._keeper.turns.own_s >= self._keeper.turns.cap_s
            if self._keeper.due(self._iteration) or self._over:
                save_actor(self.model.policy, self._keeper.path(self._iteration))
            if not self._over:
                self._keeper.turns.pause_if_due()

    def _on_step(self) -> bool:
        self._rewards.append(float(self.locals["rewards"].mean()))
        return not self._over

    def _adapt(self) -> None:
        desired = self._settings.desired_kl
        if desired is None:
            return
        divergence = self.logger.name_to_value["train/approx_kl"]
        lowest, highest = _RATE_BOUNDS
        if divergence > 2.0 * desired:
            self._rate[0] = max(lowest, self._rate[0] / _RATE_FACTOR)
        elif 0.0 < divergence < desired / 2.0:
            self._rate[0] = min(highest, self._rate[0] * _RATE_FACTOR)


def train(settings: PretrainSettings, tuned: StableBaselinesSettings, keeper: Keeper) -> None:
    """Train until the cap of the keeper's clock."""
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.task.seed)
    task = make_task(settings)
    # As rsl_rl begins: episodes do not all end at once.
    task.episode_length_buf = torch.randint_like(task.episode_length_buf, high=task.max_episode_length)
    rate = [tuned.learning_rate]
    model = make_model(task, settings, tuned, rate)
    # Without its own log: the values of an update stay where `_Race` reads them.
    model.learn(_EVER, callback=_Race(keeper, tuned, rate), log_interval=None)


def make_task(settings: PretrainSettings) -> VelocityTask:
    """The task that `sim.pretrain` would train on, on flat ground."""
    if settings.task.terrain is not None:
        raise ValueError("a flat floor, for the race is over `quick`; found terrain")
    robot = load_robot()
    contract = settings.contract(robot).without_slew()
    graph = PolicyGraph(contract, GaussianActor(contract.observation_dim, contract.action_dim, (), 1.0))
    engine = make_engine(settings.engine, robot, settings.task.num_envs)
    return VelocityTask(settings.task, robot, graph.requires_grad_(False), engine)


def make_model(
    task: VelocityTask, settings: PretrainSettings, tuned: StableBaselinesSettings, rate: list[float]
) -> PPO:
    """SB3's PPO with our settings; `rate` holds the learning rate of the next update."""
    model = PPO(
        TwoViewPolicy,
        TaskVecEnv(task),
        learning_rate=lambda _: rate[0],
        n_steps=settings.steps_per_iteration,
        batch_size=settings.steps_per_iteration * task.num_envs // settings.minibatches,
        n_epochs=settings.epochs,
        gamma=settings.gamma,
        gae_lambda=settings.gae_lambda,
        clip_range=settings.clip,
        ent_coef=settings.entropy_weight,
        vf_coef=1.0,
        max_grad_norm=1.0,
        target_kl=tuned.target_kl,
        policy_kwargs={
            "actor_view": task.contract.observation_dim,
            "net_arch": {"pi": list(settings.actor_hidden), "vf": list(settings.critic_hidden)},
            "log_std_init": math.log(settings.initial_std),
        },
        seed=settings.task.seed,
        device="cpu",
    )
    if tuned.begin_with_trot:
        load_actor(model.policy, trotting_actor(settings))
    return model


def trotting_actor(settings: PretrainSettings) -> GaussianActor:
    """The actor that `sim.pretrain` begins with; torch's generator is left as it was."""
    robot = load_robot()
    contract = settings.contract(robot).without_slew()
    with torch.random.fork_rng():
        torch.manual_seed(settings.task.seed)
        actor = GaussianActor(
            contract.observation_dim, contract.action_dim, settings.actor_hidden, settings.initial_std
        )
        imitate_trot(PolicyGraph(contract, actor).requires_grad_(False), robot, settings.task.seed)
    return actor


def load_actor(policy: ActorCriticPolicy, actor: GaussianActor) -> None:
    """Give SB3's actor the weights and deviations of ours."""
    hidden, last = policy.mlp_extractor.actor, 2 * len(policy.net_arch["pi"])
    weights = actor.mean_network.state_dict()
    final = f"{last}."
    policy.action_net.load_state_dict({k[len(final) :]: v for k, v in weights.items() if k.startswith(final)})
    hidden.load_state_dict({name: value for name, value in weights.items() if not name.startswith(final)})
    with torch.no_grad():
        policy.log_std.copy_(actor.log_std)


def save_actor(policy: ActorCriticPolicy, path: Path) -> None:
    """The actor under the names of our `GaussianActor`."""
    last = 2 * len(policy.net_arch["pi"])
    tensors = {f"mean_network.{name}": value for name, value in policy.mlp_extractor.actor.state_dict().items()}
    tensors.update({f"mean_network.{last}.{name}": value for name, value in policy.action_net.state_dict().items()})
    tensors["log_std"] = policy.log_std.detach()
    save_file({name: value.detach().contiguous() for name, value in tensors.items()}, str(path))
