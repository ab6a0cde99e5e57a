"""What the training environment costs beside the bare physics, in one interleaved run, and beside EnvPool's Go1.

    python -m benchmarks.sim --robots 1024 4096
    python -m benchmarks.sim --robots 256 --envpool-python PYTHON    # one with benchmarks/requirements-envpool.txt

The environment takes random actions and does all that training needs: targets, delays, randomised robots, pushes,
rewards, resets, noisy observations. The bare physics is `mjbatch.Batch.step` on go1.xml, of as many robots on the same
ground, in the states that the environment's robots had as the round began, under the same targets. The two take turns;
a ratio is of one round's two times, so that what else the machine does falls out of it.
"""

from __future__ import annotations

import argparse
import os
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Callable, List, Optional, Tuple

import mujoco
import numpy as np
import torch
from mjbatch import Batch

from benchmarks.envpool_process import EnvPool, resident_bytes
from benchmarks.figures import Figure, load_average
from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot
from sim.engines.mujoco import MujocoEngine
from sim.engines.mujoco_model import training_model
from sim.engines.protocol import EngineState
from sim.engines.rotations import trunk_to_world
from sim.presets import PRESETS
from sim.terrain.grid import build_grid
from sim.velocity_settings import VelocityTaskSettings
from sim.velocity_task import VelocityTask

_STEPS = 10  # control steps a round; after so few, robots without resets are still in the states of those with them
_ACTION_STD = 0.8  # with which training begins
_RAW_TARGET, _ENVPOOL_TARGET, _ENVPOOL_MEMORY_TARGET = 0.90, 1.0, 0.05


@dataclass(frozen=True)
class Seconds:
    """Of one round: time that passed, and processor time of this process."""

    wall: float
    processor: float


def timed(work: Callable[[], None]) -> Seconds:
    """How long it takes."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return Seconds(time.perf_counter() - wall, time.process_time() - processor)


class Environment:
    """The velocity task as training runs it, under random actions."""

    def __init__(self, robots: int, threads: int, settings: VelocityTaskSettings) -> None:
        before = resident_bytes()
        robot = load_robot()
        grid = build_grid(settings.terrain, settings.seed) if settings.terrain is not None else None
        self.terrain = grid.field if grid is not None else None
        contract = velocity_contract(robot).without_slew()
        idle = GaussianActor(contract.observation_dim, contract.action_dim, (), 1.0)
        self.graph = PolicyGraph(contract, idle).requires_grad_(False)
        self.engine = MujocoEngine(robot, robots, threads, self.terrain)
        self.task = VelocityTask(replace(settings, num_envs=robots), robot, self.graph, self.engine, grid)
        self._generator = torch.Generator().manual_seed(1)
        self.actions = self.draw()
        self.run()
        self.bytes_a_robot = (resident_bytes() - before) / robots

    def draw(self) -> torch.Tensor:
        """The next round's actions (_STEPS, N, 12)."""
        shape = (_STEPS, self.engine.num_envs, 12)
        self.actions = _ACTION_STD * torch.randn(shape, generator=self._generator)
        return self.actions

    def run(self) -> None:
        """One round."""
        with torch.inference_mode():
            for action in self.actions:
                self.task.step(action)


class BarePhysics:
    """The same robots without anything around them."""

    def __init__(self, environment: Environment, threads: int) -> None:
        self.model = training_model(environment.terrain, delays=False)
        self._environment = environment
        self._batch = Batch(self.model, environment.engine.num_envs, threads)
        self._qpos, self._qvel, self._ctrl = (self._batch.bind(name) for name in ("qpos", "qvel", "ctrl"))
        self._targets: np.ndarray = np.zeros(0)

    def prepare(self) -> None:
        """The environment's robots as they are now, and the targets that its actions will be."""
        environment = self._environment
        state: EngineState = environment.engine.state()
        self._batch.reset()
        joints = (state.position_trunk_in_world, state.orientation_trunk_in_world, state.joint_position)
        self._qpos[:] = torch.cat(joints, dim=1).numpy()
        linear = trunk_to_world(state.orientation_trunk_in_world, state.linear_velocity_trunk_in_trunk)
        speeds = (linear, state.angular_velocity_trunk_in_trunk, state.joint_velocity)
        self._qvel[:] = torch.cat(speeds, dim=1).numpy()
        self._targets = environment.graph.joint_target(environment.actions.flatten(0, 1)).numpy()
        self._targets = self._targets.reshape(_STEPS, -1, 12)

    def run(self) -> None:
        """One round."""
        for target in self._targets:
            self._ctrl[:] = target
            self._batch.step(nstep=self._environment.task.substeps)


