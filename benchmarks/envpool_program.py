"""The program that steps EnvPool's native Go1 for `envpool_process.EnvPool`, in a Python of its own.

It tells what it simulates, in a line of JSON (`Told`), then reads the number of steps of a round, line by line, and
answers with its seconds.

EnvPool loads the scenes of MuJoCo Playground, which leave MuJoCo's bounding volumes for the viewer at their default. In
its MuJoCo (3.6) that is on and slows down each step; in ours it is off. So they are switched off there, too, in a copy
of the scene, which is the harder rival; `as_it_ships` leaves the scene as it is.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import json
import os
import tempfile
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict

# Only what every Python has: this runs where the project is not installed.
TASK = "Go1JoystickFlatTerrain-v1"
_ASSETS = Path("mujoco/playground/assets")  # below the `base_path` of the task's configuration
_SCENE = _ASSETS / "mujoco_playground/_src/locomotion/go1/xmls/scene_mjx_feetonly_flat_terrain.xml"
_MESHES = _ASSETS / "mujoco_menagerie"  # which the robot's file names by the way up from its folder
_BINDINGS = "envpool.mujoco.playground_envpool"
_GLOBAL, _WITHOUT_VOLUMES = "<global ", '<global bvactive="false" '


@dataclass(frozen=True)
class Told:
    """What EnvPool simulates.

    Attributes:
        scene: file of its model, as shipped.
        sim_dt_s, ctrl_dt_s: which its program sets, whatever the scene says.
        versions: of EnvPool and of the MuJoCo inside it.
        bytes_a_robot: resident memory that the robots brought.
    """

    scene: str
    as_it_ships: bool
    sim_dt_s: float
    ctrl_dt_s: float
    versions: Dict[str, str]
    bytes_a_robot: float


def resident_bytes() -> int:
    """Memory of this process that is in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def without_bounding_volumes(base: Path, folder: Path) -> None:
    """Lay a copy of the assets in `base` into `folder` whose scene switches them off; other files are links.

    Raises:
        SystemExit: the scene is not written as expected.
    """
    text = (base / _SCENE).read_text()
    if text.count(_GLOBAL) != 1:
        raise SystemExit(
            f"expected one {_GLOBAL}in {base / _SCENE}; found {text.count(_GLOBAL)}. Measure it as it ships."
        )
    (folder / _SCENE).parent.mkdir(parents=True)
    for file in (base / _SCENE).parent.iterdir():
        if file.name != _SCENE.name:
            (folder / _SCENE).with_name(file.name).symlink_to(file)
    (folder / _SCENE).write_text(text.replace(_GLOBAL, _WITHOUT_VOLUMES))
    (folder / _MESHES).symlink_to(base / _MESHES)


def serve(robots: int, threads: int, as_it_ships: bool) -> None:
    """Step the environments until no further round is asked for."""
    import numpy as np

    envpool = importlib.import_module("envpool")  # in this program's own Python only

    before = resident_bytes()
    config = envpool.make_spec(TASK).config
    with nullcontext(config.base_path) if as_it_ships else tempfile.TemporaryDirectory() as base_path:
        if not as_it_ships:
            without_bounding_volumes(Path(config.base_path), Path(base_path))
        pool = envpool.make_gymnasium(TASK, num_envs=robots, num_threads=threads, seed=1, base_path=base_path)
        random = np.random.default_rng(1)
        pool.reset()
        space = pool.action_space
        actions = random.uniform(space.low, space.high, (16, robots, *space.shape)).astype(space.dtype)
        pool.step(actions[0])
        told = Told(
            scene=str(Path(config.base_path) / _SCENE),
            as_it_ships=as_it_ships,
            sim_dt_s=config.sim_dt,
            ctrl_dt_s=config.ctrl_dt,
            versions={"envpool": envpool.__version__, "mujoco": mujoco_version()},
            bytes_a_robot=(resident_bytes() - before) / robots,
        )
        print(json.dumps(asdict(told)), flush=True)
        answer_rounds(pool, actions)


def answer_rounds(pool: Any, actions: Any) -> None:
    """Rounds of steps, as many as each line read says, until there is none; actions are (K, N, ...), in turns."""
    while True:
        try:
            steps = int(input())
        except EOFError:
            return
        start = time.perf_counter()
        for step in range(steps):
            pool.step(actions[step % len(actions)])
        print(time.perf_counter() - start, flush=True)


def mujoco_version() -> str:
    """Of the MuJoCo that EnvPool was built with; `unknown` where it does not say."""
    try:
        library = ctypes.CDLL(str(importlib.import_module(_BINDINGS).__file__))
        library.mj_versionString.restype = ctypes.c_char_p
        return str(library.mj_versionString().decode())
    except (ImportError, OSError, AttributeError):
        return "unknown"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--robots", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--as-it-ships", action="store_true")
    options = parser.parse_args()
    serve(options.robots, options.threads, options.as_it_ships)
