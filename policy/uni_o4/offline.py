"""The default offline stage: PPO inside the transition model, on a budget of KL from the behaviour that was logged.

    logs -> V by TD(lambda), transition model -> repeat: branch from logged states, GAE, clipped update
         -> score on one evaluation set -> stop at the budget, or where the lower bound no longer rises
         -> best candidate, or the start if none is better

Why not the published improvement step (`policy.uni_o4.published`): a critic can rank only actions that were tried, and
one policy with little noise tries next to none but its own. The transition model asks less of the log, for motion
obeys the same mechanics whatever the policy.
"""

from __future__ import annotations

import copy
import functools
import math
from dataclasses import dataclass, replace

import torch

from policy.named_tensors import part_of, under
from policy.networks import GaussianActor, ValueNetwork
from policy.transitions import Transitions, TransitionsError
from policy.uni_o4.branch_course import BranchCourse
from policy.uni_o4.candidates import Candidate, Improvement, state_with_candidates, unpack_candidates
from policy.uni_o4.ensemble_rollouts import ModelWorld, Rollout, RolloutNoise, roll_out
from policy.uni_o4.evaluation import EvaluationSet, EvaluationSettings, compare, model_return
from policy.uni_o4.keeping import NOTHING_KEPT, Keeper, TrainingParts
from policy.uni_o4.ppo import ActorCritic, KlBudget, PpoSettings, SequenceBatch, update
from policy.uni_o4.settings import Progress, no_progress, require
from policy.uni_o4.value import RewardScale

# ---- Hyper-parameters ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EnsembleSettings:
    """How a policy is improved inside the model.

    Attributes:
        iterations: rounds of rollout and update at most.
        branches: a round. horizon: policy steps a branch.
        continuations: rounds in which a branch that stands goes on where it ended, before it leaves another logged
            state; 0 has every branch leave one in every round (`branch_course`).
        beginnings: share of the branches leaving the logs that leave the first step of an episode.
        averaging: share of the former average that stays when a round's weights are averaged in; the candidates are
            these averages. 0 is none: the candidates are the policies as each update leaves them.
        kl_budget: mean KL from the logged behaviour at which everything stops [nat]; docs/lab_notes.md says what lies
            beyond.
        budget_states: logged states over which the KL is averaged.
        patience: iterations in a row without a higher lower bound of the gain after which everything stops. In the runs
            recorded in docs/results (three demos, the real logs) the bound rose again after up to 4; twice that many.
        ppo: the update, in large minibatches: with small ones half of the budget goes into a random walk
            (docs/lab_notes.md). evaluation: how candidates are compared.
    """

    iterations: int = 32
    branches: int = 2048
    horizon: int = 20
    continuations: int = 0
    beginnings: float = 0.0
    averaging: float = 0.0
    kl_budget: float = 1.5
    budget_states: int = 2048
    patience: int = 8
    ppo: PpoSettings = PpoSettings(minibatch_size=8192, actor_learning_rate=6e-4)
    evaluation: EvaluationSettings = EvaluationSettings()

    def __post_init__(self) -> None:
        require(self, "iterations", 1)
        require(self, "branches", 1)
        require(self, "horizon", 1)
        require(self, "continuations", 0)
        require(self, "beginnings", 0.0, 1.0)
        require(self, "averaging", 0.0, 0.999)
        require(self, "kl_budget", 0.0)
        require(self, "budget_states", 1)
        require(self, "patience", 1)


# ---- Improvement -----------------------------------------------------------------------------------------------------


def behavior_budget(transitions: Transitions, states: int, limit: float, generator: torch.Generator) -> KlBudget:
    """A budget of KL counted from the distributions that were logged."""
    if not transitions.behavior_is_known:
        raise TransitionsError(
            "the behaviour's mean, std and log-prob in every step",
            "unknown ones",
            "Clone the behaviour first (policy.uni_o4.cloning.with_cloned_behavior).",
        )
    rows = torch.randperm(len(transitions), generator=generator)[:states]
    return KlBudget(transitions.observation[rows], transitions.action_mean[rows], transitions.action_std[rows], limit)


