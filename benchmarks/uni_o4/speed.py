"""Gradient steps a second of the learner's fits with the paper's network sizes, against plain loops over members.

    python -m benchmarks.uni_o4.speed --rounds 5 --threads 1

Ours is timed as it is called, with everything around the steps (ridge regression, held-out errors, copies of the best);
the plain loops of `plain_loops` are timed without any of that. The two alternate, as many steps each, and the ratio is
that of the medians of processor time, so that a busy machine slows both alike.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from benchmarks.figures import Figure, load_average
from benchmarks.uni_o4.gymnasium_world import PHYSICAL_GROUP
from benchmarks.uni_o4.paper_sizes import PAPER_CLONING, PAPER_CRITICS, PAPER_DYNAMICS
from benchmarks.uni_o4.plain_loops import plain_cloning, plain_critics, plain_dynamics
from policy.transitions import Transitions
from policy.uni_o4.cloning import clone_behavior
from policy.uni_o4.critics import fit_critics
from policy.uni_o4.dynamics import fit_dynamics
from policy.uni_o4.settings import seeded_generator
from policy.uni_o4.value import RewardScale

TARGET_RATIO = 1.5  # on a CPU
EPISODE_STEPS = 500


@dataclass(frozen=True)
class Duel:
    """One fit, ours and plain, each of so many gradient steps."""

    name: str
    ours: Callable[[], object]
    plain: Callable[[], object]
    steps: int


def random_transitions(rows: int, observation_dim: int, action_dim: int) -> Transitions:
    """Noise of a robot's shapes: what the numbers are does not change how long they take."""
    generator = seeded_generator(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(rows, *shape, generator=generator)

    state, following, action, row = (
        normal(observation_dim),
        normal(observation_dim),
        normal(action_dim),
        torch.arange(rows),
    )
    return Transitions(
        observation=state, next_observation=following, action=action, action_mean=action, action_std=action.abs(),
        log_prob=normal(), reward=normal(), terminated=torch.zeros(rows, dtype=torch.bool),
        truncated=(row + 1) % EPISODE_STEPS == 0, episode=row // EPISODE_STEPS, physical=state,
        next_physical=following, command=torch.zeros(rows, 0), memory=torch.zeros(rows, 0),
        past=torch.zeros(rows, 0, observation_dim + action_dim), groups=((PHYSICAL_GROUP, observation_dim),),
    )  # fmt: skip


def duels(transitions: Transitions, batches: int) -> list[Duel]:
    """Every fit, with about `batches` gradient steps a round."""
    rows = len(transitions)
    # One epoch over the training episodes is this many steps, the held-out tenth aside.
    held = max(1, round(PAPER_CLONING.holdout_fraction * (rows // EPISODE_STEPS))) * EPISODE_STEPS
    cloning = replace(PAPER_CLONING, epochs=1, batch_size=max(1, (rows - held) // batches))
    dynamics = replace(PAPER_DYNAMICS, epochs=1, batch_size=cloning.batch_size)
    critics = replace(PAPER_CRITICS, updates=batches, batch_size=cloning.batch_size)
    steps = (rows - held) // cloning.batch_size
    scale = RewardScale(1.0)
    return [
        Duel(
            "behaviour ensemble",
            lambda: clone_behavior(transitions, cloning, seeded_generator(0)),
            plain_cloning(transitions, cloning, steps),
            steps,
        ),
        Duel(
            "critics",
            lambda: fit_critics(transitions, scale, critics, seeded_generator(0)),
            plain_critics(transitions, critics, batches),
            batches,
        ),
        Duel(
            "transition model",
            lambda: fit_dynamics(transitions, dynamics, seeded_generator(0)),
            plain_dynamics(transitions, dynamics, steps),
            steps,
        ),
    ]


def measure(duel: Duel, rounds: int) -> tuple[float, float]:
    """Gradient steps a processor second, ours and plain, the two alternating; the first round warms both up."""
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    for _ in range(rounds + 1):
        for name, work in (("ours", duel.ours), ("plain", duel.plain)):
            started = time.process_time()
            work()
            seconds[name].append(time.process_time() - started)
    ours, plain = (statistics.median(seconds[name][1:]) for name in ("ours", "plain"))
    return duel.steps / ours, duel.steps / plain


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a figure a fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=40, help="gradient steps a round")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--observation-dim", type=int, default=17, help="17 is HalfCheetah's, 290 the paper's Go1's")
    parser.add_argument("--action-dim", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    transitions = random_transitions(options.rows, options.observation_dim, options.action_dim)
    print(f"torch {torch.__version__}, {options.threads} threads, load {load_average()}")
    for duel in duels(transitions, options.batches):
        ours, plain = measure(duel, options.rounds)
        print(Figure(f"{duel.name}: ours", ours, "1/s"))
        print(Figure(f"{duel.name}: plain loop", plain, "1/s"))
        print(Figure(f"{duel.name}: ours over plain", ours / plain, "", at_least=TARGET_RATIO), flush=True)


if __name__ == "__main__":
    main()
