"""Vectors and rotations of gymapi, by hand."""

import math

import pytest

from sim.isaacgym_shim.gymapi import Quat, Transform, Vec3

QUARTER = math.pi / 2


def numbers(value):
    return pytest.approx([getattr(value, name) for name in value.__slots__], abs=1e-12)


def test_vectors():
    a, b = Vec3(1.0, 2.0, 3.0), Vec3(4.0, -5.0, 6.0)
    assert a + b == Vec3(5.0, -3.0, 9.0)
    assert a - b == Vec3(-3.0, 7.0, -3.0)
    assert a.dot(b) == 12.0
    assert a.cross(b) == Vec3(27.0, 6.0, -13.0)
    assert (-a) * 2.0 == Vec3(-2.0, -4.0, -6.0)
    assert Vec3(3.0, 0.0, 4.0).length() == 5.0
    assert Vec3(3.0, 0.0, 4.0).normalize() == Vec3(0.6, 0.0, 0.8)


def test_a_quarter_about_z_turns_x_to_y():
    turn = Quat.from_axis_angle(Vec3(0.0, 0.0, 2.0), QUARTER)
    assert [turn.x, turn.y, turn.z, turn.w] == pytest.approx([0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5)])
    assert [0.0, 1.0, 0.0] == numbers(turn.rotate(Vec3(1.0, 0.0, 0.0)))
    assert [0.0, -1.0, 0.0] == numbers(turn.inverse().rotate(Vec3(1.0, 0.0, 0.0)))


def test_products_turn_by_the_right_factor_first():
    about_z = Quat.from_axis_angle(Vec3(0.0, 0.0, 1.0), QUARTER)
    about_x = Quat.from_axis_angle(Vec3(1.0, 0.0, 0.0), QUARTER)
    # x to y by z's turn, then y to z by x's.
    assert [0.0, 0.0, 1.0] == numbers((about_x * about_z).rotate(Vec3(1.0, 0.0, 0.0)))


def test_a_transform_and_its_inverse():
    pose = Transform(Vec3(1.0, 2.0, 3.0), Quat.from_axis_angle(Vec3(0.0, 0.0, 1.0), QUARTER))
    assert [1.0, 3.0, 3.0] == numbers(pose.transform_point(Vec3(1.0, 0.0, 0.0)))
    assert [1.0, 0.0, 0.0] == numbers(pose.inverse().transform_point(Vec3(1.0, 3.0, 3.0)))
    assert [0.0, 0.0, 0.0] == numbers((pose * pose.inverse()).p)


def test_defaults_are_not_shared():
    first, second = Transform(), Transform()
    first.p.x = 1.0
    assert second.p.x == 0.0
    assert [second.r.x, second.r.y, second.r.z, second.r.w] == [0.0, 0.0, 0.0, 1.0]
