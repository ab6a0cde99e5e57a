"""One MuJoCo model of an asset on its ground, of which every environment is a copy."""

from __future__ import annotations

import mujoco

from sim.divergence import hear_warnings
from sim.isaacgym_shim.assets import UNLIMITED, Asset
from sim.isaacgym_shim.errors import IsaacGymShimError
from sim.isaacgym_shim.ground import Ground, add_to
from sim.isaacgym_shim.parameters import SimParams

GROUND = "isaacgym:ground"
# MuJoCo takes the larger friction of a pair, PhysX the mean. Robots' shapes carry the mean; the ground stays below it.
GROUND_FRICTION = 1e-4
SLIDING_PAIR = (1.0, 0.02, 0.01)
# Same integrator and solver as robot_configs/go1.xml, so that the two engines differ by their interface alone.
SOLVER_ITERATIONS = 10


def build_model(asset: Asset, grounds: list[Ground], params: SimParams, self_collisions: bool) -> mujoco.MjModel:
    """The model: joint drives, ground, and a net contact force for every body that can touch something."""
    if len(grounds) > 1:
        raise IsaacGymShimError("at most one ground", f"{len(grounds)}", "Add a plane, a height field or a mesh.")
    hear_warnings()
    spec = asset.spec.copy()
    _set_options(spec, params)
    for geom in spec.geoms:
        if geom.name in asset.shape_names:
            geom.contype, geom.conaffinity, geom.condim = 2, 3 if self_collisions else 1, 3
            geom.friction = SLIDING_PAIR
    for body in spec.bodies:
        # Properties may turn any body's inertia later; MuJoCo takes short cuts where the compiled axes allow them.
        body.simple = False
    for ground in grounds:
        floor = add_to(spec, ground, GROUND)
        floor.contype, floor.conaffinity, floor.condim = 1, 2, 3
        floor.friction = [GROUND_FRICTION, *SLIDING_PAIR[1:]]
    for name in asset.dof_names:
        spec.add_actuator(
            name=name,
            target=name,
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            gaintype=mujoco.mjtGain.mjGAIN_FIXED,
            biastype=mujoco.mjtBias.mjBIAS_AFFINE,
            forcelimited=mujoco.mjtLimited.mjLIMITED_TRUE,
            forcerange=[-UNLIMITED, UNLIMITED],
        )
    for name in touching_bodies(asset):
        spec.add_sensor(
            name=f"contact:{name}",
            type=mujoco.mjtSensor.mjSENS_CONTACT,
            objtype=mujoco.mjtObj.mjOBJ_BODY,
            objname=name,
            intprm=[1 << int(mujoco.mjtConDataField.mjCONDATA_FORCE), NET_FORCE, 1],
        )
    model = spec.compile()
    model.vis.global_.bvactive = 0  # bounding-volume bookkeeping for the viewer costs up to 3x in stepping
    return model


# `reduce="netforce"` of MuJoCo's contact sensor: one row, the sum of the forces in world axes.
NET_FORCE = 3


def touching_bodies(asset: Asset) -> list[str]:
    """Bodies with a collision shape, in the asset's order: those whose contact force can differ from zero."""
    return [name for name, (_, count) in zip(asset.body_names, asset.shape_ranges, strict=True) if count]


def _set_options(spec: mujoco.MjSpec, params: SimParams) -> None:
    spec.option.timestep = params.dt / params.substeps
    spec.option.gravity = params.gravity.array()
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.cone = mujoco.mjtCone.mjCONE_PYRAMIDAL
    spec.option.solver = mujoco.mjtSolver.mjSOL_PGS
    spec.option.iterations = SOLVER_ITERATIONS
    # What diverges stays to be seen (`sim.divergence`), as with PhysX.
    spec.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
