"""The twin's physics as a training engine: what a policy could reach in a condition if it were trained there.

Training on it is no rehearsal: it is the answer that sim-to-real is measured against, and no policy that is to be
shown to transfer may see it.
"""

from __future__ import annotations

import math
from typing import Optional

import numpy as np
import torch

from robot_configs.robot import RobotModel
from robot_configs.twin_conditions import TwinCondition
from sim.engines.protocol import EngineState, PhysicsParameters
from sim.engines.rotations import world_to_trunk
from sim.randomization import Randomization
from sim.twin.world import PHYSICS_STEP_S
from sim.twin_batch.coverage import require_covered
from sim.twin_batch.errors import TwinBatchError
from sim.twin_batch.motors import BatchMotors
from sim.twin_batch.simulations import Simulations


class TwinEngine:
    """An `Engine` whose robots are twins in one condition; only the gains of their PD loops can be set.

    Args:
        seed: of the bumps of rough ground.
        threads: of mjbatch; 0 takes every core.

    Raises:
        TwinBatchError: see `require_trainable`.
    """

    def __init__(
        self, condition: TwinCondition, robot: RobotModel, num_envs: int, seed: int = 0, threads: int = 0
    ) -> None:
        require_trainable(condition, robot)
        generators = [np.random.default_rng([seed, index]) for index in range(num_envs)]
        self.num_envs = num_envs
        self.physics_dt_s = PHYSICS_STEP_S
        self._condition = condition
        self._simulations = Simulations(condition, robot, generators, threads)
        self._feet = [self._simulations.model.site(f"{name}_foot").id for name in robot.foot_names]
        self._motors = BatchMotors(robot, condition.motors, num_envs)
        self._gains: Optional[tuple[np.ndarray, np.ndarray]] = None
        self._steps = 0

    def set_parameters(self, parameters: PhysicsParameters) -> None:
        """Take the gains; everything else is the condition's own.

        Raises:
            TwinBatchError: friction or payload other than the condition's.
        """
        own = {"friction": self._condition.ground.friction, "payload_kg": self._condition.payload.mass_kg}
        for name, value in own.items():
            asked: torch.Tensor = getattr(parameters, name)
            if not torch.allclose(asked, torch.full_like(asked, value)):
                raise TwinBatchError(
                    f"{name} of {value:g}, the condition's",
                    f"{float(asked.min()):g} to {float(asked.max()):g}",
                    "Train with `condition_randomization(condition)`.",
                )
        self._gains = parameters.stiffness.double().numpy(), parameters.damping.double().numpy()

    def step(self, joint_target: torch.Tensor, substeps: int) -> None:
        """See `Engine`; targets act after the condition's command delay."""
        stiffness, damping = self._known_gains()
        self._motors.accept(joint_target.double().numpy(), stiffness, damping, self._steps)
        simulations = self._simulations
        for _ in range(substeps):
            simulations.step(self._motors.torque(self._steps, simulations.qpos[:, 7:19], simulations.qvel[:, 6:18]))
            self._steps += 1

    def state(self) -> EngineState:
        """See `Engine`; torques are what the motors delivered in the last physics step."""
        qpos = torch.tensor(self._simulations.qpos, dtype=torch.float32)
        qvel = torch.tensor(self._simulations.qvel, dtype=torch.float32)
        orientation = qpos[:, 3:7]
        return EngineState(
            position_trunk_in_world=qpos[:, :3],
            orientation_trunk_in_world=orientation,
            linear_velocity_trunk_in_trunk=world_to_trunk(orientation, qvel[:, :3]),
            angular_velocity_trunk_in_trunk=qvel[:, 3:6],
            joint_position=qpos[:, 7:19],
            joint_velocity=qvel[:, 6:18],
            joint_torque=torch.tensor(self._motors.delivered, dtype=torch.float32),
            foot_position_in_world=torch.tensor(
                self._simulations.derived("site_xpos")[:, self._feet], dtype=torch.float32
            ),
        )

    def reset(
        self, rows: torch.Tensor, position: torch.Tensor, orientation: torch.Tensor, joints: torch.Tensor
    ) -> None:
        """See `Engine`; the pose is also what the motors hold until the next target acts."""
        stiffness, damping = self._known_gains()
        index = rows.numpy()
        self._simulations.place(index, torch.cat([position, orientation, joints], dim=1).double().numpy())
        self._motors.hold(index, joints.double().numpy(), stiffness, damping)

    def push(self, velocity_change: torch.Tensor) -> None:
        """See `Engine`."""
        change = velocity_change.double().numpy()
        for row in np.flatnonzero(np.abs(change).max(axis=1) > 0.0).tolist():
            self._simulations.push(row, change[row])

    def _known_gains(self) -> tuple[np.ndarray, np.ndarray]:
        if self._gains is None:
            raise TwinBatchError("gains before the first step", "none", "Call `set_parameters` first.")
        return self._gains


def require_trainable(condition: TwinCondition, robot: RobotModel) -> None:
    """Refuse a condition that a policy cannot be trained in.

    Raises:
        TwinBatchError: a slope (the task's shaping measures heights from the level), or what a batch does not cover.
    """
    require_covered(condition, robot)
    if condition.ground.slope_rad != 0.0:
        raise TwinBatchError(
            f"level ground to train on in {condition.name}",
            f"ground.slope_rad: {condition.ground.slope_rad:g}",
            "The velocity task measures feet and trunk from the level; train on a condition without slope.",
        )


def condition_randomization(condition: TwinCondition) -> Randomization:
    """The condition as the velocity task draws it: one physics, the twin's own sensor errors and pushes.

    The task's noise is uniform: its half width is sqrt(3) standard deviations. A bias of the attitude is drawn with
    the noise, for the task knows no other. The task draws both axes of a push uniformly up to its largest speed p,
    which is p sqrt(2 / 3) rms; the twin pushes by exactly its speed, so that p is sqrt(3 / 2) of it.
    """
    imu, encoders, pushes = condition.imu, condition.encoders, condition.disturbance
    half_width = math.sqrt(3.0)
    never = pushes.push_interval_s == 0.0
    return Randomization(
        friction=(condition.ground.friction, condition.ground.friction),
        payload_kg=(condition.payload.mass_kg, condition.payload.mass_kg),
        center_of_mass_shift_m=0.0,
        gain_scale=(1.0, 1.0),
        joint_friction_nm=(condition.motors.joint_friction_nm, condition.motors.joint_friction_nm),
        encoder_offset_rad=half_width * encoders.zero_offset_rad,
        delay_substeps=(0, 0),  # the engine delays as the condition says
        gravity_noise=half_width * math.hypot(imu.orientation_noise_rad, imu.orientation_bias_rad),
        angular_velocity_noise_rad_s=half_width * math.hypot(imu.gyro_noise_rad_s, imu.gyro_bias_rad_s),
        joint_position_noise_rad=half_width * encoders.position_noise_rad,
        joint_velocity_noise_rad_s=half_width * encoders.velocity_noise_rad_s,
        push_interval_s=Randomization.push_interval_s if never else pushes.push_interval_s,
        push_speed_m_s=0.0 if never else math.sqrt(1.5) * pushes.push_speed_m_s,
    )
