"""Batched rotations: by hand, and against the algebra that they must obey."""

import math

import pytest
import torch

from sim.isaacgym_shim import torch_utils as tu

HALF = math.sqrt(0.5)
ABOUT_Z = torch.tensor([[0.0, 0.0, HALF, HALF]])
X, Y, Z = torch.eye(3).unbind(0)


@pytest.fixture
def quaternions():
    return tu.quat_unit(torch.randn(20, 4, generator=torch.Generator().manual_seed(3)))


@pytest.fixture
def vectors():
    return torch.randn(20, 3, generator=torch.Generator().manual_seed(4))


def test_a_quarter_about_z():
    torch.testing.assert_close(tu.quat_rotate(ABOUT_Z, X[None]), Y[None])
    torch.testing.assert_close(tu.quat_rotate_inverse(ABOUT_Z, X[None]), -Y[None])
    torch.testing.assert_close(tu.quat_from_angle_axis(torch.tensor([math.pi / 2]), 3.0 * Z[None]), ABOUT_Z)
    torch.testing.assert_close(tu.quat_axis(ABOUT_Z, 1), -X[None])


def test_rotations_compose(quaternions, vectors):
    first, second = quaternions, quaternions.flip(0)
    together = tu.quat_apply(tu.quat_mul(first, second), vectors)
    torch.testing.assert_close(together, tu.quat_apply(first, tu.quat_apply(second, vectors)), atol=1e-5, rtol=0)
    torch.testing.assert_close(
        tu.quat_rotate_inverse(first, tu.quat_rotate(first, vectors)), vectors, atol=1e-5, rtol=0
    )
    torch.testing.assert_close(together.norm(dim=1), vectors.norm(dim=1))


def test_apply_takes_many_vectors_a_quaternion(quaternions, vectors):
    """As legged_gym calls it: quaternions repeated along the columns, vectors in three dimensions."""
    many = vectors.view(4, 5, 3)
    turned = tu.quat_apply(quaternions[:4].repeat(1, 5), many)
    for row in range(4):
        expected = tu.quat_rotate(quaternions[row].expand(5, 4), many[row])
        torch.testing.assert_close(turned[row], expected, atol=1e-5, rtol=0)


def test_euler_angles_there_and_back():
    roll, pitch, yaw = torch.tensor([0.3, -0.2]), torch.tensor([0.5, -0.7]), torch.tensor([2.0, -3.0])
    found = tu.get_euler_xyz(tu.quat_from_euler_xyz(roll, pitch, yaw))
    for angle, expected in zip(found, (roll, pitch, yaw), strict=True):
        torch.testing.assert_close(angle, expected % (2.0 * math.pi))
    torch.testing.assert_close(
        tu.quat_from_euler_xyz(torch.zeros(1), torch.zeros(1), torch.tensor([math.pi / 2])), ABOUT_Z
    )


def test_transforms_invert(quaternions, vectors):
    back_q, back_t = tu.tf_inverse(quaternions, vectors)
    moved = tu.tf_apply(quaternions, vectors, vectors.flip(0))
    torch.testing.assert_close(tu.tf_apply(back_q, back_t, moved), vectors.flip(0), atol=1e-5, rtol=0)
    q, t = tu.tf_combine(quaternions, vectors, back_q, back_t)
    torch.testing.assert_close(t, torch.zeros_like(t), atol=1e-5, rtol=0)
    torch.testing.assert_close(q[:, 3].abs(), torch.ones(20))


def test_small_helpers():
    assert tu.get_axis_params(-1.0, 2) == [0.0, 0.0, -1.0]
    assert tu.get_axis_params(2.0, 1, x_value=0.5) == [0.5, 2.0, 0.0]
    with pytest.raises(ValueError, match="an axis below 3; found 3"):
        tu.get_axis_params(1.0, 3)
    torch.testing.assert_close(tu.normalize_angle(torch.tensor([3.5 * math.pi])), torch.tensor([-0.5 * math.pi]))
    low, high = torch.tensor([2.0]), torch.tensor([6.0])
    torch.testing.assert_close(tu.scale(torch.tensor([0.5]), low, high), torch.tensor([5.0]))
    torch.testing.assert_close(tu.unscale(torch.tensor([5.0]), low, high), torch.tensor([0.5]))
    torch.testing.assert_close(tu.copysign(-2.0, torch.tensor([-1.0, 3.0])), torch.tensor([-2.0, 2.0]))
    clamped = tu.tensor_clamp(torch.tensor([1.0, 3.0, 9.0]), low, high)
    assert clamped.tolist() == [2.0, 3.0, 6.0]
    assert tu.to_torch([1, 2], device="cpu").dtype == torch.float32


def test_random_numbers_fill_their_range():
    torch.manual_seed(1)
    drawn = tu.torch_rand_float(-2.0, 3.0, (2000, 2), device="cpu")
    assert drawn.shape == (2000, 2)
    assert -2.0 <= drawn.min() < -1.95
    assert 2.95 < drawn.max() <= 3.0
    directions = tu.torch_random_dir_2((2000, 1), device="cpu")
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(2000))
    assert directions.mean(0).abs().max() < 0.1


def test_everything_is_imported_by_a_star():
    names: dict[str, object] = {}
    exec("from sim.isaacgym_shim.torch_utils import *", names)
    assert {"quat_apply", "to_torch", "torch_rand_float", "get_axis_params", "quat_rotate_inverse"} <= set(names)
