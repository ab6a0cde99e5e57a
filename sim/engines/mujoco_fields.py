"""Each robot's own MuJoCo model, as the rows of the fields in which the models differ; for MuJoCo and MuJoCo Warp."""

from __future__ import annotations

from typing import Dict, Sequence

import mujoco
import numpy as np

from robot_configs.errors import Go1Error
from sim.engines.mujoco_model import ground_geoms
from sim.engines.protocol import MAX_DELAY_SUBSTEPS, PhysicsParameters
from sim.engines.trunk_load import loaded_trunk

VARIED = (
    *("geom_friction", "geom_solref", "body_mass", "body_ipos", "body_inertia", "dof_frictionloss", "dof_armature"),
    *("actuator_gainprm", "actuator_biasprm", "actuator_forcerange", "actuator_delay"),
)
# What MuJoCo computes from them: masses below a body, inverse weights of the contact and friction constraints.
DERIVED = ("body_subtreemass", "body_invweight0", "dof_invweight0")
_FREE_JOINT_DOFS = 6


class MujocoParametersError(Go1Error):
    """Parameters that MuJoCo's models can not hold."""


def model_fields(
    model: mujoco.MjModel, foot_names: Sequence[str], parameters: PhysicsParameters
) -> Dict[str, np.ndarray]:
    """The fields `VARIED` of N robots' models: MuJoCo's own shapes and units behind a leading N.

    Raises:
        MujocoParametersError: a delay outside 0 to `MAX_DELAY_SUBSTEPS`.
    """
    count = len(parameters.friction)
    fields = {name: np.repeat(np.array(getattr(model, name))[None], count, axis=0) for name in VARIED}
    feet = [model.geom(f"{name}_foot").id for name in foot_names]
    contact_pair = [*feet, *ground_geoms(model)]
    fields["geom_friction"][:, feet, 0] = parameters.friction[:, None].numpy()
    fields["geom_solref"][:, contact_pair, 0] = parameters.ground_time_constant_s[:, None].numpy()
    fields["dof_frictionloss"][:, _FREE_JOINT_DOFS:] = parameters.joint_friction_nm.numpy()
    fields["dof_armature"][:, _FREE_JOINT_DOFS:] *= parameters.armature_scale.numpy()
    fields["actuator_delay"][:] = _delay_s(model, parameters)[:, None]
    _set_motors(fields, parameters)
    _set_masses(fields, model.body("trunk").id, parameters)
    return fields


def _delay_s(model: mujoco.MjModel, parameters: PhysicsParameters) -> np.ndarray:
    """(N,) [s], half a step earlier than the steps they fall between: sums of time steps are not exact."""
    delay = parameters.delay_substeps.numpy()
    if delay.min() < 0 or delay.max() > MAX_DELAY_SUBSTEPS:
        found = f"{delay.min()} to {delay.max()}"
        raise MujocoParametersError(f"delays of 0 to {MAX_DELAY_SUBSTEPS} physics steps", found, "Shorten the delay.")
    return np.maximum(delay - 0.5, 0.0) * model.opt.timestep


def _set_motors(fields: Dict[str, np.ndarray], parameters: PhysicsParameters) -> None:
    """strength x clip(Kp (q* - q) - Kd q', limit) = clip of the scaled gains at the scaled limit."""
    strength = parameters.motor_strength.numpy()
    stiffness, damping = strength * parameters.stiffness.numpy(), strength * parameters.damping.numpy()
    fields["actuator_gainprm"][:, :, 0] = stiffness
    fields["actuator_biasprm"][:, :, 1] = -stiffness
    fields["actuator_biasprm"][:, :, 2] = -damping
    fields["actuator_forcerange"] *= strength[:, :, None]


def _set_masses(fields: Dict[str, np.ndarray], trunk: int, parameters: PhysicsParameters) -> None:
    """Links scaled, then the payload on the trunk."""
    scale = parameters.link_mass_scale.double().numpy()
    fields["body_mass"] *= scale[:, None]
    fields["body_inertia"] *= scale[:, None, None]
    loaded = loaded_trunk(fields["body_mass"][:, trunk].copy(), parameters)
    fields["body_mass"][:, trunk] = loaded.mass_kg
    fields["body_ipos"][:, trunk] += loaded.center_shift_m
    fields["body_inertia"][:, trunk] += loaded.added_inertia
