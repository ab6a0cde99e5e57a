"""What the training environment costs beside raw MuJoCo Warp stepping, in one interleaved run.

    python -m benchmarks.warp                    # a GPU: 1024 to 16384 robots
    python -m benchmarks.warp --device cpu       # Warp's CPU device: a few robots, to see that it runs

The environment takes random actions and does all that training needs, with the task on the CPU as it is today. The
engine alone takes the same actions as targets and leaves its state on its device: what a task there would pay. The raw
stepping is `mujoco_warp.step`, as many steps in one graph, on a model without delays and with one set of parameters for
all robots, in the states that the environment's robots had as the round began, under the same targets. All take turns.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from importlib.metadata import version
from typing import Callable, Dict, List, Tuple

import numpy as np
import torch

from benchmarks.figures import Figure, load_average
from benchmarks.sim import Seconds, ratio, timed
from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from policy.velocity_contract import velocity_contract
from robot_configs.errors import Go1Error
from robot_configs.robot import load_robot
from sim.engines.mujoco_warp import MujocoWarpEngine
from sim.engines.mujoco_warp_model import room, warp_training_model
from sim.engines.mujoco_warp_modules import import_mujoco_warp
from sim.engines.protocol import EngineState
from sim.engines.rotations import trunk_to_world
from sim.presets import PRESETS
from sim.terrain.grid import build_grid
from sim.velocity_task import VelocityTask, VelocityTaskSettings

_STEPS = 10  # control steps a round
_ACTION_STD = 0.8  # with which training begins
_TARGET = 0.8
_SIZES = {"cuda": [1024, 4096, 16384], "cpu": [8, 32]}


class Environment:
    """The velocity task as training runs it, and its engine alone, under random actions."""

    def __init__(self, robots: int, device: str, settings: VelocityTaskSettings) -> None:
        robot, self.device = load_robot(), device
        grid = build_grid(settings.terrain, settings.seed) if settings.terrain is not None else None
        self.terrain = grid.field if grid is not None else None
        contract = velocity_contract(robot).without_slew()
        self.graph = PolicyGraph(contract, GaussianActor(contract.observation_dim, contract.action_dim, (), 1.0))
        self.graph.requires_grad_(False)
        engine = MujocoWarpEngine(robot, robots, device, self.terrain)
        self.task = VelocityTask(settings, robot, self.graph, engine, grid)
        self.alone = MujocoWarpEngine(robot, robots, device, self.terrain, state_device=device)
        self.alone.set_parameters(self.task.physics)
        self._generator = torch.Generator().manual_seed(1)
        self.draw()

    def draw(self) -> None:
        """The next round's actions (_STEPS, N, 12), and the engine alone where the environment's is."""
        self.actions = _ACTION_STD * torch.randn(_STEPS, self.task.num_envs, 12, generator=self._generator)
        self.targets = torch.stack([self.graph.joint_target(action) for action in self.actions]).to(self.device)
        engine = self.task.engine
        assert isinstance(engine, MujocoWarpEngine)
        self.alone.restore(engine.snapshot())

    def run(self) -> None:
        """One round."""
        with torch.inference_mode():
            for action in self.actions:
                self.task.step(action)

    def run_engine(self) -> None:
        """One round of the engine alone."""
        for target in self.targets:
            self.alone.step(target, self.task.substeps)
            self.alone.state()


class RawStepping:
    """The same robots without anything around them."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._mjw, self._warp = import_mujoco_warp(environment.device)
        host = warp_training_model(environment.terrain, delays=False)
        space, count = room(host), environment.task.num_envs
        with self._warp.ScopedDevice(environment.device):
            self._model = self._mjw.put_model(host)
            self._model.opt.warn_overflow = 0  # printing takes time
            self._data = self._mjw.make_data(host, count, nconmax=space.contacts, njmax=space.constraint_rows)
            self._mjw.step(self._model, self._data)  # compiles
            with self._warp.ScopedCapture() as capture:
                for _ in range(environment.task.substeps):
                    self._mjw.step(self._model, self._data)
        self._graph = capture.graph
        view, data = self._warp.to_torch, self._data
        self._qpos, self._qvel, self._ctrl = view(data.qpos), view(data.qvel), view(data.ctrl)

    def prepare(self) -> None:
        """The environment's robots as they are now."""
        state: EngineState = self._environment.task.engine.state()
        joints = (state.position_trunk_in_world, state.orientation_trunk_in_world, state.joint_position)
        self._qpos.copy_(torch.cat(joints, dim=1))
        linear = trunk_to_world(state.orientation_trunk_in_world, state.linear_velocity_trunk_in_trunk)
        speeds = (linear, state.angular_velocity_trunk_in_trunk, state.joint_velocity)
        self._qvel.copy_(torch.cat(speeds, dim=1))

    def run(self) -> None:
        """One round."""
        for target in self._environment.targets:
            self._ctrl.copy_(target)
            self._warp.capture_launch(self._graph)

    def synchronize(self) -> None:
        """Wait for the device."""
        self._warp.synchronize_device(self._environment.device)


