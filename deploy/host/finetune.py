"""Online fine-tuning: rounds of log, learn, seal, until the planned steps are spent.

    round k:  bundle k-1 ──runner──► logs ──ingest──► data set ──learner──► bundle k, trainer state k
              refit on all logs so far, improve inside the model on a small KL budget, or plain PPO on the round

Every round lives in a folder of its own, and each of its artefacts appears whole or not at all. A run that is killed at
any moment and started again does the first missing artefact next, from the same random state: the result is the same.
A round whose policy walked clearly worse than the one before it, or fell clearly more often, is learned from, but not
gone on from. What a round learned passes the gate (`policy.candidate_gate`), or the incumbent drives the next one.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import torch

from deploy.host.finetune_falls import falls_clearly_more, logged_falls
from deploy.host.finetune_folder import claim, made_from, write_json
from deploy.host.finetune_logs import Collector, RoundIncomplete, RoundLogs
from deploy.host.finetune_rollback import ReturnDifference, compare_logged_returns, logged_episodes
from deploy.host.finetune_settings import FinetuneSettings
from deploy.host.finetune_start import continued_learner, first_learner, state_of_stage_before
from deploy.host.finetune_steps import in_two_episodes, require_enough_steps
from deploy.host.gate_evidence import round_evidence, walked
from deploy.host.logged_policy import require_logged_policy
from offline_data.dataset import Dataset
from offline_data.ingest import ingest
from policy.bundle import Lineage, read_bundle, verify_bundle
from policy.candidate_gate import KlSpent, Trial, candidate_gate
from policy.code_version import code_version
from policy.export import export_bundle, load_graph
from policy.graph import PolicyGraph
from policy.rewards import RewardWeights
from policy.transitions import Transitions, concatenate, from_columns
from policy.uni_o4.dynamics import DynamicsEnsemble
from policy.uni_o4.ensemble_rollouts import ModelWorld
from policy.uni_o4.online import OnlineLearner
from policy.uni_o4.settings import Progress, no_progress
from policy.uni_o4.velocity_world import velocity_world
from robot_configs.robot import load_robot


@dataclass(frozen=True)
class FinetuneResult:
    """The last bundle and a record of each round."""

    bundle: Path
    rounds: tuple[dict[str, Any], ...]


def finetune(
    bundle: Path,
    collect: Collector,
    out: Path,
    settings: FinetuneSettings,
    progress: Progress = no_progress,
    command: str = "",
    trial: Optional[Trial] = None,
) -> FinetuneResult:
    """Run or resume online fine-tuning in the folder `out`.

    Args:
        trial: walks a round's policy against the incumbent on the twin; without one the gate goes by the logs alone.

    Raises:
        RefineError: too few steps for a round; the folder holds another run, by bundle, settings or data, or the
            trainer state beside the bundle is another's. All of it before anything is driven.
        LoggedPolicyError: earlier data of another policy, before anything is driven too.
        RoundIncomplete: a session ended early; what it logged is kept, and the same call goes on from there.
        BundleError: a policy that does not verify; it is never driven.
    """
    require_enough_steps(settings.steps, settings.rounds)
    torch.set_num_threads(settings.threads)
    out.mkdir(parents=True, exist_ok=True)
    claim(out, read_bundle(bundle), settings)
    state_of_stage_before(bundle)  # refused here rather than after a round of walking
    for folder in settings.earlier_data:
        require_logged_policy(Dataset.open(folder), bundle)
    current, records = bundle, []
    rounds: list[_Round] = []
    for index in range(settings.rounds):
        verify_bundle(read_bundle(current), load_robot())  # whoever collects: what does not verify is never driven
        round_ = _Round(out / f"round_{index + 1}", current, tuple(rounds), settings)
        round_.log(collect)
        round_.ingest()
        records.append(round_.learn(progress, command, trial))
        rounds.append(round_)
        current = round_.bundle
    verify_bundle(read_bundle(current), load_robot())
    return FinetuneResult(current, tuple(records))


class _Round:
    """One round's artefacts and how each is made.

    Attributes:
        start: the bundle that this round drives. bundle: the one that it makes.
    """

    def __init__(self, folder: Path, start: Path, earlier: tuple[_Round, ...], settings: FinetuneSettings) -> None:
        self.start, self.bundle = start, folder / "policy.go1policy"
        self._folder, self._earlier, self._settings = folder, earlier, settings
        self._dataset = folder / "dataset"
        self._state, self._record = folder / "learner.safetensors", folder / "round.json"

    def log(self, collect: Collector) -> None:
        """Log what the round still lacks; see `RoundLogs`. A policy that falls too often is not put up again for it."""
        if self._dataset.exists() or self._fell_too_often():
            return
        self._folder.mkdir(exist_ok=True)
        try:
            self._logs.log(collect, self.start)
        except RoundIncomplete:
            if not self._fell_too_often():
                raise

    def ingest(self) -> None:
        if not self._dataset.exists():
            ingest(self._logs.path, self._dataset)

    def learn(self, progress: Progress, command: str, trial: Optional[Trial]) -> dict[str, Any]:
        """Update, ask the gate, seal, save; the record is written last and marks the round as done."""
        if self._record.exists():
            return self.record
        started = time.monotonic()
        difference, falls = self._difference(), self._fell_too_often()
        worse = falls is not None or (difference is not None and difference.clearly_worse)
        origin = self._incumbent if worse else self
        driven, parent = read_bundle(self.start), read_bundle(origin.start)
        graph = load_graph(parent)
        new = self.steps(graph)
        learner, update = self._update(graph, origin, progress, trial)
        figures = {
            "rolled_back": origin is not self,
            "fell_too_often": falls,
            "return_difference": None if difference is None else difference.mean,
            "return_difference_interval": None if difference is None else [difference.lower, difference.upper],
            **update,
        }
        lineage = Lineage(
            stage="finetune",
            parents=(parent.sha256,),
            data=self._learned_from(origin),
            code_version=code_version(),
            seed=self._settings.online.seed,
            command=command,
            notes=(
                f"seed of the learner: {self._settings.online.seed}",
                f"seed of the logging: {self._settings.seed}",
                *(f"{name}: {value}" for name, value in figures.items()),
            ),
        )
        # A version never goes back, also where the weights do: the robot's store goes by it.
        policy, version = PolicyGraph(graph.contract, learner.actor), driven.version + 1
        export_bundle(policy, self.bundle, lineage, version, load_robot())
        learner.save(self._state, self.data.sha256)
        record = {
            "round": len(self._earlier) + 1,
            "steps": len(new),
            "sessions": len(self._logs.sessions),
            "falls": int(new.terminated.sum()),
            "quarantined": len(self.data.quarantined),
            "mean_reward": float(new.reward.mean()),
            **figures,
            "bundle_sha256": read_bundle(self.bundle).sha256,
            **made_from(self._settings, parent.sha256, lineage.data),
            "code_version": code_version(),
            "wall_s": time.monotonic() - started,
        }
        write_json(self._record, record)
        return record

    # ---- What later rounds ask ---------------------------------------------------------------------------------------

    @property
    def record(self) -> dict[str, Any]:
        """What was written about the round when it was done."""
        return dict(json.loads(self._record.read_text()))

    @property
    def data(self) -> Dataset:
        """The round's own data set."""
        return Dataset.open(self._dataset)

    def steps(self, graph: PolicyGraph) -> Transitions:
        """The round's own steps, in two episodes at least."""
        return in_two_episodes(from_columns(self.data, graph))

    def learner(self, graph: PolicyGraph) -> OnlineLearner:
        """The learner as it was when this round's start had just been made; graph is that of the start."""
        settings = self._settings
        if self._earlier:
            before = self._earlier[-1]
            return continued_learner(before._state, before.data.sha256, graph, settings.online)
        return first_learner(self.start, graph, self.steps(graph), settings.online, settings.model)

    # ---- Parts of learning -------------------------------------------------------------------------------------------

    @property
    def _logs(self) -> RoundLogs:
        settings, index = self._settings, len(self._earlier)
        share = -(-settings.steps // settings.rounds)
        return RoundLogs(self._folder, index + 1, share, settings.seed + index, settings.rounds)

    @property
    def _incumbent(self) -> _Round:
        """The newest earlier round whose policy was not found to be clearly worse than the one before it."""
        return next(round_ for round_ in reversed(self._earlier) if not round_.record["rolled_back"])

    def _difference(self) -> Optional[ReturnDifference]:
        """How this round's policy walked, compared with the incumbent's; None where there is nothing to compare."""
        if not self._earlier:
            return None
        return compare_logged_returns(logged_episodes(self._incumbent.data), logged_episodes(self.data))

    def _learned_from(self, origin: _Round) -> tuple[str, ...]:
        """Content hashes of the data sets that this round's policy is made of."""
        if self._settings.method == "ppo":
            return (self.data.sha256,) if origin is self else ()
        earlier = [Dataset.open(folder) for folder in self._settings.earlier_data]
        return tuple(data.sha256 for data in (*earlier, *(round_.data for round_ in self._earlier), self.data))

    def _fell_too_often(self) -> Optional[str]:
        """What both logs say where this round's policy fell clearly more often than the incumbent, so far; or None."""
        if not self._earlier:
            return None
        own, incumbent = (logged_falls(round_._logs.path) for round_ in (self, self._incumbent))
        return f"{own}, the incumbent's {incumbent}" if falls_clearly_more(own, incumbent) else None

    def _update(
        self, graph: PolicyGraph, origin: _Round, progress: Progress, trial: Optional[Trial]
    ) -> tuple[OnlineLearner, dict[str, Any]]:
        """The learner behind the gate, and figures; where the gate refuses, the learner as it was before."""
        learner = origin.learner(graph)
        if self._settings.method == "ensemble":
            changed, figures = self._update_in_model(learner, graph, origin, progress)
            limit = self._settings.model.improvement.kl_budget
        else:
            changed, limit = origin is self, self._settings.online.kl_limit
            figures = {"method": "ppo", "kl": 0.0, "explained_variance": None}
            if changed:  # else these steps are another policy's: the next round logs this one's own
                statistics = learner.update(self.steps(graph))
                figures.update(kl=statistics.kl, explained_variance=statistics.explained_variance)
        if not changed:
            return learner, {**figures, "gate": None}
        gain = figures.get("predicted_gain_interval", (None,))[0]
        walks = walked(trial, graph.contract, learner.actor, self._folder, origin.start)
        kl = KlSpent(figures["kl"], limit)
        verdict = candidate_gate(round_evidence(learner.actor, graph.actor, self.steps(graph), gain, kl, walks))
        # What was refused leaves no trace but the record: actor, value, moments and luck are those of before.
        return (learner if verdict.accepted else origin.learner(graph)), {**figures, "gate": verdict.to_dict()}

    def _update_in_model(
        self, learner: OnlineLearner, graph: PolicyGraph, origin: _Round, progress: Progress
    ) -> tuple[bool, dict[str, Any]]:
        """Whether the actor is another one now, and figures."""
        earlier_data = [from_columns(Dataset.open(folder), graph) for folder in self._settings.earlier_data]
        rounds = [round_.steps(graph) for round_ in (*self._earlier, self)]
        everything = concatenate([*earlier_data, *rounds])
        not_learned_from = sum(len(steps) for steps in rounds[len(origin._earlier) :])
        robot, weights = load_robot(), RewardWeights(**self.data.reward_weights)

        def world_of(model: DynamicsEnsemble) -> ModelWorld:
            return velocity_world(model, graph, robot, weights, everything.groups)

        improvement = learner.update_in_model(everything, not_learned_from, world_of, self._settings.model, progress)
        best = improvement.best
        return improvement.accepted, {
            "method": "ensemble",
            "best": best.name,
            "kl": best.kl,
            "predicted_gain": best.gain.mean,
            "predicted_gain_interval": [best.gain.lower, best.gain.upper],
        }
