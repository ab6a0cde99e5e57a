"""What holds back a foot that is sunk into foam: the wall of its dent, which drags on it along the ground.

MuJoCo's contact pushes a sunken foot up and holds it by friction while it is pressed down; one that carries little is
moved on as if nothing were around it. Foam is: with depth r of the foot's lowest point below the ground and its
velocity v along the ground, the drag is

    F = -D r v        D in N s/m^2, r >= 0

Up and down nothing is added: the foam's spring and its loss are the contact's. The drag takes energy at any velocity
and is nothing while the foot rests. Each foot has two actuators for it, one an axis along the ground, whose controls
are its depth [m]: MuJoCo integrates what depends on velocity implicitly, so that no drag is too large for the step.
Behind the wire and in a batch it is this code. The robot's foot sensors do not feel it.
"""

from __future__ import annotations

import mujoco
import numpy as np

from robot_configs.robot import RobotModel
from robot_configs.twin_ground import Ground

_AXES = "xy"
_GROUND_SITE = "ground"


def add_foot_drag(spec: mujoco.MjSpec, ground: Ground, robot: RobotModel) -> None:
    """Add the actuators behind the joints' own; none where the ground has no drag: its model stays what it was."""
    if ground.foot_drag_n_s_m2 == 0.0:
        return
    spec.worldbody.add_site(name=_GROUND_SITE, quat=spec.geom("floor").quat)
    for foot in robot.foot_names:
        for index, axis in enumerate(_AXES):
            gear = np.zeros(6)
            gear[index] = 1.0
            spec.add_actuator(
                name=f"{foot}_drag_{axis}",
                trntype=mujoco.mjtTrn.mjTRN_SITE,
                target=f"{foot}_foot",
                refsite=_GROUND_SITE,
                gear=gear,
                gaintype=mujoco.mjtGain.mjGAIN_AFFINE,
                gainprm=[0.0, 0.0, -ground.foot_drag_n_s_m2, *[0.0] * 7],
            )


class FootDrag:
    """Tells the actuators of `add_foot_drag` how deep each foot is, on one robot or on many.

    Attributes:
        acts: whether the ground has any drag.
    """

    def __init__(self, model: mujoco.MjModel, robot: RobotModel) -> None:
        site = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, _GROUND_SITE)
        self.acts = site >= 0
        self._joints = len(robot.joint_names)
        self._feet = [model.geom(f"{name}_foot").id for name in robot.foot_names]
        self._radius = robot.geometry.foot_radius
        self._normal = np.zeros(3)
        if self.acts:
            mujoco.mju_rotVecQuat(self._normal, np.array([0.0, 0.0, 1.0]), model.site_quat[site])

    def apply(self, control: np.ndarray, geom_position: np.ndarray) -> None:
        """Write the depths of the next physics step into `control`; does nothing where there is no drag.

        Args:
            control: (..., U) of all actuators; changed in place.
            geom_position: (..., G, 3) of all geoms in the world [m]. MuJoCo's own are those that the last step started
                from, a millisecond old.
        """
        if not self.acts:
            return
        x, y, z = np.moveaxis(geom_position[..., self._feet, :], -1, 0)
        # Not a product of matrices: one robot and many would be rounded differently.
        height = x * self._normal[0] + y * self._normal[1] + z * self._normal[2]
        depth = np.maximum(self._radius - height, 0.0)
        control[..., self._joints :] = np.repeat(depth, len(_AXES), axis=-1)
