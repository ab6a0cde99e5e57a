"""The trainer's MuJoCo model: go1.xml with delays in its actuators and, where asked for, terrain for a floor."""

from __future__ import annotations

from typing import List, Optional

import mujoco

from robot_configs.robot import MODEL_XML
from sim.divergence import hear_warnings
from sim.engines.protocol import MAX_DELAY_SUBSTEPS
from sim.terrain.height_field import HeightField, Pad

FLOOR = "floor"  # its name in go1.xml; terrain takes it over
_PAD = "pad_"
# MuJoCo takes the larger friction of a pair: the ground's is lowered so that the feet's decides.
GROUND_FRICTION = 0.05
_BASE_THICKNESS_M = 1.0  # of a height field below its lowest sample: no foot can pass through it in a step
_PAD_THICKNESS_M = 0.5  # a foot that sinks in must not be nearer to another side of the block
_LEAST_RISE_M = 1e-3  # MuJoCo scales samples from 0 to 1 by their range, which must not be zero


def training_model(terrain: Optional[HeightField] = None, delays: bool = True) -> mujoco.MjModel:
    """The model of every robot; time step and solver are those of go1.xml.

    Args:
        delays: whether the actuators remember their last `MAX_DELAY_SUBSTEPS` targets.
    """
    return training_spec(terrain, delays).compile()


def training_spec(terrain: Optional[HeightField] = None, delays: bool = True) -> mujoco.MjSpec:
    """What `training_model` is compiled from."""
    hear_warnings()
    spec = mujoco.MjSpec.from_file(str(MODEL_XML))
    if delays:
        for actuator in spec.actuators:
            actuator.nsample = MAX_DELAY_SUBSTEPS + 1
            actuator.interp = 0  # a target holds until the next
    if terrain is not None:
        _lay(spec, terrain)
    for geom in spec.worldbody.geoms:
        if is_ground(geom.name):
            geom.friction[0] = GROUND_FRICTION
    spec.visual.global_.bvactive = 0  # bounding-volume bookkeeping for the viewer costs up to 3x in stepping
    return spec


def is_ground(name: str) -> bool:
    """Whether a geom of that name is what the robot walks on."""
    return name == FLOOR or name.startswith(_PAD)


def ground_geoms(model: mujoco.MjModel) -> List[int]:
    """Ids of all that the robot walks on."""
    return [geom for geom in range(model.ngeom) if is_ground(model.geom(geom).name)]


def _lay(spec: mujoco.MjSpec, terrain: HeightField) -> None:
    """Turn the floor into a height field, and its pads into blocks; MuJoCo's rows lie along y.

    MuJoCo collides with a field's prisms one by one and pushes a foot out by the nearest face: with a foot 2 cm deep
    half of the contact normals are horizontal. What feet sink into has to be a block.
    """
    heights = terrain.heights_m.copy()
    for number, pad in enumerate(terrain.pads):
        heights[terrain.inside(pad)] -= _PAD_THICKNESS_M
        _lay_pad(spec, pad, f"{_PAD}{number}")
    columns, rows = heights.shape
    low, high = float(heights.min()), float(heights.max())
    rise = max(high - low, _LEAST_RISE_M)
    half_x, half_y = 0.5 * (columns - 1) * terrain.spacing_m, 0.5 * (rows - 1) * terrain.spacing_m
    spec.add_hfield(
        name="terrain",
        nrow=rows,
        ncol=columns,
        size=[half_x, half_y, rise, _BASE_THICKNESS_M],
        userdata=((heights - low) / rise).T.ravel(),
    )
    floor = spec.geom(FLOOR)
    floor.type = mujoco.mjtGeom.mjGEOM_HFIELD
    floor.hfieldname = "terrain"
    floor.pos = [terrain.origin_m[0] + half_x, terrain.origin_m[1] + half_y, low]


def _lay_pad(spec: mujoco.MjSpec, pad: Pad, name: str) -> None:
    """A block whose top is the pad, like the floor in everything else."""
    floor = spec.geom(FLOOR)
    (x0, y0), (x1, y1) = pad.first_m, pad.last_m
    spec.worldbody.add_geom(
        name=name,
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[0.5 * (x1 - x0), 0.5 * (y1 - y0), 0.5 * _PAD_THICKNESS_M],
        pos=[0.5 * (x0 + x1), 0.5 * (y0 + y1), pad.height_m - 0.5 * _PAD_THICKNESS_M],
        contype=floor.contype,
        conaffinity=floor.conaffinity,
        condim=floor.condim,
        friction=floor.friction,
        solref=floor.solref,
        solimp=floor.solimp,
        material=floor.material,
    )
