"""What is asked of learning on the twin, and whether the results show it.

A target is met or MISSED only where the whole 95 % interval says so, of at least `LEAST_SEEDS` seeds in each of its
conditions; else it is open. Where nothing of it was measured it reads "not run".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

from benchmarks.twin_conditions_gaps import ConditionReturns, Estimate, mean_gain, mean_of
from benchmarks.twin_conditions_results import ConditionResults, StageResult
from benchmarks.twin_conditions_settings import (
    CONDITIONS,
    OFFLINE_STAGES,
    ONLINE_STAGES,
    REPORTED_CONDITIONS,
    STEADY_CONDITION,
)
from benchmarks.twin_conditions_steady import FORWARD
from sim.twin_batch.resampling import central_interval

CLOSED_AFTER_ROUND = {1: 0.6, 2: 0.8}
"""Share of the gap that ours shall close after each round of logging, mean over conditions."""
FORWARD_M_S = 0.8
FORWARD_RATIO = 2.0
"""What `FORWARD` shall come to on latex [m/s], or how many times the start's speed; see `followed_speed`."""
LEAST_SEEDS = 3
_OURS, _ONLINE = OFFLINE_STAGES[0], next(iter(ONLINE_STAGES))
_DRAWS = 4000


@dataclass(frozen=True)
class Verdict:
    """One target: what is asked, what was measured, and `met`, `MISSED`, `open` or `not run`."""

    target: str
    measured: str
    word: str


def verdicts(results: ConditionResults) -> tuple[Verdict, ...]:
    """Every target, in the order in which they are asked."""
    lines = []
    for number, share in CLOSED_AFTER_ROUND.items():
        for conditions, which in ((REPORTED_CONDITIONS, "conditions reported on"), (CONDITIONS, "all conditions")):
            lines.append(_closed(results, number, share, conditions, which))
        if number == 1:
            lines.append(_never_negative(results, f"{_OURS}1", "offline after round 1 is negative in no condition"))
    lines.append(_online_adds(results))
    lines.append(_never_negative(results, _last(results, _ONLINE), "online loses in no condition", online=True))
    return (*lines, _forward(results))


# ---- Shares and gains of one condition -------------------------------------------------------------------------------


def closed_by(results: ConditionResults, condition: str, stage: str) -> Optional[Estimate]:
    """Share of a condition's gap that a stage closed; None where it or the gap was not measured, or there is no gap."""
    returns = returns_of(results, condition, stage)
    if returns is None or not returns.after or not returns.gap().is_above_its_interval:
        return None
    return returns.closed(results.conditions.index(condition))


def returns_of(results: ConditionResults, condition: str, stage: str) -> Optional[ConditionReturns]:
    """Start, oracle and a stage's seeds; None without start or oracle."""
    before, oracle = results.of(condition, "pre").get(None), results.best_oracle(condition)
    if before is None or oracle is None:
        return None
    after = {seed: one.returns for seed, one in results.of(condition, stage).items() if seed is not None}
    return ConditionReturns(before.returns, oracle.returns, after, before.grounds)


def gain_over_pre(results: ConditionResults, condition: str, stage: str) -> Optional[Estimate]:
    """A stage's return less that of the pretrained policy; None where either was not measured."""
    before = results.of(condition, "pre").get(None)
    after = {seed: one for seed, one in results.of(condition, stage).items() if seed is not None}
    if before is None or not after:
        return None
    differences = {seed: one.returns - before.returns for seed, one in after.items()}
    return mean_gain(differences, before.grounds, results.conditions.index(condition))


def gain_of_online(results: ConditionResults, condition: str, stage: str) -> Optional[Estimate]:
    """Return at a look of online learning less that of the policy it began with, over the seeds that have both."""
    family = stage.rstrip("0123456789")
    rounds = results.numbered(ONLINE_STAGES[family])[-1:]
    after = results.of(condition, stage)
    before = results.of(condition, rounds[0]) if rounds else {}
    differences = {
        seed: after[seed].returns - before[seed].returns for seed in after if seed in before and seed is not None
    }
    if not differences:
        return None
    grounds = next(iter(after.values())).grounds
    return mean_gain(differences, grounds, results.conditions.index(condition))


# ---- Verdicts --------------------------------------------------------------------------------------------------------


def verdict_word(interval: tuple[float, float], at_least: float, whole: bool) -> str:
    """`met` or `MISSED` where the whole interval lies on one side and the results are whole, else `open`."""
    low, high = interval
    if not whole:
        return "open"
    if low >= at_least:
        return "met"
    return "MISSED" if high < at_least else "open"


def _closed(results: ConditionResults, number: int, share: float, conditions: Sequence[str], which: str) -> Verdict:
    stage = f"{_OURS}{number}"
    target = f"offline closes >= {share:.1f} of the gap after round {number}, mean over {which}"
    found = {name: closed_by(results, name, stage) for name in conditions if name in results.conditions}
    counted = [one for one in found.values() if one is not None]
    if not counted:
        return Verdict(target, "", "not run")
    mean = mean_of(counted)
    whole = len(counted) == len(conditions) and _has_seeds(results, stage, conditions)
    measured = f"{_figure(mean)}, {len(counted)} of {len(conditions)} conditions"
    return Verdict(target, measured, verdict_word(mean.interval, share, whole))


