"""Learn from a data set alone, then measure the last policy: peers and ours through the same door."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from benchmarks.uni_o4.budgets import Budget
from benchmarks.uni_o4.data import DataSet
from benchmarks.uni_o4.evaluate import BatchPolicy, evaluate, mean_policy
from benchmarks.uni_o4.networks_file import save_algorithm, save_learned
from benchmarks.uni_o4.ours import OUR_METHODS, Learned, OurMethod, learn, resolved
from benchmarks.uni_o4.peers import PEER_METHODS, learn_peer
from benchmarks.uni_o4.results import Stopwatch, Trial
from benchmarks.uni_o4.robots import BenchmarkError, BenchmarkRobot
from policy.uni_o4.settings import Progress

OFFLINE_METHODS: tuple[str, ...] = (*PEER_METHODS, *OUR_METHODS)


def offline_trial(robot: str, data_set: str, seed: int, method: str, budget: Budget) -> Trial:
    """The trial with every setting that its method uses.

    Raises:
        BenchmarkError: there is no such method.
    """
    if method not in OFFLINE_METHODS:
        raise BenchmarkError(f"a method of {', '.join(OFFLINE_METHODS)}", repr(method), "Correct the name.")
    used = budget.peers if method in PEER_METHODS else resolved(cast(OurMethod, method), budget.ours)
    settings = {**asdict(used), "episodes": budget.episodes, "curve_episodes": budget.curve_episodes}
    return Trial("offline", robot, data_set, seed, method, settings)


def run_offline(trial: Trial, data: DataSet, budget: Budget, networks: Path, progress: Progress) -> dict[str, Any]:
    """Figures of the last policy, and its curve; the networks are written beside them.

    The curve is looked at afterwards only: nothing in it chooses anything.
    """
    stopwatch = Stopwatch()
    if trial.method in PEER_METHODS:
        curve: list[dict[str, float]] = []

        def watch(updates: int, policy: BatchPolicy) -> None:
            with stopwatch.paused():
                curve.append({"updates": updates, "score": _score(policy, data.robot, budget.curve_episodes)})
                progress(trial.method, updates, budget.peers.updates, {"score": curve[-1]["score"]})

        algorithm = learn_peer(trial.method, data.steps, budget.peers, trial.seed, watch)
        policy, notes = algorithm.predict, {}
        spent = stopwatch.record()
        save_algorithm(networks, algorithm)
    else:
        learned = learn(cast(OurMethod, trial.method), data.steps, budget.ours, trial.seed, progress)
        policy, notes = mean_policy(learned.actor, learned.standardization), learned.notes
        spent = stopwatch.record()
        save_learned(networks, learned)
        curve = _curve(learned, data.robot, budget)
    found = evaluate(policy, data.robot, budget.episodes)
    return {**found.record(data.robot), **spent, "curve": curve, "notes": notes}


def _curve(learned: Learned, robot: BenchmarkRobot, budget: Budget) -> list[dict[str, float]]:
    """Score of about ten of the candidates, in the order in which they were made."""
    candidates = learned.improvement.candidates
    stride = max(1, len(candidates) // 10)
    return [
        {
            "candidate": place,
            "kl": candidate.kl,
            "predicted_gain": candidate.gain.mean,
            "score": _score(mean_policy(candidate.actor, learned.standardization), robot, budget.curve_episodes),
        }
        for place, candidate in enumerate(candidates)
        if place % stride == 0 or place == len(candidates) - 1
    ]


def _score(policy: BatchPolicy, robot: BenchmarkRobot, episodes: int) -> float:
    return robot.normalized_score(float(evaluate(policy, robot, episodes).returns.mean()))
