"""The velocity task with the interface of legged_gym's environments and of rsl_rl v1.0.2's runner."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import torch

from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot
from sim.engines.isaacgym import IsaacGymEngine
from sim.legged_gym_task.configuration import LeggedGymTaskError, task_settings
from sim.privileged import PRIVILEGED_WIDTH
from sim.terrain.grid import build_grid
from sim.velocity_task import REWARD_LOG, VelocityTask

FiveTuple = Tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, Dict[str, Any]]


class _Task(VelocityTask):
    """Our task, whole under rsl_rl v1.0.2 too: its VecEnv demands two methods more than today's."""

    def reset(self) -> None:
        """All robots anew."""
        self._reset(torch.arange(self.num_envs))
        self.state = self.engine.state()
        self.last_feet = self.state.foot_position_in_world
        self._observe()

    def get_privileged_observations(self) -> torch.Tensor:
        """What the critic sees (N, O + P)."""
        return torch.cat([self.observation, self.privileged], dim=1)


def _flat(name: str) -> str:
    """A name of our log as legged_gym's have it: "/error/yaw_rad_s" is "error_yaw_rad_s"."""
    return name.strip("/").replace("/", "_")


class Go1VelocityTask:
    """What `task_registry.make_env("go1_velocity")` returns, and `go1_velocity_rough` on terrain.

    The task and its observations live on the CPU, wherever PhysX computes: a step moves some 70 numbers a robot.

    Attributes:
        num_obs, num_privileged_obs, num_actions: widths of observation, critic's observation and action.
        obs_buf, privileged_obs_buf, rew_buf, reset_buf, extras: of the last step, as legged_gym's tasks have them.
            extras["episode"]: tracking errors of all robots now, and the rewards of the episodes that ended last.
    """

    def __init__(self, cfg: Any, sim_params: Any, physics_engine: Any, sim_device: str, headless: bool) -> None:
        if not headless:
            raise LeggedGymTaskError("--headless", "a viewer", "Watch a sealed policy with `go1 sim play`.")
        robot = load_robot()
        contract = velocity_contract(robot)
        # The graph observes and turns actions into targets; rsl_rl has the actor that is trained.
        idle = GaussianActor(contract.observation_dim, contract.action_dim, (), 1.0)
        graph = PolicyGraph(contract.without_slew(), idle).requires_grad_(False)
        settings = task_settings(cfg)
        self.cfg, self.sim_params, self.physics_engine = cfg, sim_params, physics_engine
        self.sim_device, self.headless = sim_device, headless
        grid = build_grid(settings.terrain, settings.seed) if settings.terrain is not None else None
        terrain = grid.field if grid is not None else None
        self._engine = IsaacGymEngine(robot, settings.num_envs, sim_device, sim_params, terrain)
        self._task = _Task(settings, robot, graph, self._engine, grid)
        self.device = "cpu"
        self.num_envs, self.num_actions = self._task.num_envs, self._task.num_actions
        self.num_obs, self.num_privileged_obs = contract.observation_dim, contract.observation_dim + PRIVILEGED_WIDTH
        self.dt, self.max_episode_length_s = self._task.step_s, settings.episode_s
        self.max_episode_length = self._task.max_episode_length
        self.dof_names, self.num_dof = list(robot.joint_names), len(robot.joint_names)
        feet = [self._engine.body_names.index(f"{name}_foot") for name in robot.foot_names]
        self.feet_indices = torch.tensor(feet)
        self.rew_buf = torch.zeros(self.num_envs)
        self.reset_buf = torch.ones(self.num_envs, dtype=torch.long)
        self.extras: Dict[str, Any] = {}
        self._episode = {_flat(name): torch.zeros(()) for name in REWARD_LOG}

    def step(self, actions: torch.Tensor) -> FiveTuple:
        """Observation, critic's observation, reward, done (time-outs included) and extras of one control step."""
        _, self.rew_buf, done, extras = self._task.step(actions.detach().to(self.device))
        self.reset_buf = done.long()
        # legged_gym's play script reads the entry in every step, rsl_rl v1.0.2 the first one's keys in all of them: it
        # is always there and complete, with the rewards of the episodes that ended last, 0 before the first.
        self._episode = {**self._episode, **{_flat(name): value for name, value in extras["log"].items()}}
        self.extras = {"time_outs": extras["time_outs"].bool(), "episode": dict(self._episode)}
        return self.obs_buf, self.privileged_obs_buf, self.rew_buf, self.reset_buf, self.extras

    def reset(self) -> Tuple[torch.Tensor, torch.Tensor]:
        """All robots anew; both observations."""
        self._task.reset()
        return self.obs_buf, self.privileged_obs_buf

    def get_observations(self) -> torch.Tensor:
        return self.obs_buf

    def get_privileged_observations(self) -> torch.Tensor:
        return self.privileged_obs_buf

    @property
    def obs_buf(self) -> torch.Tensor:
        return self._task.observation

    @property
    def privileged_obs_buf(self) -> torch.Tensor:
        return self._task.get_privileged_observations()

    @property
    def episode_length_buf(self) -> torch.Tensor:
        """Steps since each robot's reset; rsl_rl's runner sets it to spread the first time-outs."""
        return self._task.episode_length_buf

    @episode_length_buf.setter
    def episode_length_buf(self, steps: torch.Tensor) -> None:
        self._task.episode_length_buf = steps.to(self.device)

    # What legged_gym's play script plots; joints in the wire's order.

    @property
    def commands(self) -> torch.Tensor:
        return self._task.command

    @property
    def dof_pos(self) -> torch.Tensor:
        return self._task.state.joint_position

    @property
    def dof_vel(self) -> torch.Tensor:
        return self._task.state.joint_velocity

    @property
    def torques(self) -> torch.Tensor:
        return self._task.state.joint_torque

    @property
    def base_lin_vel(self) -> torch.Tensor:
        return self._task.state.linear_velocity_trunk_in_trunk

    @property
    def base_ang_vel(self) -> torch.Tensor:
        return self._task.state.angular_velocity_trunk_in_trunk

    @property
    def contact_forces(self) -> torch.Tensor:
        return self._engine.contact_forces.to(self.device)
