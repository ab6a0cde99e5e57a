"""Pieces of terrain: heights by hand at places that tell."""

import numpy as np
import pytest

from sim.isaacgym_shim import terrain_utils as tu


@pytest.fixture
def terrain():
    """8 m x 8 m, 0.1 m a sample, 5 mm a unit."""
    return tu.SubTerrain(width=80, length=80, vertical_scale=0.005, horizontal_scale=0.1)


def metres(terrain, x_m, y_m):
    return float(terrain.height_field_raw[round(x_m / 0.1), round(y_m / 0.1)] * 0.005)


def test_a_slope_rises_along_x(terrain):
    tu.sloped_terrain(terrain, slope=0.2)
    assert metres(terrain, 0.0, 3.0) == 0.0
    assert metres(terrain, 5.0, 3.0) == pytest.approx(1.0)
    assert np.ptp(terrain.height_field_raw, axis=1).max() == 0


def test_a_pyramid_is_cut_off_at_its_platform(terrain):
    """Slope 0.2 over 4 m would be 0.8 m; at the platform's corner, 1.5 m off the middle, (2.5 / 4)^2 of it."""
    tu.pyramid_sloped_terrain(terrain, slope=0.2, platform_size=3.0)
    assert metres(terrain, 0.0, 4.0) == 0.0
    assert metres(terrain, 4.0, 4.0) == pytest.approx(0.8 * 0.625**2, abs=0.006)
    assert metres(terrain, 2.0, 4.0) == pytest.approx(metres(terrain, 4.0, 2.0))


def test_a_negative_slope_is_a_pit(terrain):
    tu.pyramid_sloped_terrain(terrain, slope=-0.2, platform_size=3.0)
    assert metres(terrain, 4.0, 4.0) == pytest.approx(-0.8 * 0.625**2, abs=0.006)
    assert terrain.height_field_raw.max() == 0


def test_stairs_go_up_from_every_side(terrain):
    """Treads of 0.5 m and 0.1 m: the edge is on the ground, 1.2 m from it is the second step."""
    tu.pyramid_stairs_terrain(terrain, step_width=0.5, step_height=0.1, platform_size=3.0)
    assert metres(terrain, 0.2, 4.0) == 0.0
    for x, y in ((1.2, 4.0), (6.7, 4.0), (4.0, 1.2), (4.0, 6.7)):
        assert metres(terrain, x, y) == pytest.approx(0.2)
    assert metres(terrain, 4.0, 4.0) == pytest.approx(0.5)


def test_stairs_along_x(terrain):
    tu.stairs_terrain(terrain, step_width=1.0, step_height=0.1)
    assert [metres(terrain, x, 0.0) for x in (0.5, 1.5, 7.5)] == pytest.approx([0.1, 0.2, 0.8])


def test_random_ground_has_planes_between_its_levels(terrain):
    np.random.seed(2)  # noqa: NPY002 - what programs for Isaac Gym seed
    tu.random_uniform_terrain(terrain, -0.05, 0.05, step=0.005, downsampled_scale=0.2)
    heights = terrain.height_field_raw
    assert (heights.min(), heights.max()) == (-10, 10)
    assert abs(np.diff(heights.astype(int), axis=0)).max() <= 11, "no jump larger than half the range a sample"
    again = tu.SubTerrain(width=80, length=80, vertical_scale=0.005, horizontal_scale=0.1)
    np.random.seed(2)  # noqa: NPY002
    tu.random_uniform_terrain(again, -0.05, 0.05, step=0.005, downsampled_scale=0.2)
    assert np.array_equal(again.height_field_raw, heights)


def test_obstacles_leave_the_platform_free(terrain):
    np.random.seed(3)  # noqa: NPY002
    tu.discrete_obstacles_terrain(terrain, 0.1, 1.0, 2.0, num_rects=20, platform_size=3.0)
    levels = set(np.unique(terrain.height_field_raw).tolist())
    assert levels <= {-20, -10, 0, 10, 20}
    assert len(levels) >= 4
    assert not terrain.height_field_raw[26:54, 26:54].any()


def test_stones_stand_in_a_pit(terrain):
    np.random.seed(4)  # noqa: NPY002
    tu.stepping_stones_terrain(
        terrain, stone_size=0.5, stone_distance=0.2, max_height=0.0, platform_size=3.0, depth=-1.0
    )
    assert set(np.unique(terrain.height_field_raw)) == {-200, 0}
    assert (terrain.height_field_raw[5:7] == -200).all(), "two samples of gap between the rows of stones"
    assert not terrain.height_field_raw[26:54, 26:54].any()


def test_waves(terrain):
    tu.wave_terrain(terrain, num_waves=1, amplitude=0.4)
    assert metres(terrain, 0.0, 0.0) == pytest.approx(0.2)
    assert metres(terrain, 2.0, 0.0) == pytest.approx(0.4)
    assert metres(terrain, 0.0, 4.0) == pytest.approx(-0.2)


def test_a_mesh_has_two_triangles_a_cell():
    vertices, triangles = tu.convert_heightfield_to_trimesh(np.arange(6).reshape(2, 3).astype(np.int16), 0.5, 0.1)
    assert vertices.dtype == np.float32
    assert triangles.dtype == np.uint32
    np.testing.assert_allclose(vertices[4], [0.5, 0.5, 0.4])
    assert len(triangles) == 2 * 2
    # Every triangle is seen counter-clockwise from above, and together they cover the 0.5 m x 1 m.
    flat = vertices[triangles] * [1.0, 1.0, 0.0]
    doubled = np.cross(flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0])[:, 2]
    assert (doubled > 0).all()
    assert doubled.sum() / 2.0 == pytest.approx(0.5)


def test_steep_cells_become_walls():
    """A ledge between x = 1 and x = 2: the lower vertices move to x = 2."""
    heights = np.array([[0, 0], [0, 0], [10, 10], [10, 10]], np.int16)
    vertices, _ = tu.convert_heightfield_to_trimesh(heights, 1.0, 0.1, slope_threshold=0.5)
    np.testing.assert_allclose(vertices[::2, 0], [0.0, 2.0, 2.0, 3.0])
    np.testing.assert_allclose(vertices[::2, 2], [0.0, 0.0, 1.0, 1.0])
