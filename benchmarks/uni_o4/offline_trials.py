"""Learn from a data set alone, then measure the last policy: peers and ours through the same door."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from benchmarks.uni_o4.budgets import Budget
from benchmarks.uni_o4.data import DataSet
from benchmarks.uni_o4.evaluate import BatchPolicy, evaluate, mean_policy
from benchmarks.uni_o4.networks_file import save_algorithm, save_learned
from benchmarks.uni_o4.ours import OUR_METHODS, Learned, OurMethod, learn
from benchmarks.uni_o4.peer_training import PeerTraining
from benchmarks.uni_o4.peers import PEER_METHODS, PeerMethod
from benchmarks.uni_o4.preparation import PreparationCache
from benchmarks.uni_o4.results import Stopwatch, Trial
from benchmarks.uni_o4.robots import BenchmarkError, BenchmarkRobot
from benchmarks.uni_o4.termination import termination_rule
from policy.uni_o4.settings import Progress

OFFLINE_METHODS: tuple[str, ...] = (*PEER_METHODS, *OUR_METHODS)


@dataclass(frozen=True)
class OfflineFiles:
    """Where an offline trial keeps things.

    Attributes:
        networks: what it learned. state: of a peer's training that is under way. prepared: folder of fits that are
            shared (`preparation`).
    """

    networks: Path
    state: Path
    prepared: Path


def offline_trial(robot: str, data_set: str, seed: int, method: str, budget: Budget) -> Trial:
    """The trial with every setting that its method uses, and none that it ignores.

    Raises:
        BenchmarkError: there is no such method.
    """
    if method not in OFFLINE_METHODS:
        raise BenchmarkError(f"a method of {', '.join(OFFLINE_METHODS)}", repr(method), "Correct the name.")
    if method in PEER_METHODS:
        used, code = budget.peers.record(method), "peers"
    else:
        used, code = budget.ours.record(cast(OurMethod, method)), "ours"
    settings = {**used, "episodes": budget.episodes, "curve_episodes": budget.curve_episodes}
    return Trial("offline", robot, data_set, seed, method, settings, code)


def run_offline(trial: Trial, data: DataSet, budget: Budget, files: OfflineFiles, progress: Progress) -> dict[str, Any]:
    """Figures of the last policy, and its curve; the networks are written beside them.

    The curve is looked at only: nothing in it chooses anything.
    """
    policy, figures = (_peer if trial.method in PEER_METHODS else _ours)(trial, data, budget, files, progress)
    found = evaluate(policy, data.robot, budget.episodes)
    return {**found.record(data.robot), **figures, "networks_sha256": file_sha256(files.networks)}


def _peer(
    trial: Trial, data: DataSet, budget: Budget, files: OfflineFiles, progress: Progress
) -> tuple[BatchPolicy, dict[str, Any]]:
    method = cast(PeerMethod, trial.method)
    training = PeerTraining(method, data.steps, budget.peers, trial.seed, files.state, trial.key(data.sha256))

    def look(updates: int, policy: BatchPolicy) -> float:
        score = _score(policy, data.robot, budget.curve_episodes)
        progress(method, updates, training.total, {"score": score})
        return score

    training.run(look)
    spent = training.stopwatch.spent()
    save_algorithm(files.networks, training.algorithm)
    return training.algorithm.predict, {**asdict(spent), "curve": training.curve, "notes": {}}


def _ours(
    trial: Trial, data: DataSet, budget: Budget, files: OfflineFiles, progress: Progress
) -> tuple[BatchPolicy, dict[str, Any]]:
    stopwatch = Stopwatch()
    cache = PreparationCache(files.prepared, data.sha256)
    method, fell = cast(OurMethod, trial.method), termination_rule(data.robot.name)
    learned = learn(method, data.steps, fell, budget.ours, trial.seed, cache, progress)
    stopwatch.add(cache.reused)
    spent = stopwatch.spent()
    save_learned(files.networks, learned)
    curve = _curve(learned, data.robot, budget, trial.method == "ensemble")
    policy = mean_policy(learned.actor, learned.standardization)
    return policy, {**asdict(spent), "curve": curve, "notes": learned.notes}


def _curve(learned: Learned, robot: BenchmarkRobot, budget: Budget, in_order: bool) -> list[dict[str, float]]:
    """Score of about ten of the candidates.

    Those of the ensemble are one policy on its way. Those of the published method are its members, each at its own
    end: all of them have the whole of the training behind them, the start none of it.
    """
    candidates = learned.improvement.candidates
    stride = max(1, len(candidates) // 10)
    last = len(candidates) - 1
    return [
        {
            "candidate": place,
            "share": place / max(1, last) if in_order else float(place > 0),
            "kl": candidate.kl,
            "predicted_gain": candidate.gain.mean,
            "score": _score(mean_policy(candidate.actor, learned.standardization), robot, budget.curve_episodes),
        }
        for place, candidate in enumerate(candidates)
        if place % stride == 0 or place == last
    ]


def _score(policy: BatchPolicy, robot: BenchmarkRobot, episodes: int) -> float:
    return robot.normalized_score(float(evaluate(policy, robot, episodes).returns.mean()))


def file_sha256(path: Path) -> str:
    """Of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
