"""The walk-these-ways contract, by the numbers that its authors published."""

import pytest

from policy.contract import PolicyContract
from policy.presets import walk_these_ways_contract
from robot_configs.robot import load_robot

ROBOT = load_robot()
CONTRACT = walk_these_ways_contract(ROBOT)


def test_dimensions_and_round_trip() -> None:
    assert (CONTRACT.command_dim, CONTRACT.frame_dim, CONTRACT.observation_dim) == (15, 58, 290)
    assert PolicyContract.from_json(CONTRACT.to_json()) == CONTRACT
    CONTRACT.check_robot(ROBOT)


def test_policy_order_is_front_left_first() -> None:
    assert [name for name in CONTRACT.policy_joint_names if name.endswith("_hip")] == [
        "FL_hip",
        "FR_hip",
        "RL_hip",
        "RR_hip",
    ]


@pytest.mark.parametrize(
    ("joint", "position", "scale"),
    [
        ("FL_hip", 0.1, 0.125),
        ("FR_hip", -0.1, 0.125),
        ("RL_hip", 0.1, 0.125),
        ("RR_hip", -0.1, 0.125),
        ("FR_thigh", 0.8, 0.25),
        ("RL_thigh", 1.0, 0.25),
        ("RR_calf", -1.5, 0.25),
    ],
)
def test_pose_and_action_scale_by_joint_name(joint: str, position: float, scale: float) -> None:
    index = CONTRACT.joint_names.index(joint)
    assert CONTRACT.default_position[index] == position
    assert CONTRACT.action_scale[index] == scale


def test_gains_and_command_scales() -> None:
    assert set(CONTRACT.stiffness) == {20.0} and set(CONTRACT.damping) == {0.5}
    scales = dict(
        zip(CONTRACT.command_names, {term.name: term.scale for term in CONTRACT.terms}["command"], strict=True)
    )
    assert [scales[name] for name in ("velocity_x", "velocity_y", "yaw_rate", "swing_height")] == [2.0, 2.0, 0.25, 0.15]
