"""`isaacgym.gymapi`: types, constants and the gym."""

from __future__ import annotations

from typing import NoReturn

from sim.isaacgym_shim.asset_calls import IndexRange
from sim.isaacgym_shim.assets import Asset
from sim.isaacgym_shim.enumerations import (
    ContactCollection,
    CoordinateSpace,
    DofDriveMode,
    DofType,
    IndexDomain,
    SimType,
    UpAxis,
)
from sim.isaacgym_shim.errors import refuse_name
from sim.isaacgym_shim.gym import Gym, acquire_gym
from sim.isaacgym_shim.gymtorch import Tensor
from sim.isaacgym_shim.parameters import (
    AssetOptions,
    CameraProperties,
    HeightFieldParams,
    PhysXParams,
    PlaneParams,
    RigidBodyProperties,
    RigidShapeProperties,
    SimParams,
    TriangleMeshParams,
)
from sim.isaacgym_shim.simulation import Env, Sim
from sim.isaacgym_shim.value_types import Mat33, Quat, Transform, Vec3

SIM_PHYSX, SIM_FLEX = SimType.SIM_PHYSX, SimType.SIM_FLEX
UP_AXIS_Y, UP_AXIS_Z = UpAxis.UP_AXIS_Y, UpAxis.UP_AXIS_Z
DOF_MODE_NONE, DOF_MODE_POS = DofDriveMode.DOF_MODE_NONE, DofDriveMode.DOF_MODE_POS
DOF_MODE_VEL, DOF_MODE_EFFORT = DofDriveMode.DOF_MODE_VEL, DofDriveMode.DOF_MODE_EFFORT
DOF_INVALID, DOF_ROTATION, DOF_TRANSLATION = DofType.DOF_INVALID, DofType.DOF_ROTATION, DofType.DOF_TRANSLATION
CC_NEVER, CC_LAST_SUBSTEP = ContactCollection.CC_NEVER, ContactCollection.CC_LAST_SUBSTEP
CC_ALL_SUBSTEPS = ContactCollection.CC_ALL_SUBSTEPS
DOMAIN_ACTOR, DOMAIN_ENV, DOMAIN_SIM = IndexDomain.DOMAIN_ACTOR, IndexDomain.DOMAIN_ENV, IndexDomain.DOMAIN_SIM
ENV_SPACE, LOCAL_SPACE = CoordinateSpace.ENV_SPACE, CoordinateSpace.LOCAL_SPACE
GLOBAL_SPACE = CoordinateSpace.GLOBAL_SPACE
INVALID_HANDLE = -1
STATE_NONE, STATE_POS, STATE_VEL, STATE_ALL = 0, 1, 2, 3

# What Isaac Gym called the same parameters before Preview 4, and early versions of legged_gym still do.
HeightFieldProperties = HeightFieldParams

__all__ = [
    "Asset",
    "AssetOptions",
    "CameraProperties",
    "ContactCollection",
    "CoordinateSpace",
    "DofDriveMode",
    "DofType",
    "Env",
    "Gym",
    "HeightFieldParams",
    "IndexDomain",
    "IndexRange",
    "Mat33",
    "PhysXParams",
    "PlaneParams",
    "Quat",
    "RigidBodyProperties",
    "RigidShapeProperties",
    "Sim",
    "SimParams",
    "SimType",
    "Tensor",
    "Transform",
    "TriangleMeshParams",
    "UpAxis",
    "Vec3",
    "acquire_gym",
]


def __getattr__(name: str) -> NoReturn:
    refuse_name("gymapi", name)
