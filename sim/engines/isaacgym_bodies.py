"""Masses, their places, inertias and rotors of Isaac Gym's robots: what PhysX keeps from its first step on a GPU."""

from __future__ import annotations

from typing import Any, Dict, Sequence

import numpy as np
import torch

from robot_configs.robot import RobotModel
from sim.engines.isaacgym_scene import IsaacGymError
from sim.engines.protocol import PhysicsParameters
from sim.engines.trunk_load import loaded_trunk

TRUNK = 0  # the root is the first body of an asset
# Between what Isaac Gym is given and what it keeps, of a body's largest entry: float32, and an inertia's axes turned.
KEPT_TOLERANCE = 1e-3
_FIELDS = ("payload_kg", "payload_offset_m", "center_of_mass_shift_m", "link_mass_scale", "armature_scale")


class RobotBodies:
    """The bodies and rotors of N robots of one asset.

    Attributes:
        center_m: (N, 3) of the trunks' centres of mass in their frames.
        armature: (N, 12) [kg m^2] of the rotors, wire order.

    Args:
        env: the environment of a robot whose bodies are still those of its asset.
        motors: (12,) of Isaac Gym's DOF properties for all robots, in its own order of joints.
        wire_to_gym: (12,) places in the wire of the joints in that order.
        num_envs: robots N.
    """

    def __init__(
        self,
        gym: Any,
        gymapi: Any,
        env: Any,
        robot: RobotModel,
        motors: np.ndarray,
        wire_to_gym: torch.Tensor,
        num_envs: int,
    ) -> None:
        self._gym, self._gymapi = gym, gymapi
        self._motors, self._wire_to_gym = motors, wire_to_gym
        bodies = gym.get_actor_rigid_body_properties(env, 0)
        self._mass = np.array([body.mass for body in bodies])
        self._inertia = np.array([_matrix(body.inertia) for body in bodies])
        self._center = torch.tensor(_vector(bodies[TRUNK].com), dtype=torch.float32)
        self._nominal_armature = torch.tensor(robot.armature, dtype=torch.float32)
        self.center_m = self._center.repeat(num_envs, 1)
        self.armature = self._nominal_armature.repeat(num_envs, 1)
        nominal = PhysicsParameters.nominal(num_envs, 1.0, [1.0] * 12, [1.0] * 12)
        self._written = _copies(nominal)

    def differ_from(self, parameters: PhysicsParameters) -> bool:
        """Whether `write` would change anything."""
        return any(not torch.equal(getattr(parameters, name), written) for name, written in self._written.items())

    def write(self, envs: Sequence[Any], parameters: PhysicsParameters) -> None:
        """Hand the bodies and rotors of all robots to the simulator."""
        scale = parameters.link_mass_scale.double().numpy()
        trunk = loaded_trunk(self._mass[TRUNK] * scale, parameters)
        shift = torch.tensor(trunk.center_shift_m, dtype=torch.float32)
        self.center_m = self._center + shift
        self.armature = self._nominal_armature * parameters.armature_scale
        for row, env in enumerate(envs):
            mass, inertia = self._mass * scale[row], self._inertia * scale[row]
            mass[TRUNK] = trunk.mass_kg[row]
            inertia[TRUNK] += np.diag(trunk.added_inertia[row])
            self._write_bodies(env, mass, inertia, self.center_m[row])
            motors = self._motors.copy()
            motors["armature"] = self.armature[row, self._wire_to_gym].numpy()
            self._gym.set_actor_dof_properties(env, 0, motors)
        self._written = _copies(parameters)

    def _write_bodies(self, env: Any, mass: np.ndarray, inertia: np.ndarray, center: torch.Tensor) -> None:
        """Masses (B,) [kg], inertias (B, 3, 3) [kg m^2] and the trunk's centre of mass (3,) [m] of a robot."""
        bodies = self._gym.get_actor_rigid_body_properties(env, 0)
        for index, body in enumerate(bodies):
            body.mass = float(mass[index])
            # Whole: a binding may hand out copies of its parts.
            matrix = self._gymapi.Mat33()
            matrix.x, matrix.y, matrix.z = (self._gymapi.Vec3(*row) for row in inertia[index].tolist())
            body.inertia = matrix
        bodies[TRUNK].com = self._gymapi.Vec3(*center.tolist())
        self._gym.set_actor_rigid_body_properties(env, 0, bodies, recomputeInertia=False)
        kept = self._gym.get_actor_rigid_body_properties(env, 0)
        _require_kept("masses [kg]", mass, [body.mass for body in kept])
        _require_kept("inertias [kg m^2]", inertia, [_matrix(body.inertia) for body in kept])
        _require_kept("a trunk's centre of mass [m]", center.numpy()[None], [_vector(kept[TRUNK].com)])


def _require_kept(what: str, given: np.ndarray, kept: Sequence[Any]) -> None:
    """Isaac Gym answers with what it was given, one row a body; else robots would not be those of their settings."""
    found = np.asarray(kept, dtype=float)
    largest = np.abs(given).max(axis=tuple(range(1, given.ndim)), keepdims=True)
    if (np.abs(found - given) > KEPT_TOLERANCE * largest).any():
        remedy = "Leave payload_offset_m and link_mass_scale out of the randomisation, and tell us."
        raise IsaacGymError(f"{what} {given.tolist()}", f"Isaac Gym keeps {found.tolist()}", remedy)


def _copies(parameters: PhysicsParameters) -> Dict[str, torch.Tensor]:
    """Of what is written, so that a change in the caller's own tensors is seen as one."""
    return {name: getattr(parameters, name).clone() for name in _FIELDS}


def _vector(vec3: Any) -> Sequence[float]:
    return [vec3.x, vec3.y, vec3.z]


def _matrix(mat33: Any) -> Sequence[Sequence[float]]:
    return [_vector(mat33.x), _vector(mat33.y), _vector(mat33.z)]
