"""What a person reads who lacks MuJoCo Warp, or the GPU that was asked for."""

import sys

import pytest
import torch

from benchmarks import warp as benchmark
from cli.main import main
from sim.engines.mujoco_warp_modules import MujocoWarpError, import_mujoco_warp


@pytest.mark.parametrize("missing", ["mujoco_warp", "warp"])
def test_a_missing_package_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MujocoWarpError, match="pip install") as caught:
        import_mujoco_warp("cpu")
    assert missing in caught.value.found


@pytest.mark.parametrize("device", ["cuda:99", "gpu", "cuda"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(device):
    with pytest.raises(MujocoWarpError, match=f"found {device}") as caught:
        import_mujoco_warp(device)
    assert "cpu" in caught.value.expected
    for index in range(torch.cuda.device_count()):
        assert f"cuda:{index}" in caught.value.expected


def test_the_cpu_is_always_there():
    mujoco_warp, warp = import_mujoco_warp("cpu")
    assert (mujoco_warp.__name__, warp.__name__) == ("mujoco_warp", "warp")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_training_without_a_gpu_is_refused_in_one_message(tmp_path, capsys):
    words = ["sim", "train", "--engine", "mujoco_warp", "--device", "cuda:0", "--out", str(tmp_path / "run")]
    assert main(words) == 2
    assert " ".join(capsys.readouterr().err.split()).startswith(
        "go1: expected a device that Warp and torch both compute on: cpu found cuda:0"
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_benchmark_without_a_gpu_says_how_to_run_small(monkeypatch: pytest.MonkeyPatch, capsys):
    monkeypatch.setattr(sys, "argv", ["warp"])
    assert benchmark.main() == 2
    assert "--device cpu" in capsys.readouterr().err
