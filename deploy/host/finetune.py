"""Online fine-tuning: rounds of log, learn, seal, until the planned steps are spent.

    round k:  bundle k-1 ──runner──► logs ──ingest──► data set ──learner──► bundle k, trainer state k
              refit on all logs so far, improve inside the model on a small KL budget, or plain PPO on the round

Every round lives in a folder of its own, and each of its artefacts appears whole or not at all. A run that is killed at
any moment and started again does the first missing artefact next, from the same random state: the result is the same.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import torch

from deploy.host.refine import RefineError, trainer_state_path
from offline_data.dataset import Dataset
from offline_data.ingest import ingest
from policy.bundle import Bundle, Lineage, read_bundle, verify_bundle
from policy.code_version import code_version
from policy.export import export_bundle, load_graph
from policy.graph import PolicyGraph
from policy.networks import ValueNetwork
from policy.rewards import RewardWeights
from policy.trainer_state import load_trainer_state, unpack_module
from policy.transitions import Transitions, concatenate, from_columns
from policy.uni_o4.dynamics import DynamicsEnsemble
from policy.uni_o4.ensemble_rollouts import ModelWorld
from policy.uni_o4.online import ModelSettings, OnlineLearner, OnlineSettings
from policy.uni_o4.settings import Progress, no_progress, seeded_generator
from policy.uni_o4.value import RewardScale, fit_reward_scale, fit_value
from policy.uni_o4.velocity_world import velocity_world
from robot_configs.robot import load_robot

OnlineMethod = Literal["ensemble", "ppo"]


class Collector(Protocol):
    """Drives the robot, or a twin, with a bundle's stochastic policy and leaves logs."""

    def __call__(self, bundle: Path, steps: int, log_dir: Path, seed: int) -> None:
        """Log at least `steps` policy steps into `log_dir`."""


@dataclass(frozen=True)
class FinetuneSettings:
    """How online learning goes.

    Attributes:
        steps: policy steps to log in all. rounds: equal parts of them, each followed by an update.
        method: `ensemble` refits the transition model to everything logged and improves inside it, the default because
            it measures better; `ppo` is the published step, PPO on the round's own steps.
        earlier_data: data sets logged before, under the same contract; `ensemble` learns from them too.
        seed: of the learner and of the rounds' logging.
    """

    steps: int
    rounds: int = 2
    method: OnlineMethod = "ensemble"
    earlier_data: tuple[Path, ...] = ()
    seed: int = 0
    threads: int = 2
    online: OnlineSettings = field(default_factory=OnlineSettings)
    model: ModelSettings = field(default_factory=ModelSettings)


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
) -> FinetuneResult:
    """Run or resume online fine-tuning in the folder `out`.

    Raises:
        RefineError: the folder holds another run, by bundle or settings.
        BundleError: a policy that does not verify; it is never driven.
    """
    torch.set_num_threads(settings.threads)
    out.mkdir(parents=True, exist_ok=True)
    _claim(out, read_bundle(bundle), settings)
    current, records = bundle, []
    for index in range(settings.rounds):
        verify_bundle(read_bundle(current), load_robot())  # whoever collects: what does not verify is never driven
        folder = out / f"round_{index + 1}"
        folder.mkdir(exist_ok=True)
        round_ = _Round(folder, current, index, settings)
        round_.log(collect)
        round_.ingest()
        records.append(round_.learn(progress, command))
        current = round_.bundle
    verify_bundle(read_bundle(current), load_robot())
    return FinetuneResult(current, tuple(records))


def _claim(out: Path, bundle: Bundle, settings: FinetuneSettings) -> None:
    """Write what this folder is for, or check that it is for this."""
    wanted = json.loads(json.dumps({"bundle": bundle.sha256, "settings": asdict(settings)}, default=str))
    path = out / "run.json"
    if not path.exists():
        _write_whole(path, wanted)
    elif json.loads(path.read_text()) != wanted:
        raise RefineError(
            f"a new folder, or one with the same bundle and settings, at {out}",
            "another run",
            "Give another --out, or the same bundle and settings to resume.",
        )


def _write_whole(path: Path, content: dict[str, Any]) -> None:
    """JSON that appears under its name whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1))
    part.rename(path)


def _hidden_dims(learner_state: Path) -> tuple[int, ...]:
    """Widths of the hidden layers of the value network in a learner's state."""
    tensors = load_trainer_state(learner_state).tensors
    weights = sorted(
        (name for name in tensors if name.startswith("value.network.") and name.endswith(".weight")),
        key=lambda name: int(name.split(".")[2]),
    )
    return tuple(tensors[name].shape[0] for name in weights[:-1])


