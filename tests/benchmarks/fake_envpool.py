"""What `benchmarks.envpool_process` uses of EnvPool, without its physics; stands in for the module `envpool`."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np

__version__ = "9.9.9"
SCENE = "mujoco/playground/assets/mujoco_playground/_src/locomotion/go1/xmls/scene_mjx_feetonly_flat_terrain.xml"
ROBOT = """
<mujoco>
  <include file="robot.xml"/>
  <option iterations="1" ls_iterations="5" timestep="0.002" integrator="Euler"><flag eulerdamp="disable"/></option>
  <visual><global azimuth="120"/></visual>
  <worldbody>
    <geom name="floor" type="plane" size="0 0 1" contype="1" conaffinity="0" condim="3" priority="1"/>
  </worldbody>
</mujoco>
"""
FEET = "".join(
    f'<body pos="{x} 0 1"><freejoint/><geom size="0.02" contype="0" conaffinity="1" condim="1"/></body>'
    for x in range(4)
)


def lay_assets(folder: Path) -> None:
    """A scene of four feet above a floor, where EnvPool's would lie."""
    scene = folder / SCENE
    scene.parent.mkdir(parents=True)
    scene.write_text(ROBOT)
    (scene.parent / "robot.xml").write_text(f"<mujoco><worldbody>{FEET}</worldbody></mujoco>")
    (folder / "mujoco/playground/assets/mujoco_menagerie").mkdir()


def make_spec(task: str) -> SimpleNamespace:
    """The assets lie beside this file."""
    folder = str(Path(__file__).resolve().parent)
    return SimpleNamespace(config=SimpleNamespace(base_path=folder, sim_dt=0.004, ctrl_dt=0.02))


def make_gymnasium(task: str, **settings: object) -> SimpleNamespace:
    """Notes what it was asked for beside this file, with the scene, and a line for every step."""
    folder = Path(__file__).resolve().parent
    scene = (Path(str(settings["base_path"])) / SCENE).read_text()
    (folder / "asked.json").write_text(json.dumps({"task": task, "scene": scene, **settings}))

    def step(actions: np.ndarray) -> None:
        assert np.abs(actions).max() <= 1.0
        with open(folder / "steps.txt", "a") as stream:
            stream.write(f"{actions.shape}\n")

    space = SimpleNamespace(low=-np.ones(12), high=np.ones(12), shape=(12,), dtype=np.float64)
    return SimpleNamespace(action_space=space, reset=lambda: None, step=step)