def measure(settings: VelocityTaskSettings, robots: int, rounds: int, device: str) -> List[Figure]:
    """Medians over rounds in which all take turns."""
    environment = Environment(robots, device, settings)
    raw = RawStepping(environment)
    whole, alone, bare = take_turns(environment, raw, rounds)

    def rate(times: List[Seconds]) -> float:
        return robots * _STEPS / float(np.median([one.wall for one in times]))

    return [
        Figure(f"{robots}: environment", rate(whole), "steps/s"),
        Figure(f"{robots}: engine alone", rate(alone), "steps/s"),
        Figure(f"{robots}: raw mujoco_warp", rate(bare), "steps/s"),
        Figure(f"{robots}: environment / raw", ratio(whole, bare, "wall"), "x", at_least=_TARGET),
        Figure(f"{robots}: engine alone / raw", ratio(alone, bare, "wall"), "x"),
    ]


def take_turns(
    environment: Environment, raw: RawStepping, rounds: int
) -> Tuple[List[Seconds], List[Seconds], List[Seconds]]:
    """Times of the environment, of its engine alone and of the raw stepping in each round."""
    work: Tuple[Callable[[], None], ...] = (environment.run, environment.run_engine, raw.run)
    times: Dict[Callable[[], None], List[Seconds]] = {one: [] for one in work}
    for index in range(rounds + 1):
        environment.draw()
        raw.prepare()
        for one in work if index % 2 else work[::-1]:
            raw.synchronize()

            def until_done(one: Callable[[], None] = one) -> None:
                one()
                raw.synchronize()

            taken = timed(until_done)
            if index:  # the first round warms caches and allocators
                times[one].append(taken)
    return times[work[0]], times[work[1]], times[work[2]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda:0", help="cuda:0 or, with few robots, cpu [%(default)s]")
    parser.add_argument("--robots", type=int, nargs="+", help="default: 1024 4096 16384, on the CPU 8 32")
    parser.add_argument("--preset", choices=list(PRESETS), default="standard", help="whose task [%(default)s]")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    try:
        _, warp = import_mujoco_warp(options.device)
    except Go1Error as error:
        print(f"{error} Warp's CPU device runs small sizes: --device cpu.", file=sys.stderr)
        return 2
    names = ("mujoco-warp", "warp-lang", "mujoco", "torch")
    print(", ".join(f"{name} {version(name)}" for name in names), f"; load {load_average()}")
    print(warp.get_device(options.device).name)
    for robots in options.robots or _SIZES[options.device.split(":")[0]]:
        settings = replace(PRESETS[options.preset]().task, num_envs=robots)
        for figure in measure(settings, robots, options.rounds, options.device):
            print(figure, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