class _Round:
    """One round's artefacts and how each is made."""

    def __init__(self, folder: Path, start: Path, index: int, settings: FinetuneSettings) -> None:
        self._folder, self._start, self._index, self._settings = folder, start, index, settings
        self.bundle = folder / "policy.go1policy"
        self._logs, self._dataset = folder / "logs", folder / "dataset"
        self._state, self._record = folder / "learner.safetensors", folder / "round.json"

    def log(self, collect: Collector) -> None:
        """Logs appear under their name once the session is over; an interrupted session is logged anew."""
        if self._logs.exists():
            return
        partial = self._folder / "logs.partial"
        shutil.rmtree(partial, ignore_errors=True)
        share = -(-self._settings.steps // self._settings.rounds)
        collect(self._start, share, partial, self._settings.seed + self._index)
        partial.rename(self._logs)

    def ingest(self) -> None:
        if not self._dataset.exists():
            ingest(self._logs, self._dataset)

    def learn(self, progress: Progress, command: str) -> dict[str, Any]:
        """Update, seal, save; the record is written last and marks the round as done."""
        if self._record.exists():
            return dict(json.loads(self._record.read_text()))
        started = time.monotonic()
        parent = read_bundle(self._start)
        graph = load_graph(parent)
        data = Dataset.open(self._dataset)
        new = from_columns(data, graph)
        learner = self._learner(graph, new)
        figures = self._update(learner, graph, new, progress)
        lineage = Lineage(
            stage="finetune",
            parents=(parent.sha256,),
            data=(data.sha256,),
            code_version=code_version(),
            seed=self._settings.seed,
            command=command,
            notes=tuple(f"{name}: {value}" for name, value in figures.items()),
        )
        export_bundle(
            PolicyGraph(graph.contract, learner.actor), self.bundle, lineage, parent.version + 1, load_robot()
        )
        learner.save(self._state, data.sha256)
        record = {
            "round": self._index + 1,
            "steps": len(new),
            "falls": int(new.terminated.sum()),
            "mean_reward": float(new.reward.mean()),
            **figures,
            "bundle_sha256": read_bundle(self.bundle).sha256,
            "wall_s": time.monotonic() - started,
        }
        _write_whole(self._record, record)
        return record

    def _learner(self, graph: PolicyGraph, new: Transitions) -> OnlineLearner:
        """Continued from the round before; at first from the trainer state beside the bundle, else fitted anew."""
        settings = self._settings
        if self._index > 0:
            previous = self._folder.parent / f"round_{self._index}"
            value = ValueNetwork(graph.contract.observation_dim, _hidden_dims(previous / "learner.safetensors"))
            learner = OnlineLearner(graph.actor, value, RewardScale(1.0), settings.online)
            learner.load(previous / "learner.safetensors", Dataset.open(previous / "dataset").sha256)
            return learner
        value, scale = _warm_value(self._start, graph, new, settings)
        return OnlineLearner(graph.actor, value, scale, settings.online)

    def _update(
        self, learner: OnlineLearner, graph: PolicyGraph, new: Transitions, progress: Progress
    ) -> dict[str, Any]:
        if self._settings.method == "ppo":
            statistics = learner.update(new)
            return {"method": "ppo", "kl": statistics.kl, "explained_variance": statistics.explained_variance}
        everything = self._everything(graph, new)
        robot, weights = load_robot(), RewardWeights(**Dataset.open(self._dataset).reward_weights)

        def world_of(model: DynamicsEnsemble) -> ModelWorld:
            return velocity_world(model, graph, robot, weights, everything.groups)

        improvement = learner.update_in_model(everything, len(new), world_of, self._settings.model, progress)
        best = improvement.best
        return {
            "method": "ensemble",
            "best": best.name,
            "kl": best.kl,
            "predicted_gain": best.gain.mean,
            "predicted_gain_interval": [best.gain.lower, best.gain.upper],
        }

    def _everything(self, graph: PolicyGraph, new: Transitions) -> Transitions:
        """Earlier data sets, earlier rounds, this round."""
        folders = [*self._settings.earlier_data]
        folders += [self._folder.parent / f"round_{i + 1}" / "dataset" for i in range(self._index)]
        parts = [from_columns(Dataset.open(folder), graph) for folder in folders]
        return concatenate([*parts, new])


def _warm_value(
    bundle: Path, graph: PolicyGraph, new: Transitions, settings: FinetuneSettings
) -> tuple[ValueNetwork, RewardScale]:
    """Value and reward scale of the stage before; a cold critic costs more than the whole stage can win."""
    path = trainer_state_path(bundle)
    if not path.exists():
        scale = fit_reward_scale(new, settings.model.value.discount)
        fitted = fit_value(new, scale, settings.model.value, seeded_generator(settings.seed))
        return fitted.value, scale
    state = load_trainer_state(path)
    value = ValueNetwork(graph.contract.observation_dim, state.record["value_hidden_dims"])
    unpack_module("value", value, state.tensors)
    return value, RewardScale(state.record["reward_scale"])
