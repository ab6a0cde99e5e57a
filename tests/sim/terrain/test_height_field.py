"""Heights between the nodes: by hand, and as MuJoCo's rays and contacts find them."""

import mujoco
import numpy as np
import pytest
import torch

from sim.engines.mujoco_model import training_model
from sim.terrain.height_field import HeightField

ORIGIN = (-0.25, 0.4)


@pytest.fixture(scope="module")
def field() -> HeightField:
    heights = np.random.default_rng(0).uniform(-0.1, 0.2, (7, 9))
    return HeightField(heights, 0.1, ORIGIN)


def test_a_cell_by_hand():
    """Corners 0, 1 (x), 2 (y), 4: two triangles that share the diagonal from 0 to 4."""
    field = HeightField(np.array([[0.0, 2.0], [1.0, 4.0]]), 1.0, (0.0, 0.0))
    places = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.5, 0.5], [0.75, 0.25], [0.25, 0.75]]
    expected = [0.0, 1.0, 2.0, 4.0, 2.0, 1.5, 2.0]
    assert field.height_at(torch.tensor(places)).tolist() == pytest.approx(expected)


def test_beyond_the_edge_it_goes_on_level(field):
    inside = field.height_at(torch.tensor([[-0.25, 0.7], [0.35, 1.2]]))
    outside = field.height_at(torch.tensor([[-9.0, 0.7], [7.0, 8.0]]))
    torch.testing.assert_close(outside, inside)
    assert float(inside[1]) == pytest.approx(float(field.heights_m[-1, -1]))
    assert field.far_corner_m == pytest.approx((0.35, 1.2))


def test_triangles_are_the_same_ground(field):
    """Each place lies in one of them, seen from above; there, weighted by the corners, it has the field's height."""
    vertices, triangles = field.triangles()
    assert (vertices.dtype, triangles.dtype) == (np.float32, np.uint32)
    assert (vertices.shape, triangles.shape) == ((63, 3), (96, 3))
    a, b, c = (vertices[triangles[:, corner]].astype(float) for corner in range(3))

    def cross(one, other):
        return one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]

    double_area = cross(b - a, c - a)
    np.testing.assert_allclose(double_area, 0.01, rtol=1e-4)  # anticlockwise, half a cell each
    for x, y in np.random.default_rng(2).uniform([-0.25, 0.4], [0.35, 1.2], (200, 2)):
        place = np.array([x, y, 0.0])
        second, third = cross(place - a, c - a) / double_area, cross(b - a, place - a) / double_area
        first = 1.0 - second - third
        (inside,) = np.nonzero(np.minimum(np.minimum(first, second), third) > 0.0)
        assert len(inside) == 1, "once covered"
        weights = np.array([first, second, third])[:, inside[0]]
        height = weights @ vertices[triangles[inside[0]], 2]
        assert height == pytest.approx(float(field.height_at(torch.tensor([x, y]))), abs=1e-5)


def test_rays_find_the_same_ground(field):
    model = training_model(field)
    data = mujoco.MjData(model)
    data.qpos[:3] = [50.0, 50.0, 5.0]
    mujoco.mj_forward(model, data)
    random = np.random.default_rng(1)
    for _ in range(100):
        x, y = random.uniform(-0.24, 0.34), random.uniform(0.41, 1.19)
        hit = mujoco.mj_ray(
            model, data, np.array([x, y, 2.0]), np.array([0.0, 0.0, -1.0]), None, 1, -1, np.zeros(1, np.int32), None
        )
        assert 2.0 - hit == pytest.approx(float(field.height_at(torch.tensor([x, y]))), abs=1e-5)


def test_contacts_find_the_same_ground():
    """A ball that rests in the middle of a saddle's cell lies on the ridge or in the valley of its diagonal."""
    heights = np.zeros((5, 5))
    heights[2, 2] = heights[3, 3] = 0.1  # a ridge along the diagonal of the cell between (2, 2) and (3, 3)
    field = HeightField(heights, 0.1, (0.0, 0.0))
    model = training_model(field)
    data = mujoco.MjData(model)
    foot = model.geom("FR_foot").id
    middle = np.array([0.25, 0.25])
    expected = float(field.height_at(torch.tensor(middle)))
    assert expected == pytest.approx(0.1)
    mujoco.mj_forward(model, data)
    for clearance_m, touches in ((0.0, True), (0.02, False)):
        data.qpos[:3] = [0.0, 0.0, 1.0]
        mujoco.mj_kinematics(model, data)
        shift = np.array([*middle, expected + model.geom_size[foot, 0] - 0.001 + clearance_m]) - data.geom_xpos[foot]
        data.qpos[:3] += shift
        mujoco.mj_forward(model, data)
        ground = model.geom("floor").id
        touching = [contact for contact in data.contact if {contact.geom1, contact.geom2} == {foot, ground}]
        assert bool(touching) == touches
