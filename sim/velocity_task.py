"""The velocity task: follow commanded vx, vy and yaw rate with a trot; batched, on any engine, for rsl_rl.

Policies that take their gait as commands are drawn one with every velocity, and are shaped towards it.

The actor sees what `PolicyGraph.observe` makes of noisy raw signals: the module that is exported. The critic also
sees the truth.
"""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from typing import Any, Mapping, Optional

import numpy as np
import torch
from rsl_rl.env import VecEnv
from tensordict import TensorDict

from policy.gait_contract import TRUNK_HEIGHT
from policy.graph import PHASE, PolicyGraph, projected_gravity
from policy.named_tensors import part_of, under
from policy.rewards import REWARD_TERMS, RewardInputs, velocity_reward
from robot_configs.kinematics import foot_position_in_trunk
from robot_configs.robot import RobotModel
from sim.engines.protocol import FIRM_GROUND_TIME_CONSTANT_S, Engine, EngineState
from sim.engines.rotations import world_to_trunk
from sim.privileged import PRIVILEGED
from sim.randomization import draw_commands, draw_physics
from sim.shaping import SHAPING_TERMS, ShapingInputs, foot_phase_offsets, shaping_reward, wanted_heights
from sim.tensor_state import put_tensors, tensors_of
from sim.terrain.grid import TerrainGrid
from sim.terrain.ground import FlatGround, Ground, TerrainGround
from sim.velocity_settings import VelocityTaskSettings

START_HEIGHT_M = 0.30  # of the trunk above the ground, legs in the default pose: the feet fall the last centimetre
REWARD_LOG = tuple(f"/reward/{name}" for name in (*REWARD_TERMS, *SHAPING_TERMS))  # of episodes that just ended


