"""What the robots stand on: a plane, a height field, or a triangle mesh laid onto a grid."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from sim.isaacgym_shim.errors import IsaacGymShimError, UnsupportedCallError
from sim.isaacgym_shim.parameters import HeightFieldParams, PlaneParams, TriangleMeshParams
from sim.isaacgym_shim.value_types import Transform

# Below the lowest sample; MuJoCo's height fields are solid, and a robot must not fall through a thin one in a step.
BASE_THICKNESS_M = 1.0
# Of a cell: how far from a node a vertex of float32 may lie, and how far outside a triangle a node.
NODE_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Plane:
    """z = height_m everywhere."""

    height_m: float
    friction: float


@dataclass(frozen=True, eq=False)
class Field:
    """Heights (X, Y) [m] over a grid of spacing (dx, dy) [m] whose first sample lies at `origin` (x, y) [m]."""

    heights: np.ndarray
    spacing: tuple[float, float]
    origin: tuple[float, float]
    friction: float


Ground = Plane | Field


def plane(params: PlaneParams) -> Plane:
    """The ground of `add_ground`; Isaac Gym's plane is normal . x + distance = 0."""
    if (params.normal.x, params.normal.y, params.normal.z) != (0.0, 0.0, 1.0):
        raise UnsupportedCallError(f"a ground with {params.normal}", "Set the normal to Vec3(0, 0, 1).")
    return Plane(-params.distance, _friction(params))


def height_field(samples: np.ndarray, params: HeightFieldParams) -> Field:
    """The ground of `add_heightfield`.

    legged_gym hands over an array (x, y) with nbColumns = its length along x and nbRows = its length along y: columns
    follow each other along x, and the samples of a column lie along y.
    """
    count = params.nbRows * params.nbColumns
    if np.size(samples) != count:
        expected = f"nbRows x nbColumns = {params.nbRows} x {params.nbColumns} samples"
        raise IsaacGymShimError(expected, f"{np.size(samples)}", "Let the counts fit the samples.")
    heights = np.asarray(samples, dtype=float).reshape(params.nbColumns, params.nbRows) * params.vertical_scale
    return _placed(heights, (params.column_scale, params.row_scale), (0.0, 0.0), params.transform, _friction(params))


def triangle_mesh(vertices: np.ndarray, triangles: np.ndarray, params: TriangleMeshParams) -> Field:
    """The ground of `add_triangle_mesh`, as the highest surface over every node of the grid of its vertices.

    MuJoCo collides with the convex hull of a mesh, which is of no use as ground. Terrain meshes that
    `convert_heightfield_to_trimesh` makes have all their vertices over a regular grid, so that the field is exact but
    for vertical walls, which become slopes one grid cell wide.
    """
    points = np.asarray(vertices, dtype=float).reshape(params.nb_vertices, 3)
    corners = points[np.asarray(triangles, dtype=int).reshape(params.nb_triangles, 3)]
    dx, nx = _grid(points[:, 0], "x")
    dy, ny = _grid(points[:, 1], "y")
    heights = np.full((nx, ny), -np.inf)
    low = points.min(axis=0)
    scaled = (corners - [low[0], low[1], 0.0]) / [dx, dy, 1.0]
    _raise_under(heights, scaled)
    if not np.isfinite(heights).all():
        raise UnsupportedCallError("a triangle mesh with holes", "Cover the whole rectangle with triangles.")
    return _placed(heights, (dx, dy), (float(low[0]), float(low[1])), params.transform, _friction(params))


def _grid(values: np.ndarray, axis: str) -> tuple[float, int]:
    """Spacing [m] and number of the equidistant nodes that all values lie on."""
    unique = np.unique(values.round(6))
    gaps = np.diff(unique) if len(unique) > 1 else np.ones(1)
    # The mean of the narrow ones: one alone is as inexact as two float32 numbers, which miscounts the cells of 300 m.
    gap = float(gaps[gaps < 1.5 * gaps.min()].mean())
    count = round((unique[-1] - unique[0]) / gap)
    spacing = (unique[-1] - unique[0]) / count if count else gap
    steps = (unique - unique[0]) / spacing
    if np.abs(steps - steps.round()).max() > NODE_TOLERANCE:
        raise UnsupportedCallError(
            f"a triangle mesh whose vertices lie on no regular grid along {axis}", "Make the terrain a height field."
        )
    return float(spacing), count + 1


