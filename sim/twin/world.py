"""The twin's MuJoCo model: go1.xml changed by a condition, on physics that is deliberately not the trainer's.

The trainer steps 4 ms with the projected Gauss-Seidel solver and pyramidal friction cones. The twin steps 1 ms with
Newton and elliptic cones, and its motors are outside MuJoCo (`sim.twin.motor`): crossing that gap is the rehearsal of
sim-to-real.
"""

from __future__ import annotations

import math

import mujoco
import numpy as np

from robot_configs.errors import Go1Error
from robot_configs.robot import MODEL_XML, RobotModel
from robot_configs.twin_conditions import TwinCondition
from robot_configs.twin_ground import Ground
from sim.divergence import hear_warnings
from sim.twin.foot_drag import add_foot_drag

PHYSICS_STEP_S = 0.001

TERRAIN_HALF_WIDTH_M = 30.0  # a robot at 1.5 m/s stays on it for 20 s; beyond lies the level floor
_PAD_RADIUS_M = 0.5  # level ground around the origin, where the robot lies down
_PAD_FADE_M = 0.5  # over this distance the bumps grow to their height
_MASS_GROUP = 3  # the group whose geoms carry mass in go1.xml
_PAYLOAD_DENSITY_KG_M3 = 2000.0  # a 4 kg cube of 12.6 cm edge: between tools and a battery
_FRICTION_CONE_STIFFNESS = 10.0  # MuJoCo's impratio: firm sliding friction on soft ground, without creep


class TwinModelError(Go1Error):
    """go1.xml and go1.yaml do not describe the same robot."""


def build_model(condition: TwinCondition, robot: RobotModel) -> mujoco.MjModel:
    """Compile the robot and the ground of `condition`; joints, actuators and feet are in the wire's order.

    Behind the joints' actuators come those of the ground's drag, where it has any (`sim.twin.foot_drag`).

    Rough ground starts flat: `roll_terrain` gives it bumps.

    Raises:
        TwinModelError: the joints of go1.xml are not those of `robot`, in its order.
    """
    hear_warnings()
    spec = mujoco.MjSpec.from_file(str(MODEL_XML))
    _set_physics(spec)
    for actuator in spec.actuators:
        actuator.set_to_motor()
        actuator.forcelimited = False  # the motor model limits, by speed as well
    for foot in robot.foot_names:
        spec.site(f"{foot}_foot").size = [robot.geometry.foot_radius] * 3
        spec.add_sensor(
            name=f"{foot}_touch",
            type=mujoco.mjtSensor.mjSENS_TOUCH,
            objtype=mujoco.mjtObj.mjOBJ_SITE,
            objname=f"{foot}_foot",
        )
    _add_payload(spec, condition)
    _lay_ground(spec, condition.ground)
    add_foot_drag(spec, condition.ground, robot)
    model = spec.compile()
    _require_wire_order(model, robot)
    model.dof_frictionloss[6:] = condition.motors.joint_friction_nm
    model.dof_damping[6:] = condition.motors.joint_damping_nm_s_rad
    # Bounding volumes serve the viewer only and cost up to three times the step.
    model.vis.global_.bvactive = 0
    return model


def _set_physics(spec: mujoco.MjSpec) -> None:
    spec.option.timestep = PHYSICS_STEP_S
    spec.option.solver = mujoco.mjtSolver.mjSOL_NEWTON
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    spec.option.iterations = 20
    spec.option.impratio = _FRICTION_CONE_STIFFNESS


def _add_payload(spec: mujoco.MjSpec, condition: TwinCondition) -> None:
    payload = condition.payload
    if payload.mass_kg == 0.0:
        return
    half_edge = 0.5 * (payload.mass_kg / _PAYLOAD_DENSITY_KG_M3) ** (1.0 / 3.0)
    body = spec.body("trunk").add_body(name="payload", pos=list(payload.offset_in_trunk_m))
    body.add_geom(
        name="payload",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[half_edge] * 3,
        mass=payload.mass_kg,
        group=_MASS_GROUP,
        contype=0,  # it rides on top: its weight matters, its touch does not
        conaffinity=0,
        rgba=[0.8, 0.5, 0.2, 1.0],
    )