def improve_in_ensemble(
    actor: GaussianActor,
    value: ValueNetwork,
    world: ModelWorld,
    transitions: Transitions,
    scale: RewardScale,
    settings: EnsembleSettings,
    generator: torch.Generator,
    progress: Progress = no_progress,
    keeper: Keeper = NOTHING_KEPT,
) -> Improvement:
    """Improve a copy of the actor inside the model; the networks given are left untouched.

    The world's halts end the branches that teach; candidates are judged in the same world without them, so that courses
    with different ones can be compared.

    The standard deviation stays as it is. It costs return in the model, and a policy that may lower it spends its
    budget there; but what runs in the end is the mean, to which less noise is no gain.
    """
    networks, fitted = ActorCritic(copy.deepcopy(actor), copy.deepcopy(value), settings.ppo), copy.deepcopy(value)
    networks.actor.log_std.requires_grad_(False)
    average = copy.deepcopy(networks.actor)
    budget = behavior_budget(transitions, settings.budget_states, settings.kl_budget, generator)
    fixed, judged_in = EvaluationSet.draw(transitions, settings.evaluation, generator), replace(world, halts=None)
    start_score = model_return(actor, judged_in, value, scale, fixed)
    gain = compare(start_score, start_score, fixed)
    candidates = [Candidate("start", copy.deepcopy(actor), budget.spent(actor), start_score, gain, None)]
    highest, without_gain = -math.inf, 0  # a bound that rises below zero is on its way, too
    parts = TrainingParts(
        {"actor": networks.actor, "value": networks.value, "average": average},
        {"actor_optimizer": networks.actor_optimizer, "value_optimizer": networks.value_optimizer},
    )
    course = BranchCourse(transitions, settings.branches, settings.continuations, settings.beginnings)
    finished, kept = False, keeper.kept()
    if kept is not None:
        parts.restore(kept)
        course.restore(part_of(kept.tensors, "course"))
        networks.actor_rate = kept.record["actor_rate"]
        candidates += unpack_candidates(kept, networks.actor, networks.value)
        highest, without_gain, finished = (kept.record[name] for name in ("highest", "without_gain", "finished"))
    while not finished:
        starts = course.next(generator)
        noise = RolloutNoise.draw(
            settings.horizon, len(starts), transitions.action.shape[1], transitions.physical.shape[1], generator
        )
        rollout = roll_out(world, networks.actor, starts, noise)
        course.ended(rollout)
        statistics = update(networks, model_batch(rollout, scale), budget, settings.ppo, generator)

        iteration = len(candidates)
        _average_in(average, networks.actor, min(settings.averaging, (iteration - 1) / iteration))
        # Every candidate is judged by the value of the logs, not by one that was trained along with it.
        policy, its_value = copy.deepcopy(average), copy.deepcopy(networks.value)
        score = model_return(policy, judged_in, value, scale, fixed)
        gain, kl = compare(score, start_score, fixed), budget.spent(policy)
        candidates.append(Candidate(f"iteration {iteration}", policy, kl, score, gain, statistics, its_value))
        progress(
            "improvement",
            iteration,
            settings.iterations,
            {"kl": kl, "gain": gain.mean, "gain_lower": gain.lower, "score": score.mean},
        )
        without_gain = 0 if gain.lower > highest else without_gain + 1
        highest = max(highest, gain.lower)
        finished = statistics.stopped or without_gain >= settings.patience or iteration == settings.iterations
        record = {
            "highest": highest,
            "without_gain": without_gain,
            "finished": finished,
            "actor_rate": networks.actor_rate,
        }
        more = under("course", course.tensors())
        keeper.keep(functools.partial(state_with_candidates, parts, candidates[1:], record, more), finished)
    return Improvement(tuple(candidates), fitted)


@torch.no_grad()
def _average_in(average: GaussianActor, actor: GaussianActor, kept: float) -> None:
    for mean, now in zip(average.parameters(), actor.parameters(), strict=True):
        mean.lerp_(now, 1.0 - kept)


def model_batch(rollout: Rollout, scale: RewardScale) -> SequenceBatch:
    """A rollout as sequences to learn from; the last step of a branch bootstraps, steps behind a fall do not count."""
    ends = rollout.terminated.clone()
    ends[-1] = True
    return SequenceBatch(
        rollout.observation,
        rollout.next_observation,
        rollout.action,
        rollout.log_prob,
        scale(rollout.reward),
        rollout.terminated,
        ends,
        rollout.alive,
    )