def _raise_under(heights: np.ndarray, triangles: np.ndarray) -> None:
    """Lift the nodes under triangles (T, 3 corners, 3) to their surfaces; x and y are in cells from the first node.

    All triangles at once are asked about each node of their bounding boxes: those of terrain span a few cells.
    """
    corner, edges = triangles[:, 0, :2], triangles[:, 1:, :2] - triangles[:, :1, :2]
    area = edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]
    lies = np.abs(area) > 1e-9  # seen from above a wall is a line: its ends belong to neighbouring triangles
    triangles, corner, edges, area = triangles[lies], corner[lies], edges[lies], area[lies]
    first = np.floor(triangles[..., :2].min(axis=1) + NODE_TOLERANCE).astype(int)
    span = np.ceil(triangles[..., :2].max(axis=1) - NODE_TOLERANCE).astype(int) - first
    for offset in np.ndindex(*(span.max(axis=0) + 1)):
        node = first + offset
        x, y = (node - corner).T
        second = (x * edges[:, 1, 1] - y * edges[:, 1, 0]) / area
        third = (y * edges[:, 0, 0] - x * edges[:, 0, 1]) / area
        inside = (np.minimum(second, third) > -NODE_TOLERANCE) & (second + third < 1.0 + NODE_TOLERANCE)
        z = triangles[..., 2]
        surface = z[:, 0] + second * (z[:, 1] - z[:, 0]) + third * (z[:, 2] - z[:, 0])
        np.maximum.at(heights, tuple(node[inside].T), surface[inside])


def _placed(
    heights: np.ndarray,
    spacing: tuple[float, float],
    corner: tuple[float, float],
    transform: Transform,
    friction: float,
) -> Field:
    rotation, position = transform.r, transform.p
    if (rotation.x, rotation.y, rotation.z) != (0.0, 0.0, 0.0):
        raise UnsupportedCallError(f"a turned ground, {rotation}", "Leave the rotation of its transform at identity.")
    return Field(heights + position.z, spacing, (corner[0] + position.x, corner[1] + position.y), friction)


def _friction(params: PlaneParams | HeightFieldParams | TriangleMeshParams) -> float:
    if params.static_friction != params.dynamic_friction:
        raise UnsupportedCallError(
            f"static friction {params.static_friction} with dynamic friction {params.dynamic_friction}",
            "MuJoCo has one coefficient: give both the same value.",
        )
    if params.restitution != 0.0:
        raise UnsupportedCallError(f"a ground of restitution {params.restitution}", "Set restitution to 0.")
    return params.static_friction


def add_to(spec: mujoco.MjSpec, ground: Ground, name: str) -> mujoco.MjsGeom:
    """The ground as a geom of the world."""
    if isinstance(ground, Plane):
        return spec.worldbody.add_geom(
            name=name, type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0.0, 0.0, 1.0], pos=[0.0, 0.0, ground.height_m]
        )
    (nx, ny), (dx, dy) = ground.heights.shape, ground.spacing
    low, high = float(ground.heights.min()), float(ground.heights.max())
    half = [dx * (nx - 1) / 2.0, dy * (ny - 1) / 2.0]
    # MuJoCo scales samples from 0 to 1 by the first height; a flat field still needs a positive one.
    rise = max(high - low, 1e-3)
    samples = ((ground.heights - low) / rise).T
    spec.add_hfield(name=name, nrow=ny, ncol=nx, size=[*half, rise, BASE_THICKNESS_M], userdata=samples.flatten())
    center = [ground.origin[0] + half[0], ground.origin[1] + half[1], low]
    return spec.worldbody.add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_HFIELD, hfieldname=name, pos=center)
