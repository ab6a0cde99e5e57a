"""Arguments and configurations of programs written for Isaac Gym."""

import sys

import pytest

from sim.isaacgym_shim import gymapi, gymutil
from sim.isaacgym_shim.errors import IsaacGymShimError, UnsupportedCallError


@pytest.mark.parametrize(("text", "device"), [("cpu", ("cpu", 0)), ("cuda", ("cuda", 0)), ("cuda:3", ("cuda", 3))])
def test_devices(text, device):
    assert gymutil.parse_device_str(text) == device


@pytest.mark.parametrize("text", ["gpu", "cuda:x", "cpu:1", ""])
def test_wrong_devices(text):
    with pytest.raises(IsaacGymShimError, match="cpu, cuda or cuda:NUMBER"):
        gymutil.parse_device_str(text)


def parse(monkeypatch, *words, **options):
    monkeypatch.setattr(sys, "argv", ["train.py", *words])
    return gymutil.parse_arguments(**options)


def test_the_cpu_is_the_default(monkeypatch):
    found = parse(monkeypatch)
    assert (found.sim_device_type, found.compute_device_id, found.use_gpu, found.use_gpu_pipeline) == (
        "cpu",
        0,
        False,
        False,
    )
    assert found.physics_engine == gymapi.SIM_PHYSX
    assert (found.num_threads, found.subscenes, found.slices) == (0, 0, 0)


def test_a_gpu_can_be_asked_for(monkeypatch):
    """Refused only when a simulation is created: the arguments mean what they mean in Isaac Gym."""
    found = parse(monkeypatch, "--sim_device", "cuda:1", "--pipeline", "gpu", "--subscenes", "2")
    assert (found.sim_device_type, found.compute_device_id, found.use_gpu_pipeline, found.slices) == (
        "cuda",
        1,
        True,
        2,
    )
    assert not parse(monkeypatch, "--pipeline", "gpu").use_gpu_pipeline, "there is no GPU pipeline on a CPU"


def test_a_programs_own_parameters(monkeypatch):
    own = [
        {"name": "--task", "type": str, "default": "a1", "help": "which"},
        {"name": "--resume", "action": "store_true", "default": False},
        {"name": "--num_envs", "type": int},
    ]
    found = parse(monkeypatch, "--task", "go1_velocity", "--resume", headless=True, custom_parameters=own)
    assert (found.task, found.resume, found.num_envs, found.headless) == ("go1_velocity", True, None, False)
    with pytest.raises(IsaacGymShimError, match="a name with a type or an action"):
        parse(monkeypatch, custom_parameters=[{"name": "--x"}])


def test_a_configuration_sets_what_it_names():
    params = gymapi.SimParams()
    config = {"dt": 0.005, "substeps": 1, "gravity": [0.0, 0.0, -9.81], "up_axis": 1, "physx": {"num_threads": 10}}
    gymutil.parse_sim_config(config, params)
    assert (params.dt, params.substeps, params.up_axis) == (0.005, 1, gymapi.UP_AXIS_Z)
    assert params.gravity == gymapi.Vec3(0.0, 0.0, -9.81)
    assert (params.physx.num_threads, params.physx.num_position_iterations) == (10, 4)


@pytest.mark.parametrize("config", [{"delta_t": 0.1}, {"physx": {"threads": 2}}])
def test_an_unknown_setting_is_an_error(config):
    with pytest.raises(AttributeError):
        gymutil.parse_sim_config(config, gymapi.SimParams())


def test_flex_has_no_settings_here():
    with pytest.raises(UnsupportedCallError, match="settings of FleX"):
        gymutil.parse_sim_config({"flex": {}}, gymapi.SimParams())
