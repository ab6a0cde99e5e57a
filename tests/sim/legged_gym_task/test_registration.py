"""The way into legged_gym's registry, whose modules import each other in a circle."""

import importlib
import sys

import pytest


def test_the_circle_has_a_wrong_end(fresh_legged_gym):
    """The skeleton is worth something only while it refuses what legged_gym refuses."""
    with pytest.raises(ImportError, match="partially initialized module 'legged_gym.utils.task_registry'"):
        importlib.import_module("legged_gym.utils")


def test_the_task_is_registered_beside_legged_gyms_own(registry):
    assert set(registry.task_classes) == {"legged_robot", "go1_velocity", "go1_velocity_rough"}
    environment, training = registry.get_cfgs("go1_velocity")
    base = sys.modules["legged_gym.envs.base.legged_robot_config"]
    assert isinstance(environment, base.LeggedRobotCfg)
    assert isinstance(training, base.LeggedRobotCfgPPO)
    assert environment.seed == training.seed


def test_two_lines_in_legged_gyms_own_envs_do_it_too(fresh_legged_gym, repositories):
    """docs/isaac_gym.md offers them: legged_gym.envs is half imported when they run."""
    envs = repositories / "legged_gym_repository" / "legged_gym" / "envs" / "__init__.py"
    lines = "from sim.legged_gym_task.registration import register_with_legged_gym\nregister_with_legged_gym()\n"
    envs.write_text(envs.read_text(encoding="utf-8") + lines, encoding="utf-8")
    assert "go1_velocity" in importlib.import_module("legged_gym.envs").task_registry.task_classes
