"""The trainer's MuJoCo model: go1.xml with delays in its actuators and, where asked for, terrain for a floor."""

from __future__ import annotations

from typing import Optional

import mujoco

from robot_configs.robot import MODEL_XML
from sim.engines.protocol import MAX_DELAY_SUBSTEPS
from sim.terrain.height_field import HeightField

FLOOR = "floor"  # its name in go1.xml; terrain takes it over
# MuJoCo takes the larger friction of a pair: the ground's is lowered so that the feet's decides.
GROUND_FRICTION = 0.05
_BASE_THICKNESS_M = 1.0  # of a height field below its lowest sample: no foot can pass through it in a step
_LEAST_RISE_M = 1e-3  # MuJoCo scales samples from 0 to 1 by their range, which must not be zero


def training_model(terrain: Optional[HeightField] = None, delays: bool = True) -> mujoco.MjModel:
    """The model of every robot; time step and solver are those of go1.xml.

    Args:
        delays: whether the actuators remember their last `MAX_DELAY_SUBSTEPS` targets.
    """
    spec = mujoco.MjSpec.from_file(str(MODEL_XML))
    if delays:
        for actuator in spec.actuators:
            actuator.nsample = MAX_DELAY_SUBSTEPS + 1
            actuator.interp = 0  # a target holds until the next
    if terrain is not None:
        _lay(spec, terrain)
    spec.geom(FLOOR).friction[0] = GROUND_FRICTION
    model = spec.compile()
    model.vis.global_.bvactive = 0  # bounding-volume bookkeeping for the viewer costs up to 3x in stepping
    return model


def _lay(spec: mujoco.MjSpec, terrain: HeightField) -> None:
    """Turn the floor into a height field; MuJoCo's rows lie along y."""
    columns, rows = terrain.heights_m.shape
    low, high = float(terrain.heights_m.min()), float(terrain.heights_m.max())
    rise = max(high - low, _LEAST_RISE_M)
    half_x, half_y = 0.5 * (columns - 1) * terrain.spacing_m, 0.5 * (rows - 1) * terrain.spacing_m
    spec.add_hfield(
        name="terrain",
        nrow=rows,
        ncol=columns,
        size=[half_x, half_y, rise, _BASE_THICKNESS_M],
        userdata=((terrain.heights_m - low) / rise).T.ravel(),
    )
    floor = spec.geom(FLOOR)
    floor.type = mujoco.mjtGeom.mjGEOM_HFIELD
    floor.hfieldname = "terrain"
    floor.pos = [terrain.origin_m[0] + half_x, terrain.origin_m[1] + half_y, low]
