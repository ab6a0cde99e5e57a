"""Grounds: where balls of 0.1 m radius come to rest tells which sample lies where."""

import numpy as np
import pytest
import torch

from sim.isaacgym_shim import gymapi, terrain_utils
from sim.isaacgym_shim.errors import IsaacGymShimError, UnsupportedCallError
from sim.isaacgym_shim.ground import height_field, plane, triangle_mesh
from tests.sim.isaacgym_shim.conftest import BALL_RADIUS_M, floor

# 5 x 4 samples [cells of 1 m]: x along rows. A ledge of 3 units in the far corner, one of 7 along the last x.
SAMPLES = np.zeros((5, 4), np.int16)
SAMPLES[3:, :] = 7
SAMPLES[:2, 2:] = 3


def field_params() -> gymapi.HeightFieldParams:
    """As legged_gym sets them: columns along x, rows along y, shifted by a border of 1 m."""
    params = gymapi.HeightFieldParams()
    params.nbColumns, params.nbRows = SAMPLES.shape
    params.column_scale = params.row_scale = 1.0
    params.vertical_scale = 0.1
    params.transform.p = gymapi.Vec3(-1.0, -1.0, 0.5)
    return params


def mesh(slope_threshold=None):
    vertices, triangles = terrain_utils.convert_heightfield_to_trimesh(SAMPLES, 1.0, 0.1, slope_threshold)
    params = gymapi.TriangleMeshParams()
    params.nb_vertices, params.nb_triangles = len(vertices), len(triangles)
    params.transform.p = gymapi.Vec3(-1.0, -1.0, 0.5)
    return vertices, triangles, params


def test_balls_rest_on_the_samples_under_them(ball_scene):
    """Balls over the flat cells at (0.5, 0.5), (0.5, 2.5) and (3.5, 1.5), less the border."""
    places = [(-0.5, -0.5, 0.0), (-0.5, 1.5, 0.3), (2.5, 0.5, 0.7)]
    start = [(x, y, 0.5 + z + BALL_RADIUS_M + 0.1) for x, y, z in places]
    scene = ball_scene(start, lambda gym, sim: gym.add_heightfield(sim, SAMPLES.flatten(), field_params()))
    scene.simulate(250)
    rest = torch.tensor([0.5 + z + BALL_RADIUS_M for _, _, z in places])
    torch.testing.assert_close(scene.root[:, 2], rest, atol=5e-3, rtol=0)
    # Equal weights: 2 kg on each.
    torch.testing.assert_close(scene.contact[:, 0, 2], torch.full((3,), 2 * 9.81), atol=0.5, rtol=0)


def test_a_mesh_of_the_same_field_is_the_same_ground():
    from_field, from_mesh = height_field(SAMPLES, field_params()), triangle_mesh(*mesh())
    np.testing.assert_allclose(from_mesh.heights, from_field.heights, atol=1e-6)
    assert from_mesh.spacing == pytest.approx(from_field.spacing)
    assert from_mesh.origin == pytest.approx(from_field.origin)


def test_a_mesh_of_hundreds_of_metres_is_a_grid_too():
    """Vertices of float32 lie up to 15 micrometres beside their places at 400 m: cells of 0.1 m seem to differ."""
    samples = np.zeros((4001, 3), np.int16)
    samples[1234] = 7
    vertices, triangles = terrain_utils.convert_heightfield_to_trimesh(samples, 0.1, 0.1)
    params = gymapi.TriangleMeshParams()
    params.nb_vertices, params.nb_triangles = len(vertices), len(triangles)
    ground = triangle_mesh(vertices, triangles, params)
    assert ground.heights.shape == (4001, 3)
    assert ground.spacing == pytest.approx((0.1, 0.1), rel=1e-6)
    np.testing.assert_allclose(ground.heights, samples * 0.1, atol=1e-3)  # such a share of the step beside it


def test_walls_become_slopes_within_their_cell():
    """With vertical walls, the field differs only where the lower neighbour of a ledge was pulled under it."""
    exact, walls = height_field(SAMPLES, field_params()).heights, triangle_mesh(*mesh(slope_threshold=0.25)).heights
    assert walls.shape == exact.shape
    assert walls.min() == pytest.approx(0.5)
    np.testing.assert_allclose(walls[3:], exact[3:], atol=1e-6)
    assert (walls - exact).max() < 1e-6, "a wall raises no ground beside it"


def test_a_plane_below_the_origin(ball_scene):
    params = floor()
    params.distance = 0.3
    scene = ball_scene([(0.0, 0.0, 0.0)], lambda gym, sim: gym.add_ground(sim, params))
    scene.simulate(250)
    assert float(scene.root[0, 2]) == pytest.approx(BALL_RADIUS_M - 0.3, abs=2e-3)


def test_a_flat_field_is_a_floor(ball_scene):
    flat = np.zeros((5, 4), np.int16)
    scene = ball_scene([(0.5, 0.5, 0.7)], lambda gym, sim: gym.add_heightfield(sim, flat, field_params()))
    scene.simulate(250)
    assert float(scene.root[0, 2]) == pytest.approx(0.5 + BALL_RADIUS_M, abs=2e-3)


def test_without_ground_things_fall(ball_scene):
    scene = ball_scene([(0.0, 0.0, 1.0)])
    scene.simulate(250)
    assert float(scene.root[0, 9]) == pytest.approx(-9.81, rel=1e-3), "one second of free fall"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"normal": gymapi.Vec3(0.0, 1.0, 0.0)}, "a ground with Vec3"),
        ({"dynamic_friction": 0.5}, "static friction 1.0 with dynamic friction 0.5"),
        ({"restitution": 0.3}, "a ground of restitution 0.3"),
    ],
)
def test_grounds_that_mujoco_does_not_have_are_refused(change, message):
    params = floor()
    for name, value in change.items():
        setattr(params, name, value)
    with pytest.raises(UnsupportedCallError, match=message):
        plane(params)


def test_a_field_of_another_size_is_refused():
    with pytest.raises(IsaacGymShimError, match="4 x 5 samples; found 6"):
        height_field(np.zeros(6, np.int16), field_params())


def test_a_turned_field_is_refused():
    params = field_params()
    params.transform.r = gymapi.Quat.from_axis_angle(gymapi.Vec3(0.0, 0.0, 1.0), 0.3)
    with pytest.raises(UnsupportedCallError, match="a turned ground"):
        height_field(SAMPLES, params)


def test_meshes_that_are_no_field_are_refused():
    vertices, triangles, params = mesh()
    rest = triangles[(triangles != 0).all(axis=1)]  # without those at the first corner
    params.nb_triangles = len(rest)
    with pytest.raises(UnsupportedCallError, match="with holes"):
        triangle_mesh(vertices, rest, params)
    vertices, triangles, params = mesh()
    vertices[1, 1] += 0.37
    with pytest.raises(UnsupportedCallError, match="no regular grid along y"):
        triangle_mesh(vertices, triangles, params)
