"""What the training environment costs beside the bare physics, in one interleaved run, and beside EnvPool's Go1.

    python -m benchmarks.sim --robots 1024 4096
    python -m benchmarks.sim --robots 256 --envpool-python PYTHON    # one with benchmarks/requirements-envpool.txt

The environment takes random actions and does all that training needs: targets, delays, randomised robots, pushes,
rewards, resets, noisy observations. The bare physics is `mjbatch.Batch.step` on go1.xml, of as many robots on the same
ground, in the states that the environment's robots had as the round began, under the same targets. EnvPool's task takes
random actions, too, with its own rewards, resets and noise; it randomises no robots and delays nothing. Beside it the
environment runs twice: as it ships, and matched, on a plane with EnvPool's time step, decimation, solver, iterations,
cone, integrator and contact pairs, which are read from its configuration and its model. All take turns; a ratio is of
one round's two times, so that what else the machine does falls out of it.
"""

from __future__ import annotations

import argparse
import os
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Callable, Dict, List, Mapping, Optional, Sequence

import mujoco
import numpy as np
import torch
from mjbatch import Batch

from benchmarks.envpool_process import EnvPool
from benchmarks.envpool_program import resident_bytes
from benchmarks.figures import Figure, load_average
from benchmarks.physics_settings import PhysicsSettings, matched_model
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

OURS, MATCHED, BARE, POOL = "environment", "environment, matched", "bare physics", "EnvPool"
_STEPS = 10  # control steps a round; after so few, robots without resets are still in the states of those with them
_ACTION_STD = 0.8  # with which training begins
_RAW_TARGET, _SHIPPED_TARGET, _MATCHED_TARGET, _MEMORY_TARGET = 0.90, 1.5, 1.0, 0.05


@dataclass(frozen=True)
class Seconds:
    """Of one round: time that passed, and processor time of this process (NaN for another one's round)."""

    wall: float
    processor: float


@dataclass(frozen=True)
class Memory:
    """Resident bytes a robot, of ours and, where it takes part, of EnvPool."""

    ours: float
    pool: float = float("nan")


Entrant = Callable[[], Seconds]
Times = Mapping[str, List[Seconds]]
"""Of each entrant, round by round."""