def _lay_ground(spec: mujoco.MjSpec, ground: Ground) -> None:
    floor = spec.geom("floor")
    floor.quat = ground_quaternion(ground)
    surfaces = [floor]
    if ground.roughness_height_m > 0.0:
        surfaces.append(_add_terrain(spec, floor, ground))
    for surface in surfaces:
        # Without a priority above the feet's, MuJoCo would mix the feet's hard contact into every ground.
        surface.priority = 1
        surface.friction[0] = ground.friction
        surface.solref[:] = [ground.contact_time_constant_s, ground.contact_damping_ratio]
        surface.solimp[:3] = [ground.impedance_at_touch, ground.impedance_at_width, ground.penetration_width_m]


def _add_terrain(spec: mujoco.MjSpec, floor: mujoco.MjsGeom, ground: Ground) -> mujoco.MjsGeom:
    points = 2 * math.ceil(TERRAIN_HALF_WIDTH_M / ground.roughness_spacing_m) + 1
    spec.add_hfield(
        name="terrain",
        nrow=points,
        ncol=points,
        size=[TERRAIN_HALF_WIDTH_M, TERRAIN_HALF_WIDTH_M, ground.roughness_height_m, 0.1],
        userdata=np.zeros(points * points, dtype=np.float32),
    )
    return spec.worldbody.add_geom(
        name="terrain",
        type=mujoco.mjtGeom.mjGEOM_HFIELD,
        hfieldname="terrain",
        quat=floor.quat,
        material=floor.material,
        contype=floor.contype,
        conaffinity=floor.conaffinity,
        condim=floor.condim,
        friction=floor.friction,
    )


def roll_terrain(model: mujoco.MjModel, generator: np.random.Generator) -> None:
    """Draw new bumps, uniform between the floor and the roughness height; does nothing on even ground.

    The ground around the origin stays level, so that a folded robot lies there as anywhere else.
    """
    if model.nhfield == 0:
        return
    rows, columns = int(model.hfield_nrow[0]), int(model.hfield_ncol[0])
    y, x = np.meshgrid(
        np.linspace(-TERRAIN_HALF_WIDTH_M, TERRAIN_HALF_WIDTH_M, rows),
        np.linspace(-TERRAIN_HALF_WIDTH_M, TERRAIN_HALF_WIDTH_M, columns),
        indexing="ij",
    )
    growth = np.clip((np.hypot(x, y) - _PAD_RADIUS_M) / _PAD_FADE_M, 0.0, 1.0)
    model.hfield_data[:] = (growth * generator.random((rows, columns))).ravel()


def ground_quaternion(ground: Ground) -> np.ndarray:
    """Orientation (4,) w x y z of the ground in the world: a positive slope rises along +x."""
    half = -0.5 * ground.slope_rad  # about +y a positive turn would lower the front
    return np.array([math.cos(half), 0.0, math.sin(half), 0.0])


def _require_wire_order(model: mujoco.MjModel, robot: RobotModel) -> None:
    """Everything after this indexes joints by slices, so the order is settled once, by name."""
    joints = tuple(model.joint(index).name for index in range(1, model.njnt))
    turns_a_joint = model.actuator_trntype == mujoco.mjtTrn.mjTRN_JOINT
    actuators = tuple(model.actuator(int(index)).name for index in np.flatnonzero(turns_a_joint))
    for kind, names in (("joints", joints), ("actuators", actuators)):
        if names != robot.joint_names:
            raise TwinModelError(
                f"the {kind} {', '.join(robot.joint_names)} in {MODEL_XML.name}",
                ", ".join(names),
                "Bring go1.xml into the order of the wire.",
            )
