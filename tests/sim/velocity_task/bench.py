"""An engine that does what a test says, and a velocity task on it without any randomness."""

import dataclasses
import math

import torch

from robot_configs.robot import RobotModel
from sim.engines.protocol import EngineState, PhysicsParameters
from sim.randomization import Randomization
from sim.velocity_settings import VelocityTaskSettings
from sim.velocity_task import VelocityTask

ROBOTS = 4
NEVER_S = 1e9
QUIET = Randomization(
    friction=(0.8, 0.8),
    payload_kg=(0.0, 0.0),
    center_of_mass_shift_m=0.0,
    gain_scale=(1.0, 1.0),
    joint_friction_nm=(0.0, 0.0),
    encoder_offset_rad=0.0,
    delay_substeps=(0, 0),
    gravity_noise=0.0,
    angular_velocity_noise_rad_s=0.0,
    joint_position_noise_rad=0.0,
    joint_velocity_noise_rad_s=0.0,
    push_interval_s=NEVER_S,
    command_interval_s=NEVER_S,
    standing_fraction=0.0,
)


NO_ACTION = torch.zeros(ROBOTS, 12)


class ScriptedEngine:
    """No physics: robots are in the state that a test writes, and every call is taken down."""

    physics_dt_s = 0.004

    def __init__(self, robot: RobotModel) -> None:
        self.num_envs = ROBOTS
        self.targets: list[torch.Tensor] = []
        self.pushes: list[torch.Tensor] = []
        self.reset_rows: list[list[int]] = []
        stand = torch.tensor(robot.stand_position, dtype=torch.float32)
        feet = torch.zeros(ROBOTS, 4, 3)
        feet[:, :, 2] = robot.geometry.foot_radius
        self.now = EngineState(
            position_trunk_in_world=torch.tensor([0.0, 0.0, 0.29]).repeat(ROBOTS, 1),
            orientation_trunk_in_world=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(ROBOTS, 1),
            linear_velocity_trunk_in_trunk=torch.zeros(ROBOTS, 3),
            angular_velocity_trunk_in_trunk=torch.zeros(ROBOTS, 3),
            joint_position=stand.repeat(ROBOTS, 1),
            joint_velocity=torch.zeros(ROBOTS, 12),
            joint_torque=torch.zeros(ROBOTS, 12),
            foot_position_in_world=feet,
        )

    def change(self, **fields: torch.Tensor) -> None:
        self.now = dataclasses.replace(self.now, **fields)

    def set_parameters(self, parameters: PhysicsParameters) -> None:
        self.parameters = parameters

    def step(self, joint_target: torch.Tensor, substeps: int) -> None:
        self.targets += [joint_target.clone()] * substeps

    def state(self) -> EngineState:
        return EngineState(
            **{field.name: getattr(self.now, field.name).clone() for field in dataclasses.fields(self.now)}
        )

    def reset(
        self, rows: torch.Tensor, position: torch.Tensor, orientation: torch.Tensor, joints: torch.Tensor
    ) -> None:
        self.reset_rows.append(rows.tolist())

    def push(self, velocity_change: torch.Tensor) -> None:
        self.pushes.append(velocity_change.clone())


def make_task(robot, graph, engine, episode_s: float = 20.0, **changed) -> VelocityTask:
    randomization = dataclasses.replace(QUIET, **changed)
    settings = VelocityTaskSettings(num_envs=ROBOTS, seed=3, episode_s=episode_s, randomization=randomization)
    return VelocityTask(settings, robot, graph, engine)


def tilted(angle_rad: float) -> torch.Tensor:
    """Rolled to the right by an angle."""
    return torch.tensor([math.cos(angle_rad / 2), math.sin(angle_rad / 2), 0.0, 0.0])
