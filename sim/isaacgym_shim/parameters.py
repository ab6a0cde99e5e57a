"""Parameter objects of gymapi: plain fields with Isaac Gym's names and defaults; an unknown name is an error.

The fields that tune PhysX itself (offsets, iterations, buffers, depenetration) are accepted and have no counterpart in
MuJoCo; docs/isaac_gym.md lists them. What would change the motion and cannot be honoured is refused where it is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from sim.isaacgym_shim.enumerations import ContactCollection, DofDriveMode, UpAxis
from sim.isaacgym_shim.numeric_fields import NumericFields
from sim.isaacgym_shim.value_types import Mat33, Transform, Vec3

# One row a degree of freedom. Stiffness and damping are those of the drive; effort [Nm] bounds the drive.
DOF_PROPERTIES = np.dtype(
    [
        ("hasLimits", np.bool_),
        ("lower", np.float32),
        ("upper", np.float32),
        ("driveMode", np.int32),
        ("stiffness", np.float32),
        ("damping", np.float32),
        ("velocity", np.float32),
        ("effort", np.float32),
        ("friction", np.float32),
        ("armature", np.float32),
    ]
)


@dataclass(slots=True)
class PhysXParams(NumericFields):
    """Settings of PhysX; `num_threads` is the only one that the shim uses."""

    always_use_articulations: bool = False
    bounce_threshold_velocity: float = 0.2
    contact_collection: int = ContactCollection.CC_ALL_SUBSTEPS
    contact_offset: float = 0.02
    default_buffer_size_multiplier: float = 2.0
    friction_correlation_distance: float = 0.025
    friction_offset_threshold: float = 0.04
    max_depenetration_velocity: float = 100.0
    max_gpu_contact_pairs: int = 1024 * 1024
    num_position_iterations: int = 4
    num_subscenes: int = 0
    num_threads: int = 0
    num_velocity_iterations: int = 1
    rest_offset: float = 0.001
    solver_type: int = 1
    use_gpu: bool = False


@dataclass(slots=True)
class SimParams(NumericFields):
    """Settings of a simulation: step [s], substeps in it, gravity [m/s^2]."""

    dt: float = 1.0 / 60.0
    substeps: int = 2
    up_axis: int = UpAxis.UP_AXIS_Y
    gravity: Vec3 = field(default_factory=lambda: Vec3(0.0, -9.8, 0.0))
    num_client_threads: int = 0
    use_gpu_pipeline: bool = False
    enable_actor_creation_warning: bool = True
    stress_visualization: bool = False
    stress_visualization_max: float = 1.0e5
    stress_visualization_min: float = 0.0
    physx: PhysXParams = field(default_factory=PhysXParams)


@dataclass(slots=True)
class PlaneParams(NumericFields):
    """Endless ground: unit normal, distance below the origin [m]."""

    normal: Vec3 = field(default_factory=lambda: Vec3(0.0, 1.0, 0.0))
    distance: float = 0.0
    static_friction: float = 1.0
    dynamic_friction: float = 1.0
    restitution: float = 0.0
    segmentation_id: int = 0


@dataclass(slots=True)
class HeightFieldParams(NumericFields):
    """Ground of height samples: spacing [m] of rows and columns, height [m] of one unit of a sample."""

    nbRows: int = 0
    nbColumns: int = 0
    row_scale: float = 1.0
    column_scale: float = 1.0
    vertical_scale: float = 1.0
    static_friction: float = 1.0
    dynamic_friction: float = 1.0
    restitution: float = 0.0
    segmentation_id: int = 0
    transform: Transform = field(default_factory=Transform)


@dataclass(slots=True)
class TriangleMeshParams(NumericFields):
    """Ground of triangles."""

    nb_vertices: int = 0
    nb_triangles: int = 0
    static_friction: float = 1.0
    dynamic_friction: float = 1.0
    restitution: float = 0.0
    segmentation_id: int = 0
    transform: Transform = field(default_factory=Transform)


@dataclass(slots=True)
class AssetOptions(NumericFields):
    """How a description of a robot is read."""

    angular_damping: float = 0.5
    linear_damping: float = 0.0
    armature: float = 0.0
    collapse_fixed_joints: bool = False
    convex_decomposition_from_submeshes: bool = False
    default_dof_drive_mode: int = DofDriveMode.DOF_MODE_NONE
    density: float = 1000.0
    disable_gravity: bool = False
    enable_gyroscopic_forces: bool = True
    fix_base_link: bool = False
    flip_visual_attachments: bool = False
    max_angular_velocity: float = 64.0
    max_linear_velocity: float = 1000.0
    override_com: bool = False
    override_inertia: bool = False
    replace_cylinder_with_capsule: bool = False
    slices_per_cylinder: int = 20
    thickness: float = 0.02
    use_mesh_materials: bool = False
    use_physx_armature: bool = True
    vhacd_enabled: bool = False


@dataclass(slots=True)
class RigidShapeProperties(NumericFields):
    """Surface of one collision shape: `friction` counts; restitution, the other frictions and `filter` must stay 0."""

    friction: float = 1.0
    rolling_friction: float = 0.0
    torsion_friction: float = 0.0
    restitution: float = 0.0
    compliance: float = 0.0
    contact_offset: float = 0.02
    rest_offset: float = 0.0
    thickness: float = 0.0
    filter: int = 0


@dataclass(slots=True)
class RigidBodyProperties(NumericFields):
    """Mass [kg], centre of mass in the body's frame [m], inertia about it in the body's axes [kg m^2]."""

    mass: float = 0.0
    com: Vec3 = field(default_factory=Vec3)
    inertia: Mat33 = field(default_factory=Mat33)
    invMass: float = 0.0
    invInertia: Mat33 = field(default_factory=Mat33)
    flags: int = 0


@dataclass(slots=True)
class CameraProperties(NumericFields):
    """Of a viewer's camera; the shim opens no window."""

    width: int = 1600
    height: int = 900
    horizontal_fov: float = 90.0
    near_plane: float = 0.1
    far_plane: float = 2000.0
    enable_tensors: bool = False
    use_collision_geometry: bool = False
    supersampling_horizontal: int = 1
    supersampling_vertical: int = 1
