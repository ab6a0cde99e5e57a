"""What MuJoCo Warp needs said beforehand: a solver that it has, and room for contacts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import mujoco

from sim.engines.mujoco_model import training_model
from sim.terrain.height_field import HeightField

# Feet and knees touch a plane in a point each, the trunk's box in all of its corners at most.
_PLANE_CONTACTS = 4 + 4 + 8
# A height field answers with a contact for each of its triangles that a body touches.
_TERRAIN_CONTACTS = 48
_ROWS_OF_A_CONTACT = 4  # edges of the friction pyramid
_FREE_JOINT_DOFS = 6


@dataclass(frozen=True)
class Room:
    """What is allocated for each robot.

    Attributes:
        contacts: on average over all robots.
        constraint_rows: of each; joint friction, joint limits and the edges of its contacts' friction pyramids.
    """

    contacts: int
    constraint_rows: int


def warp_training_model(terrain: Optional[HeightField] = None, delays: bool = True) -> mujoco.MjModel:
    """The trainer's model with Newton's solver: MuJoCo Warp has no PGS, which go1.xml asks for."""
    model = training_model(terrain, delays)
    model.opt.solver = mujoco.mjtSolver.mjSOL_NEWTON
    model.opt.iterations, model.opt.ls_iterations = 10, 20
    # Nobody reads them: a tenth of the kernels, and half of what Warp would compile.
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_SENSOR
    # MuJoCo Warp never resets by itself, and knows no flag that says so.
    model.opt.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
    # Several contacts a convex pair: none of our pairs has them there, and on terrain it would warn of that.
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_MULTICCD
    return model


def room(model: mujoco.MjModel) -> Room:
    """Enough for a robot that touches the ground with everything that it has."""
    contacts = _TERRAIN_CONTACTS if model.nhfield else _PLANE_CONTACTS
    joints = model.nv - _FREE_JOINT_DOFS
    return Room(contacts, 2 * joints + _ROWS_OF_A_CONTACT * contacts)
