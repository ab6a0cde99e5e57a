"""Package metadata. The base requirements are what the robot installs; everything else is an extra."""

from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).resolve().parent

# Listed, not discovered: tests and benchmarks must never be installed. tests/test_packaging.py compares this list with
# the folders.
PACKAGES = [
    "cli",
    "deploy",
    "deploy.host",
    "deploy.host.doctor",
    "deploy.onboard",
    "offline_data",
    "policy",
    "policy.importers",
    "policy.uni_o4",
    "robot_configs",
    "sim",
    "sim.engines",
    "sim.faults",
    "sim.isaacgym_shim",
    "sim.legged_gym_task",
    "sim.terrain",
    "sim.twin",
    "sim.twin_batch",
]

# The robot is a small arm64 computer with Python 3.8: only what has wheels there, and only what the tick needs.
ROBOT = ["numpy", "onnxruntime", "pyyaml", "mcap"]

# The vendor's own binding, for `go1 robot run --sdk vendor` and for the byte-for-byte tests of our codec.
GO1SDK = ["unitree-legged-sdk==3.8.20231105"]

TRAIN = [
    "h5py",
    "matplotlib",
    "mjbatch==0.1.4",
    "mujoco==3.14.0",
    "onnx",
    "pillow",
    "rich",
    "rsl-rl-lib>=5.5,<5.6",
    "safetensors",
    "tensorboard",
    "tensordict",
    "torch==2.13.0",
]

# `go1 sim train --engine mujoco_warp`: the release that matches MuJoCo's. On a GPU, torch must be a build with CUDA.
WARP = ["mujoco-warp==3.14.0", "warp-lang>=1.19,<1.20"]

# `go1 sim sweep`: many trials, on one machine or on several.
SWEEP = ["ray>=2.50"]

DEVELOP = [
    "cosmic-ray",
    "hypothesis",
    "isaacgym-stubs",
    "mypy",
    "pytest",
    "pytest-cov",
    "pytest-xdist",
    "ruff",
    "setuptools",
    "types-PyYAML",
    "vermin",
]

setup(
    name="go1-sim-to-real",
    version="0.1.0",
    description="Train, deploy, log and refine one sealed policy on the Unitree Go1 quadruped and on its network twin",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.8",
    package_dir={"": "."},
    packages=PACKAGES,
    py_modules=["go1"],
    package_data={
        "robot_configs": ["*.yaml", "*.urdf", "*.xml", "twins/*.yaml"],
        "policy": ["bundles/*.go1policy"],
    },
    install_requires=ROBOT,
    extras_require={
        # Empty on purpose: `pip install .[onboard]` says what the machine is for, installs the base and nothing more.
        "onboard": [],
        "go1sdk": GO1SDK,
        "train": TRAIN,
        "warp": TRAIN + WARP,
        "sweep": TRAIN + SWEEP,
        "dev": TRAIN + GO1SDK + WARP + SWEEP + DEVELOP,
    },
    entry_points={"console_scripts": ["go1 = go1:main"]},
)