def _never_negative(results: ConditionResults, stage: str, target: str, online: bool = False) -> Verdict:
    """Met where no condition's interval reaches below zero, MISSED where one lies wholly below."""
    gain = gain_of_online if online else gain_over_pre
    measured = {name: gain(results, name, stage) for name in CONDITIONS if name in results.conditions}
    found = {name: one for name, one in measured.items() if one is not None}
    if not found:
        return Verdict(target, "", "not run")
    lowest = min(found, key=lambda name: found[name].value)
    text = f"lowest: {lowest} {_points(found[lowest])}, {len(found)} of {len(CONDITIONS)} conditions"
    if any(one.interval[1] < 0.0 for one in found.values()):
        return Verdict(target, text, "MISSED" if _has_seeds(results, stage, tuple(found)) else "open")
    whole = len(found) == len(CONDITIONS) and _has_seeds(results, stage, CONDITIONS)
    return Verdict(target, text, "met" if whole and min(one.interval[0] for one in found.values()) >= 0.0 else "open")


def _online_adds(results: ConditionResults) -> Verdict:
    stage, target = _last(results, _ONLINE), "online adds to the last round, mean over all conditions"
    gains = [gain_of_online(results, name, stage) for name in CONDITIONS if name in results.conditions]
    found = [one for one in gains if one is not None]
    if not found:
        return Verdict(target, "", "not run")
    mean = mean_of(found)
    whole = len(found) == len(CONDITIONS) and _has_seeds(results, stage, CONDITIONS)
    # Nothing gained is not more: an interval that begins at zero does not meet this one.
    word = verdict_word(mean.interval, float(np.nextafter(0.0, 1.0)), whole)
    return Verdict(target, f"{_points(mean)}, {len(found)} of {len(CONDITIONS)} conditions", word)


def followed_speed(one: StageResult) -> np.ndarray:
    """(R,) speed of each robot under `FORWARD` [m/s], as far as it is the one commanded.

    On soft, springy ground a robot may run away from its command: what it is too fast by counts against it as much as
    what it is too slow by, and a robot that fell has reached nothing.
    """
    speeds = one.forward_m_s if one.forward_m_s is not None else np.zeros(0)
    return np.concatenate([FORWARD[0] - np.abs(FORWARD[0] - speeds), np.zeros(one.forward_falls)])


def _forward(results: ConditionResults) -> Verdict:
    """Speed on `STEADY_CONDITION`, by the last policy of ours that was measured."""
    target = (
        f"on {STEADY_CONDITION} a commanded {FORWARD[0]:.1f} m/s is followed with >= {FORWARD_M_S} m/s, "
        f"or {FORWARD_RATIO:g} x the start's speed"
    )
    before = results.of(STEADY_CONDITION, "pre").get(None)
    names = [*results.numbered(_OURS), *results.numbered(_ONLINE)]
    names = [name for name in names if results.of(STEADY_CONDITION, name)]
    if before is None or before.forward_m_s is None:
        return Verdict(target, "", "not run")
    start = followed_speed(before).mean()
    start_told = f"start {start:.2f} m/s, {before.forward_falls} falls"
    if not names:
        return Verdict(target, start_told, "not run")
    last = [one for one in results.of(STEADY_CONDITION, names[-1]).values() if one.forward_m_s is not None]
    if not last:
        return Verdict(target, start_told, "not run")
    draws = _speed_draws([followed_speed(one) for one in last])
    low, high = central_interval(draws)
    falls = sum(one.forward_falls for one in last)
    text = f"{names[-1]} {draws.mean():.2f} [{low:.2f}, {high:.2f}] m/s, {falls} falls; {start_told}"
    wanted = min(FORWARD_M_S, FORWARD_RATIO * float(start)) if start > 0.0 else FORWARD_M_S
    return Verdict(target, text, verdict_word((low, high), wanted, len(last) >= LEAST_SEEDS))


def _speed_draws(by_seed: Sequence[np.ndarray]) -> np.ndarray:
    """Bootstrap means (D,) over seeds drawn with replacement, each of robots drawn with replacement."""
    random = np.random.default_rng(0)
    means = np.stack(
        [one[random.integers(len(one), size=(_DRAWS, len(by_seed), len(one)))].mean(-1) for one in by_seed]
    )
    chosen = random.integers(len(by_seed), size=(1, _DRAWS, len(by_seed)))
    draws: np.ndarray = np.take_along_axis(means, chosen, axis=0)[0].mean(1)
    return draws


def _last(results: ConditionResults, family: str) -> str:
    return (results.numbered(family) or (f"{family}1",))[-1]


def _has_seeds(results: ConditionResults, stage: str, conditions: Sequence[str]) -> bool:
    return all(len(results.of(name, stage)) >= LEAST_SEEDS for name in conditions)


def _figure(estimate: Estimate) -> str:
    low, high = estimate.interval
    return f"{estimate.value:.2f} [{low:.2f}, {high:.2f}]"


def _points(estimate: Estimate) -> str:
    low, high = estimate.interval
    return f"{estimate.value:+.1f} [{low:+.1f}, {high:+.1f}]"
