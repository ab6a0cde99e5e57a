"""What Isaac Gym's robots find themselves in: PhysX with its settings, and the ground."""

from __future__ import annotations

from typing import Any, Optional

from robot_configs.errors import Go1Error
from robot_configs.robot import GRAVITY_M_S2
from sim.terrain.height_field import HeightField

PHYSICS_DT_S = 0.004  # that of go1.xml: delays are counted in physics steps
# PhysX takes the mean friction of a pair: on ground without friction of its own, twice the pair's friction on the foot.
GROUND_FRICTION = 0.0
# legged_gym's sizes of PhysX's buffers on the GPU, for thousands of robots on a mesh: what exceeds them is lost.
CONTACT_PAIRS, BUFFER_SIZE_MULTIPLIER = 2**23, 5.0


class IsaacGymError(Go1Error):
    """Isaac Gym can not do what was asked."""


def simulation_parameters(gymapi: Any, sim_device: str) -> Any:
    """Isaac Gym's SimParams for a Go1: z up, PhysX's solver and buffers as legged_gym sets them."""
    parameters = gymapi.SimParams()
    parameters.dt, parameters.substeps = PHYSICS_DT_S, 1
    parameters.up_axis = gymapi.UP_AXIS_Z
    parameters.gravity = gymapi.Vec3(0.0, 0.0, -GRAVITY_M_S2)
    parameters.use_gpu_pipeline = parameters.physx.use_gpu = sim_device.startswith("cuda")
    parameters.physx.solver_type = 1
    parameters.physx.num_position_iterations, parameters.physx.num_velocity_iterations = 4, 0
    parameters.physx.contact_offset, parameters.physx.rest_offset = 0.01, 0.0
    parameters.physx.bounce_threshold_velocity, parameters.physx.max_depenetration_velocity = 0.5, 1.0
    parameters.physx.max_gpu_contact_pairs = CONTACT_PAIRS
    parameters.physx.default_buffer_size_multiplier = BUFFER_SIZE_MULTIPLIER
    return parameters


def create_simulation(gym: Any, gymapi: Any, sim_device: str, parameters: Any) -> Any:
    """A simulation without graphics and without anything in it.

    Raises:
        IsaacGymError: Isaac Gym made none.
    """
    device_id = int(sim_device.split(":")[1]) if ":" in sim_device else 0
    sim = gym.create_sim(device_id, -1, gymapi.SIM_PHYSX, parameters)  # -1: no graphics
    if sim is None:
        raise IsaacGymError("a simulation", "none from create_sim", "Read Isaac Gym's messages above; free the GPU.")
    return sim


def add_ground(gym: Any, gymapi: Any, sim: Any, terrain: Optional[HeightField]) -> None:
    """An endless plane at height zero, or the terrain as a mesh of its own triangles.

    `add_heightfield` would take less memory. But its samples are whole numbers, so that heights are rounded to a unit,
    and along which diagonal it cuts a cell is not ours to choose: feet would touch another ground than the task sees.
    """
    params = gymapi.PlaneParams() if terrain is None else gymapi.TriangleMeshParams()
    params.static_friction = params.dynamic_friction = GROUND_FRICTION
    params.restitution = 0.0
    if terrain is None:
        params.normal = gymapi.Vec3(0.0, 0.0, 1.0)
        gym.add_ground(sim, params)
        return
    vertices, triangles = terrain.triangles()
    params.nb_vertices, params.nb_triangles = len(vertices), len(triangles)
    gym.add_triangle_mesh(sim, vertices.ravel(), triangles.ravel(), params)
