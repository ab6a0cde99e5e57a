"""The enumerations and flags of gymapi that legged_gym and our engine name, with Isaac Gym's values."""

from __future__ import annotations

from enum import IntEnum


class SimType(IntEnum):
    """Physics engines."""

    SIM_PHYSX = 0
    SIM_FLEX = 1


class UpAxis(IntEnum):
    """Which axis points up."""

    UP_AXIS_Y = 0
    UP_AXIS_Z = 1


class DofDriveMode(IntEnum):
    """What drives a degree of freedom."""

    DOF_MODE_NONE = 0
    DOF_MODE_POS = 1
    DOF_MODE_VEL = 2
    DOF_MODE_EFFORT = 3


class DofType(IntEnum):
    """Kinds of degrees of freedom."""

    DOF_INVALID = 0
    DOF_ROTATION = 1
    DOF_TRANSLATION = 2


class ContactCollection(IntEnum):
    """Which substeps report contacts."""

    CC_NEVER = 0
    CC_LAST_SUBSTEP = 1
    CC_ALL_SUBSTEPS = 2


class IndexDomain(IntEnum):
    """What an index counts in."""

    DOMAIN_ACTOR = 0
    DOMAIN_ENV = 1
    DOMAIN_SIM = 2


class CoordinateSpace(IntEnum):
    """The frame a vector is given in."""

    ENV_SPACE = 0
    LOCAL_SPACE = 1
    GLOBAL_SPACE = 2