def measure(
    settings: VelocityTaskSettings, robots: int, rounds: int, threads: int, envpool_python: Optional[str]
) -> List[Figure]:
    """Medians over rounds in which all take turns."""
    environment = Environment(robots, threads, settings)
    bare = BarePhysics(environment, threads)
    describe(environment, bare.model)
    with EnvPool(envpool_python, robots, threads) if envpool_python is not None else nullcontext() as pool:
        own, raw, other = take_turns(environment, bare, pool, rounds)
    per_round = robots * _STEPS
    figures = [
        Figure(f"{robots}: environment", per_round / float(np.median([one.wall for one in own])), "steps/s"),
        Figure(f"{robots}: environment / bare physics, wall", ratio(own, raw, "wall"), "x", at_least=_RAW_TARGET),
        Figure(f"{robots}: environment / bare physics, processor", ratio(own, raw, "processor"), "x"),
        Figure(f"{robots}: memory", environment.bytes_a_robot / 1e3, "kB/robot"),
    ]
    if pool is not None:
        speedup = float(np.median([theirs / ours.wall for ours, theirs in zip(own, other, strict=True)]))
        share = environment.bytes_a_robot / pool.bytes_a_robot
        figures += [
            Figure(f"{robots}: EnvPool", per_round / float(np.median(other)), "steps/s"),
            Figure(f"{robots}: environment / EnvPool as shipped", speedup, "x", at_least=_ENVPOOL_TARGET),
            Figure(f"{robots}: EnvPool's memory", pool.bytes_a_robot / 1e3, "kB/robot"),
            Figure(f"{robots}: memory / EnvPool's", share, "x", at_most=_ENVPOOL_MEMORY_TARGET),
        ]
    return figures


def take_turns(
    environment: Environment, bare: BarePhysics, pool: Optional[EnvPool], rounds: int
) -> Tuple[List[Seconds], List[Seconds], List[float]]:
    """Times of the environment, the bare physics and EnvPool (none without it) in each round."""
    own, raw, other = [], [], []
    for index in range(rounds + 1):
        environment.draw()
        bare.prepare()
        order: Tuple[Callable[[], None], ...] = (environment.run, bare.run)
        times = {work: timed(work) for work in (order if index % 2 else order[::-1])}
        pool_wall_s = [pool.run(_STEPS)] if pool is not None else []
        if index:  # the first round warms caches and allocators
            own.append(times[environment.run])
            raw.append(times[bare.run])
            other += pool_wall_s
    return own, raw, other


def ratio(own: List[Seconds], raw: List[Seconds], kind: str) -> float:
    """Median over the rounds of bare time / environment's time: the environment's rate as a share of the bare rate."""
    return float(np.median([getattr(b, kind) / getattr(a, kind) for a, b in zip(own, raw, strict=True)]))


def describe(environment: Environment, model: mujoco.MjModel) -> None:
    """What was measured, so that it can be compared with what others measured."""
    option = model.opt
    collide = (model.geom_contype[:, None] & model.geom_conaffinity) | (
        model.geom_conaffinity[:, None] & model.geom_contype
    )
    pairs = int(np.triu(collide != 0, 1).sum())
    names = ("mujoco", "mjbatch", "torch", "numpy")
    print(", ".join(f"{name} {version(name)}" for name in names), f"; load {load_average()} on {os.cpu_count()} cores")
    print(
        f"time step {option.timestep * 1e3:g} ms x {environment.task.substeps}, "
        f"{mujoco.mjtSolver(option.solver).name} {option.iterations} iterations, "
        f"{mujoco.mjtCone(option.cone).name}, {mujoco.mjtIntegrator(option.integrator).name}, "
        f"{pairs} contact pairs, bvactive {model.vis.global_.bvactive}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--robots", type=int, nargs="+", default=[1024, 4096])
    parser.add_argument("--preset", choices=list(PRESETS), default="standard", help="whose task [%(default)s]")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of the physics [%(default)s]")
    parser.add_argument("--envpool-python", metavar="PYTHON", help="a Python that has EnvPool, to compare with it")
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = PRESETS[options.preset]().task
    for robots in options.robots:
        for figure in measure(settings, robots, options.rounds, options.threads, options.envpool_python):
            print(figure)


if __name__ == "__main__":
    main()