def timed(work: Callable[[], None]) -> Seconds:
    """How long it takes."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return Seconds(time.perf_counter() - wall, time.process_time() - processor)


class Environment:
    """The velocity task as training runs it, under random actions.

    Args:
        model: what is simulated instead of the trainer's own model; on a plane then.
    """

    def __init__(
        self, robots: int, threads: int, settings: VelocityTaskSettings, model: Optional[mujoco.MjModel] = None
    ) -> None:
        before = resident_bytes()
        robot = load_robot()
        settings = settings if model is None else replace(settings, terrain=None)
        grid = build_grid(settings.terrain, settings.seed) if settings.terrain is not None else None
        self.terrain = grid.field if grid is not None else None
        contract = velocity_contract(robot).without_slew()
        idle = GaussianActor(contract.observation_dim, contract.action_dim, (), 1.0)
        self.graph = PolicyGraph(contract, idle).requires_grad_(False)
        self.engine = MujocoEngine(robot, robots, threads, self.terrain, model)
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
    settings: VelocityTaskSettings,
    robots: int,
    rounds: int,
    threads: int,
    make_pool: Optional[Callable[[], EnvPool]] = None,
) -> List[Figure]:
    """Figures of rounds in which all take turns; prints what is measured before."""
    environment = Environment(robots, threads, settings)
    bare = BarePhysics(environment, threads)
    memory = Memory(environment.bytes_a_robot)
    describe(OURS, PhysicsSettings.of(bare.model, environment.task.substeps), "bounding volumes off")
    entrants: Dict[str, Entrant] = {OURS: lambda: timed(environment.run), BARE: lambda: timed(bare.run)}
    prepared: List[Callable[[], object]] = [environment.draw, bare.prepare]
    with ExitStack() as stack:
        if make_pool is not None:
            pool = stack.enter_context(make_pool())
            told = pool.told
            theirs = PhysicsSettings.of_scene(Path(told.scene), told.sim_dt_s, told.ctrl_dt_s)
            volumes = "left at their MuJoCo's default" if told.as_it_ships else "off"
            versions = ", ".join(f"{name} {number}" for name, number in told.versions.items())
            matched = Environment(robots, threads, settings, matched_model(theirs, load_robot()))
            describe(MATCHED, theirs, "bounding volumes off")
            describe(POOL, theirs, f"bounding volumes {volumes}; {versions}")
            memory = Memory(environment.bytes_a_robot, told.bytes_a_robot)
            entrants[MATCHED] = lambda: timed(matched.run)
            entrants[POOL] = lambda: Seconds(pool.run(_STEPS), float("nan"))
            prepared.append(matched.draw)
        times = take_turns(entrants, lambda: [prepare() for prepare in prepared], rounds)
    return figures(robots, times, memory)


def take_turns(entrants: Mapping[str, Entrant], prepare: Callable[[], object], rounds: int) -> Dict[str, List[Seconds]]:
    """Times of all; who comes first in a round comes last in the next. Another round before warms caches."""
    times: Dict[str, List[Seconds]] = {name: [] for name in entrants}
    names = list(entrants)
    for index in range(rounds + 1):
        prepare()
        first = index % len(names)
        for name in names[first:] + names[:first]:
            times[name].append(entrants[name]())
    return {name: values[1:] for name, values in times.items()}


def ratio(own: Sequence[Seconds], other: Sequence[Seconds], kind: str = "wall") -> float:
    """Median over the rounds of the other's time / its own: its rate as a multiple of the other's."""
    return float(np.median([getattr(b, kind) / getattr(a, kind) for a, b in zip(own, other, strict=True)]))


def figures(robots: int, times: Times, memory: Memory) -> List[Figure]:
    """Rates, ratios and memory, those of EnvPool where it took part."""

    def rate(name: str) -> float:
        return robots * _STEPS / float(np.median([one.wall for one in times[name]]))

    found = [
        Figure(f"{robots}: environment", rate(OURS), "steps/s"),
        Figure(
            f"{robots}: environment / bare physics, wall", ratio(times[OURS], times[BARE]), "x", at_least=_RAW_TARGET
        ),
        Figure(f"{robots}: environment / bare physics, processor", ratio(times[OURS], times[BARE], "processor"), "x"),
        Figure(f"{robots}: memory", memory.ours / 1e3, "kB/robot"),
    ]
    if POOL in times:
        shipped, matched = ratio(times[OURS], times[POOL]), ratio(times[MATCHED], times[POOL])
        share = memory.ours / memory.pool
        found += [
            Figure(f"{robots}: EnvPool", rate(POOL), "steps/s"),
            Figure(f"{robots}: environment, matched to EnvPool", rate(MATCHED), "steps/s"),
            Figure(f"{robots}: environment / EnvPool, each as shipped", shipped, "x", at_least=_SHIPPED_TARGET),
            Figure(f"{robots}: environment / EnvPool, matched physics", matched, "x", at_least=_MATCHED_TARGET),
            Figure(f"{robots}: EnvPool's memory", memory.pool / 1e3, "kB/robot"),
            Figure(f"{robots}: memory / EnvPool's", share, "x", at_most=_MEMORY_TARGET),
        ]
    return found


def describe(name: str, settings: PhysicsSettings, more: str) -> None:
    """What was measured, so that it can be compared with what others measured."""
    print(f"{name}: {settings}; {more}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--robots", type=int, nargs="+", default=[1024, 4096])
    parser.add_argument("--preset", choices=list(PRESETS), default="standard", help="whose task [%(default)s]")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of the physics [%(default)s]")
    parser.add_argument("--envpool-python", metavar="PYTHON", help="a Python that has EnvPool, to compare with it")
    parser.add_argument("--envpool-as-it-ships", action="store_true", help="leave its bounding volumes on")
    options = parser.parse_args()
    torch.set_num_threads(1)
    packages = ", ".join(f"{name} {version(name)}" for name in ("mujoco", "mjbatch", "torch", "numpy"))
    print(f"{packages}; load {load_average()} on {os.cpu_count()} cores, {options.threads} threads each")
    settings = PRESETS[options.preset]().task
    for robots in options.robots:
        make_pool = None
        if options.envpool_python is not None:
            make_pool = partial(EnvPool, options.envpool_python, robots, options.threads, options.envpool_as_it_ships)
        for figure in measure(settings, robots, options.rounds, options.threads, make_pool):
            print(figure)


if __name__ == "__main__":
    main()
