"""Gradient steps a second of the learner's fits with the paper's network sizes, against plain loops over members.

    python -m benchmarks.uni_o4.speed --rounds 5 --batches 30 --threads 1

A step is the same on both sides: draw a batch of 512, gather it, losses, gradient, optimiser, and for the critics the
slow copy. Ours does it by the learner's own step (`CloningTraining`, `CriticTraining`, `member_step`); the plain loops
of `plain_loops` do it network by network. Outside on both sides: building the networks, and whatever a fit does around
its steps (ridge regression, held-out errors, copies of the best). The two alternate, as many steps each, and the ratio
is that of the medians of processor time, so that a busy machine slows both alike.

"Products alone" is the share of the plain loop's time that torch's profiler finds inside matrix products. Both sides
have to compute those: no arrangement of the same networks beats the plain loop by more than one over that share.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from benchmarks.figures import Figure, load_average
from benchmarks.uni_o4.gymnasium_world import PHYSICAL_GROUP
from benchmarks.uni_o4.paper_sizes import PAPER_CLONING, PAPER_CRITICS, PAPER_DYNAMICS
from benchmarks.uni_o4.plain_loops import plain_cloning, plain_critics, plain_dynamics
from policy.transitions import Transitions
from policy.uni_o4.cloning import CloningSettings, CloningTraining
from policy.uni_o4.critics import CriticBatch, CriticSettings, CriticTraining
from policy.uni_o4.dynamics import DynamicsEnsemble, DynamicsSettings, dynamics_features, member_step
from policy.uni_o4.settings import seeded_generator

TARGET_RATIO = 1.5  # on a CPU
EPISODE_STEPS = 500
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm")
_Settings = TypeVar("_Settings")


@dataclass(frozen=True)
class Duel:
    """One fit; a call of ours or plain makes the given number of gradient steps."""

    name: str
    ours: Callable[[int], None]
    plain: Callable[[int], None]


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


def duels(transitions: Transitions) -> list[Duel]:
    """Every fit with the paper's sizes."""
    return [
        Duel(
            "behaviour ensemble",
            our_cloning(transitions, PAPER_CLONING),
            _counted(plain_cloning, transitions, PAPER_CLONING),
        ),
        Duel("critics", our_critics(transitions, PAPER_CRITICS), _counted(plain_critics, transitions, PAPER_CRITICS)),
        Duel(
            "transition model",
            our_dynamics(transitions, PAPER_DYNAMICS),
            _counted(plain_dynamics, transitions, PAPER_DYNAMICS),
        ),
    ]


def our_cloning(transitions: Transitions, settings: CloningSettings) -> Callable[[int], None]:
    """Prepare the cloned ensemble's own steps."""
    generator = seeded_generator(0)
    training = CloningTraining(
        transitions.observation.shape[1], transitions.action.shape[1], settings, seeded_generator(0)
    )

    def run(steps: int) -> None:
        for _ in range(steps):
            rows = torch.randint(len(transitions), (settings.batch_size,), generator=generator)
            training.step(transitions.observation[rows], transitions.action[rows])

    return run


def our_critics(transitions: Transitions, settings: CriticSettings) -> Callable[[int], None]:
    """Prepare the critics' own steps; IQL has no use for the action that follows, which is gathered all the same."""
    generator = seeded_generator(0)
    training = CriticTraining(
        transitions.observation.shape[1], transitions.action.shape[1], settings, seeded_generator(0)
    )

    def run(steps: int) -> None:
        for _ in range(steps):
            rows = torch.randint(len(transitions), (settings.batch_size,), generator=generator)
            training.step(CriticBatch.at(transitions, transitions.reward, rows, rows))

    return run


def our_dynamics(transitions: Transitions, settings: DynamicsSettings) -> Callable[[int], None]:
    """Prepare the transition model's own steps; every member draws its own batch."""
    generator = seeded_generator(0)
    features = dynamics_features(transitions.observation, transitions.physical, transitions.action, transitions.past)
    target = torch.cat([transitions.next_physical - transitions.physical, transitions.reward[:, None]], dim=1)
    fell, physical_dim = transitions.terminated.float(), transitions.physical.shape[1]
    model = DynamicsEnsemble(features.shape[1], physical_dim, settings.members, settings.hidden_dims, generator)
    optimizer = torch.optim.AdamW(model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)

    def run(steps: int) -> None:
        for _ in range(steps):
            rows = torch.randint(len(transitions), (settings.members, settings.batch_size), generator=generator)
            member_step(model, optimizer, features[rows], target[rows], fell[rows], settings)

    return run


def _counted(
    prepare: Callable[[Transitions, _Settings, int], Callable[[], None]], transitions: Transitions, settings: _Settings
) -> Callable[[int], None]:
    """A plain loop that is told how many steps to make; it is prepared for one, and called as often."""
    step = prepare(transitions, settings, 1)

    def run(steps: int) -> None:
        for _ in range(steps):
            step()

    return run


def measure(duel: Duel, rounds: int, batches: int) -> tuple[float, float]:
    """Gradient steps a processor second, ours and plain, the two alternating; the first round warms both up."""
    seconds: dict[str, list[float]] = {"ours": [], "plain": []}
    for _ in range(rounds + 1):
        for name, work in (("ours", duel.ours), ("plain", duel.plain)):
            started = time.process_time()
            work(batches)
            seconds[name].append(time.process_time() - started)
    ours, plain = (statistics.median(seconds[name][1:]) for name in ("ours", "plain"))
    return batches / ours, batches / plain


def products_alone(work: Callable[[int], None], batches: int) -> float:
    """Share of the work's processor time inside matrix products, in (0, 1]."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        work(batches)
    spent = {event.key: event.self_cpu_time_total for event in profile.key_averages()}
    return sum(spent.get(name, 0.0) for name in PRODUCTS) / sum(spent.values())


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a figure a fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=30, help="gradient steps a round")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--observation-dim", type=int, default=17, help="17 is HalfCheetah's, 290 the paper's Go1's")
    parser.add_argument("--action-dim", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    transitions = random_transitions(options.rows, options.observation_dim, options.action_dim)
    print(f"torch {torch.__version__}, {options.threads} threads, load {load_average()}")
    for duel in duels(transitions):
        ours, plain = measure(duel, options.rounds, options.batches)
        print(Figure(f"{duel.name}: ours", ours, "1/s"))
        print(Figure(f"{duel.name}: plain loop", plain, "1/s"))
        print(Figure(f"{duel.name}: plain loop, products alone", products_alone(duel.plain, options.batches), ""))
        print(Figure(f"{duel.name}: ours over plain", ours / plain, "", at_least=TARGET_RATIO), flush=True)
    print(f"load {load_average()} at the end")


if __name__ == "__main__":
    main()