class VelocityTask(VecEnv):
    """rsl_rl's VecEnv over an `Engine`.

    Args:
        grid: the terrain that the engine's robots stand on; None is a flat floor.
    """

    def __init__(
        self,
        settings: VelocityTaskSettings,
        robot: RobotModel,
        graph: PolicyGraph,
        engine: Engine,
        grid: Optional[TerrainGrid] = None,
    ) -> None:
        self.settings = settings
        self.cfg = asdict(settings)
        self.graph = graph
        self.contract = graph.contract
        self.engine = engine
        self.device = torch.device("cpu")
        self.num_envs = engine.num_envs
        self.num_actions = self.contract.action_dim
        self.step_s = 1.0 / self.contract.control_hz
        self.substeps = round(self.step_s / engine.physics_dt_s)
        if not math.isclose(self.substeps * engine.physics_dt_s, self.step_s):
            raise ValueError(f"physics step {engine.physics_dt_s} s does not divide the control step {self.step_s} s")
        self.max_episode_length = round(settings.episode_s / self.step_s)
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.torque_limit = torch.tensor(robot.torque_limit, dtype=torch.float32)
        self.upright_at_least = math.cos(robot.safety.tilt_limit_rad)
        self.default_position = torch.tensor(self.contract.default_position)
        feet = foot_position_in_trunk(robot, np.array(self.contract.default_position))
        self.default_feet = torch.tensor(feet, dtype=torch.float32)
        self.foot_phase = torch.tensor(foot_phase_offsets(robot.foot_names))
        self.foot_radius_m = robot.geometry.foot_radius
        self.ground: Ground = FlatGround()
        if grid is not None:
            self.ground = TerrainGround(grid, engine.num_envs, self.generator)
        self._allocate()

    def _allocate(self) -> None:
        count, contract = self.num_envs, self.contract
        draw = draw_physics(self.settings.randomization, contract, count, self.generator)
        firm = draw.ground_time_constant_s.clamp(max=FIRM_GROUND_TIME_CONSTANT_S)
        softness = torch.where(self.ground.may_be_soft(), draw.ground_time_constant_s, firm)
        draw = replace(draw, ground_time_constant_s=softness)
        self.engine.set_parameters(draw)
        self.physics = draw
        self.encoder_offset = self._noise(self.settings.randomization.encoder_offset_rad, 12)
        self.gravity_bias = self._noise(self.settings.randomization.gravity_bias, 3)
        self.gyro_bias = self._noise(self.settings.randomization.angular_velocity_bias_rad_s, 3)
        self.episode_length_buf = torch.zeros(count, dtype=torch.long)
        self.steps_walked = torch.zeros(count)  # unlike the length, which rsl_rl sets at random to begin with
        self.memory = torch.zeros(count, contract.memory_dim)
        self.command = torch.zeros(count, contract.command_dim)
        self.last_action = torch.zeros(count, contract.action_dim)
        self.last_feet = torch.zeros(count, 4, 3)
        self.episode_terms = torch.zeros(count, len(REWARD_LOG))
        self._reset(torch.arange(count))
        self.engine.step(self.default_position.repeat(count, 1), 1)
        self.state = self.engine.state()
        self.last_feet = self.state.foot_position_in_world
        self._observe()

    def get_observations(self) -> TensorDict:
        groups = {"observation": self.observation, "privileged": self.privileged}
        return TensorDict(groups, batch_size=[self.num_envs])

    def step(self, actions: torch.Tensor) -> tuple[TensorDict, torch.Tensor, torch.Tensor, dict[str, Any]]:
        """Advance all robots by one control step; see `rsl_rl.env.VecEnv.step`."""
        swing_phase = self.memory[:, PHASE]
        stepping = self.graph.is_stepping(self.command, self.memory) > 0.0
        self.memory = self.graph.remember(self.memory, self.observation, actions, self.command)
        self.engine.step(self.graph.joint_target(actions), self.substeps)
        self._push()
        self._read_state(actions)
        fallen = self._fallen(self.state)
        reward, terms = self._reward(actions, swing_phase, stepping, fallen)
        self.episode_length_buf += 1
        self.steps_walked += 1.0
        timed_out = self.episode_length_buf >= self.max_episode_length
        timed_out |= self.ground.left(self.state.position_trunk_in_world)
        done = fallen | timed_out
        self.last_action = actions
        self.last_feet = self.state.foot_position_in_world
        self.episode_terms += terms
        extras = {"time_outs": (timed_out & ~fallen).float(), "log": self._log(done, fallen)}
        if done.any():
            self._end_episodes(done.nonzero().squeeze(1), fallen)
            self.state = self.engine.state()
            self.last_feet = torch.where(done[:, None, None], self.state.foot_position_in_world, self.last_feet)
        self._new_commands()
        self._observe()
        return self.get_observations(), reward, done, extras

    def snapshot(self) -> dict[str, torch.Tensor]:
        """Copies of all that the task's future depends on, but for its engine's state."""
        return {**tensors_of(self), **under("ground", self.ground.snapshot())}

    def restore(self, snapshot: Mapping[str, torch.Tensor]) -> None:
        """Be as at the `snapshot` of a task with the same settings; its engine is given its parameters only."""
        put_tensors(self, {k: v for k, v in snapshot.items() if not k.startswith("ground.")})
        self.ground.restore(part_of(snapshot, "ground"))
        self.engine.set_parameters(self.physics)

    def _read_state(self, actions: torch.Tensor) -> None:
        """What the engine's robots came to by these actions."""
        self.state = self.engine.state()

    def _push(self) -> None:
        randomization = self.settings.randomization
        pushed = torch.rand(self.num_envs, 1, generator=self.generator) < self.step_s / randomization.push_interval_s
        if pushed.any():
            change = self._noise(randomization.push_speed_m_s, 3)
            change[:, 2] = 0.0
            self.engine.push(change * pushed)

    def _fallen(self, state: EngineState) -> torch.Tensor:
        upright = -projected_gravity(state.orientation_trunk_in_world)[:, 2]
        low = self._trunk_height(state) < self.settings.fall_height_m
        return (upright < self.upright_at_least) | low

    def _reward(
        self, actions: torch.Tensor, phase: torch.Tensor, stepping: torch.Tensor, fallen: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        state = self.state
        inputs = RewardInputs(
            command=self.command[:, :3],
            linear_velocity_trunk_in_trunk=state.linear_velocity_trunk_in_trunk,
            angular_velocity_trunk_in_trunk=state.angular_velocity_trunk_in_trunk,
            gravity_in_trunk=projected_gravity(state.orientation_trunk_in_world),
            joint_velocity=state.joint_velocity,
            torque_fraction=state.joint_torque / self.torque_limit,
            action=actions,
            last_action=self.last_action,
            fallen=fallen,
        )
        reward, terms = velocity_reward(inputs, self.settings.reward)
        shaping = shaping_reward(self._shaping_inputs(state, phase, stepping), self.settings.shaping)
        return reward + shaping.sum(1), torch.cat([terms, shaping], dim=1)

    def _shaping_inputs(self, state: EngineState, phase: torch.Tensor, stepping: torch.Tensor) -> ShapingInputs:
        return ShapingInputs(
            stepping=stepping,
            foot_phase=torch.frac(phase[:, None] + self.foot_phase),
            foot_height_m=self._foot_height(state),
            foot_velocity_m_s=(state.foot_position_in_world - self.last_feet)[:, :, :2] / self.step_s,
            hip_error_rad=(state.joint_position - self.default_position)[:, 0::3],
            trunk_height_m=self._trunk_height(state),
            wanted=wanted_heights(self.command, self.contract, self.settings.shaping),
            velocity_error_m_s=state.linear_velocity_trunk_in_trunk[:, :2] - self.command[:, :2],
            yaw_rate_error_rad_s=state.angular_velocity_trunk_in_trunk[:, 2] - self.command[:, 2],
            foot_error_m=self._foot_error(state),
            joint_velocity=state.joint_velocity,
        )

    def _foot_error(self, state: EngineState) -> torch.Tensor:
        """Of the feet from their places in the default pose (N, 4, 2) [m], trunk frame."""
        arms = state.foot_position_in_world - state.position_trunk_in_world[:, None]
        orientation = state.orientation_trunk_in_world[:, None].expand(-1, arms.shape[1], -1)
        return (world_to_trunk(orientation, arms) - self.default_feet)[:, :, :2]

    def _foot_height(self, state: EngineState) -> torch.Tensor:
        """Of the soles above the ground under them (N, 4) [m]."""
        feet = state.foot_position_in_world
        return feet[:, :, 2] - self.foot_radius_m - self.ground.height_at(feet)

    def _trunk_height(self, state: EngineState) -> torch.Tensor:
        """Above the ground under it (N,) [m]."""
        trunk = state.position_trunk_in_world
        return trunk[:, 2] - self.ground.height_at(trunk)

    def _end_episodes(self, rows: torch.Tensor, fallen: torch.Tensor) -> None:
        """Let the ground know how they went, and begin anew."""
        perfect = self.settings.reward.track_linear_velocity * self.steps_walked[rows]
        tracking = self.episode_terms[rows, REWARD_TERMS.index("track_linear_velocity")] / perfect
        self.ground.episodes_end(rows, fallen[rows], tracking)
        self._reset(rows)

    def _reset(self, rows: torch.Tensor) -> None:
        count = len(rows)
        yaw = (torch.rand(count, generator=self.generator) * 2.0 - 1.0) * math.pi
        zero = torch.zeros(count)
        orientation = torch.stack([torch.cos(yaw / 2), zero, zero, torch.sin(yaw / 2)], dim=1)
        joints = self.default_position + (torch.rand(count, 12, generator=self.generator) * 2.0 - 1.0) * 0.1
        position = self.ground.start(rows) + torch.tensor([0.0, 0.0, START_HEIGHT_M])
        self.engine.reset(rows, position, orientation, joints)
        self.memory[rows] = 0.0
        self.last_action = self.last_action.index_fill(0, rows, 0.0)
        self.episode_length_buf[rows] = 0
        self.steps_walked[rows] = 0.0
        self.episode_terms[rows] = 0.0
        draw = draw_commands(self.settings.randomization, self.contract, self.num_envs, self.generator)
        self.command[rows] = draw[rows]

    def _new_commands(self) -> None:
        interval = round(self.settings.randomization.command_interval_s / self.step_s)
        due = (self.episode_length_buf % interval == 0) & (self.episode_length_buf > 0)
        if due.any():
            draw = draw_commands(self.settings.randomization, self.contract, self.num_envs, self.generator)
            self.command = torch.where(due.unsqueeze(1), draw, self.command)

    def _observe(self) -> None:
        state, noise = self.state, self.settings.randomization
        gravity = projected_gravity(state.orientation_trunk_in_world)
        self.observation = self.graph.observe(
            gravity + self.gravity_bias + self._noise(noise.gravity_noise, 3),
            state.angular_velocity_trunk_in_trunk + self.gyro_bias + self._noise(noise.angular_velocity_noise_rad_s, 3),
            state.joint_position + self.encoder_offset + self._noise(noise.joint_position_noise_rad, 12),
            state.joint_velocity + self._noise(noise.joint_velocity_noise_rad_s, 12),
            self.command,
            self.memory,
        )
        parts = {
            "linear_velocity": state.linear_velocity_trunk_in_trunk,
            "gravity": gravity,
            "angular_velocity": state.angular_velocity_trunk_in_trunk * 0.25,
            "trunk_height": (self._trunk_height(state)[:, None] - self.settings.shaping.trunk_height_m) * 10.0,
            "foot_height": (self._foot_height(state) + self.foot_radius_m) * 10.0,
            "friction": self.physics.friction[:, None],
            "payload": self.physics.payload_kg[:, None] * 0.5,
            "delay": self.physics.delay_substeps[:, None].float(),
        }
        self.privileged = torch.cat([parts[name] for name in PRIVILEGED], dim=1)

    def _noise(self, half_width: float, width: int) -> torch.Tensor:
        return (torch.rand(self.num_envs, width, generator=self.generator) * 2.0 - 1.0) * half_width

    def _log(self, done: torch.Tensor, fallen: torch.Tensor) -> dict[str, torch.Tensor]:
        """Per-term reward of the episodes that just ended, and the tracking errors of all robots now."""
        velocity = self.state.linear_velocity_trunk_in_trunk
        log = {
            "/error/linear_m_s": (velocity[:, :2] - self.command[:, :2]).norm(dim=1).mean(),
            "/error/yaw_rad_s": (self.state.angular_velocity_trunk_in_trunk[:, 2] - self.command[:, 2]).abs().mean(),
            "/falls_per_minute": fallen.float().mean() / self.step_s * 60.0,
        }
        if TRUNK_HEIGHT in self.contract.command_names:
            wanted = wanted_heights(self.command, self.contract, self.settings.shaping).trunk_m
            log["/error/trunk_height_m"] = (self._trunk_height(self.state) - wanted).abs().mean()
        if done.any():
            ended = self.episode_terms[done].sum(0) / self.steps_walked[done].sum()
            log.update({name: ended[i] for i, name in enumerate(REWARD_LOG)})
        log.update(self.ground.log())
        return log
