"""Speed of the engines side by side: control steps a second with random targets, states read, in one interleaved run.

GO1_ISAACGYM_SHIM=1 python -m benchmarks.engines --robots 512
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time

import torch

from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot
from sim.engines.choice import EngineChoice, make_engine
from sim.engines.protocol import Engine
from sim.randomization import Randomization, draw_physics

STEPS, SUBSTEPS = 10, 5
REFERENCE = "mujoco"
CHOICES = {
    REFERENCE: EngineChoice(),
    "isaacgym": EngineChoice("isaacgym"),
    "isaacgym, own process": EngineChoice("isaacgym", python=sys.executable),
}


def prepare(choice: EngineChoice, robots: int) -> Engine:
    """An engine with randomised robots, standing."""
    robot = load_robot()
    engine = make_engine(choice, robot, robots)
    generator = torch.Generator().manual_seed(1)
    engine.set_parameters(draw_physics(Randomization(), velocity_contract(robot), robots, generator))
    stand = torch.tensor(robot.stand_position, dtype=torch.float32).repeat(robots, 1)
    level = torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(robots, 1)
    engine.reset(torch.arange(robots), torch.tensor([0.0, 0.0, 0.3]).repeat(robots, 1), level, stand)
    return engine


def seconds(engine: Engine) -> float:
    """Of STEPS control steps."""
    stand = torch.tensor(load_robot().stand_position, dtype=torch.float32)
    start = time.perf_counter()
    for _ in range(STEPS):
        engine.step(stand + 0.1 * torch.randn(engine.num_envs, 12), SUBSTEPS)
        engine.state()
    return time.perf_counter() - start


def comparison(times: dict[str, list[float]], robots: int) -> list[str]:
    """A line an engine: its best rate, and the median over the rounds of the reference's time / its time."""
    lines = []
    for name, values in times.items():
        rate = robots * STEPS / min(values)
        ratio = statistics.median(a / b for a, b in zip(times[REFERENCE], values, strict=True))
        lines.append(
            f"{name}: best {rate:.0f} control steps/s, {ratio:.2f}x the {REFERENCE} engine (median of {len(values)})"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--robots", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    torch.manual_seed(1)
    engines = {name: prepare(choice, options.robots) for name, choice in CHOICES.items()}
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(options.rounds):
        for name, engine in engines.items():
            times[name].append(seconds(engine))
    print("\n".join(comparison(times, options.robots)))


if __name__ == "__main__":
    main()
