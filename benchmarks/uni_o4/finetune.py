"""Offline to online: 200,000 on-policy steps from an offline policy, from scratch, and by d3rlpy's IQL.

    ensemble, uni_o4   actor, value and reward scale of the offline trial go on in `policy.uni_o4.online`
    scratch            the same learner, cold, with a larger step; it borrows the data's standardisation, no more
    iql                d3rlpy's IQL from its offline networks and the data as its replay buffer, a gradient step a step

Our runs are resumable after every iteration: each starts with fresh episodes of seeds of its own.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args

from benchmarks.uni_o4.budgets import Budget
from benchmarks.uni_o4.data import DataSet
from benchmarks.uni_o4.evaluate import BatchPolicy, evaluate, make_environment, mean_policy
from benchmarks.uni_o4.finetune_settings import FinetuneSettings
from benchmarks.uni_o4.gymnasium_world import Standardization
from benchmarks.uni_o4.networks_file import SavedPolicy, load_algorithm, load_policy
from benchmarks.uni_o4.online_rollouts import TRAINING_SEED, collect
from benchmarks.uni_o4.peers import d3rlpy_data, d3rlpy_module, peer_algorithm
from benchmarks.uni_o4.results import Stopwatch, Trial
from benchmarks.uni_o4.robots import BenchmarkError
from policy.networks import GaussianActor, ValueNetwork
from policy.uni_o4.online import OnlineLearner
from policy.uni_o4.settings import Progress, seeded_generator, seeded_network
from policy.uni_o4.value import RewardScale, fit_reward_scale

OnlineMethod = Literal["ensemble", "uni_o4", "scratch", "iql"]
ONLINE_METHODS: tuple[OnlineMethod, ...] = get_args(OnlineMethod)


def online_trial(robot: str, data_set: str, seed: int, method: str, budget: Budget) -> Trial:
    """The trial with every setting that it uses, the offline ones included.

    Raises:
        BenchmarkError: there is no such method.
    """
    if method not in ONLINE_METHODS:
        raise BenchmarkError(f"a method of {', '.join(ONLINE_METHODS)}", repr(method), "Correct the name.")
    offline = {} if method == "scratch" else asdict(budget.peers if method == "iql" else budget.ours)
    return Trial("online", robot, data_set, seed, method, {"online": asdict(budget.online), "offline": offline})


def run_online(
    trial: Trial, data: DataSet, budget: Budget, offline_networks: Path, state: Path, progress: Progress
) -> dict[str, Any]:
    """The curve of normalised scores over online steps; the first point is the start.

    Raises:
        BenchmarkError: the offline trial that this one continues was not made.
    """
    if trial.method != "scratch" and not offline_networks.exists():
        raise BenchmarkError(
            f"the networks of the offline trial at {offline_networks}", "none", "Run the part `offline` first."
        )
    stopwatch = Stopwatch()
    if trial.method == "iql":
        curve = _finetune_iql(trial, data, budget, offline_networks, stopwatch, progress)
    else:
        start = _cold_start(data, budget.online, trial.seed) if trial.method == "scratch" else None
        start = start or load_policy(offline_networks)
        curve = _OnPolicyRun(trial, data, start, budget, state, progress).run(stopwatch)
    return {
        "curve": curve,
        "score": curve[-1]["score"],
        "start_score": curve[0]["score"],
        "lowest_score": min(point["score"] for point in curve),
        **stopwatch.record(),
    }


def _cold_start(data: DataSet, settings: FinetuneSettings, seed: int) -> SavedPolicy:
    generator = seeded_generator(seed)
    robot, hidden = data.robot, settings.cold_hidden_dims
    actor = seeded_network(
        lambda: GaussianActor(robot.observation_dim, robot.action_dim, hidden, settings.cold_std), generator
    )
    value = seeded_network(lambda: ValueNetwork(robot.observation_dim, hidden), generator)
    return SavedPolicy(actor, value, RewardScale(1.0), Standardization.of(data.steps))


class _OnPolicyRun:
    """Collect, update, evaluate; state and curve are on disk after every iteration."""

    def __init__(
        self, trial: Trial, data: DataSet, start: SavedPolicy, budget: Budget, state: Path, progress: Progress
    ) -> None:
        self.trial, self.robot, self.budget, self.progress = trial, data.robot, budget, progress
        self.settings, self.state, self.curve_path = budget.online, state, state.with_suffix(".curve")
        self.standardization = start.standardization
        cold = trial.method == "scratch"
        settings = self.settings.cold if cold else self.settings.carried
        self.learner = OnlineLearner(start.actor, start.value, start.scale, settings)
        self.learner.generator = seeded_generator(trial.seed)
        self.data_key = trial.key(data.source)
        self.curve: list[dict[str, float]] = []
        if state.exists() and self.curve_path.exists():
            self.learner.load(state, self.data_key)
            # A kill between the two files leaves a curve that is one point ahead of the learner.
            points = json.loads(self.curve_path.read_text(encoding="utf-8"))
            self.curve = [point for point in points if point["steps"] <= self.learner.steps]

    def run(self, stopwatch: Stopwatch) -> list[dict[str, float]]:
        """Until all steps are made."""
        settings, learner = self.settings, self.learner
        while True:
            if not self.curve or learner.steps - self.curve[-1]["steps"] >= settings.evaluation_interval:
                with stopwatch.paused():
                    self._look()
            if learner.steps >= settings.steps:
                break
            logged = collect(
                learner.actor, self.standardization, self.robot, settings, learner.updates, self.trial.seed
            )
            if self.trial.method == "scratch" and learner.updates == 0:
                learner.scale = fit_reward_scale(logged, settings.discount)
            learner.update(logged)
            self.state.parent.mkdir(parents=True, exist_ok=True)
            learner.save(self.state, self.data_key)
        if self.curve[-1]["steps"] < learner.steps:
            self._look()
        return self.curve

    def _look(self) -> None:
        policy = mean_policy(self.learner.actor, self.standardization)
        found = evaluate(policy, self.robot, self.budget.episodes).record(self.robot)
        point = {
            "steps": self.learner.steps,
            "score": found["score"],
            "score_standard_error": found["score_standard_error"],
        }
        self.curve.append(point)
        self.curve_path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.curve_path.with_name(self.curve_path.name + ".partial")
        partial.write_text(json.dumps(self.curve), encoding="utf-8")
        os.replace(partial, self.curve_path)
        self.progress(f"online {self.trial.method}", self.learner.steps, self.settings.steps, point)


def _finetune_iql(
    trial: Trial, data: DataSet, budget: Budget, networks: Path, stopwatch: Stopwatch, progress: Progress
) -> list[dict[str, float]]:
    """d3rlpy's own loop; its optimisers start anew, for only networks are kept of the offline trial."""
    package, settings = d3rlpy_module(), budget.online
    package.seed(trial.seed)
    buffer = d3rlpy_data(data.steps)
    environment = make_environment(data.robot)
    environment.reset(seed=TRAINING_SEED + trial.seed * 1_000_000)
    algorithm = peer_algorithm("iql", budget.peers)
    algorithm.build_with_dataset(buffer)
    if algorithm.config.reward_scaler is not None:
        algorithm.config.reward_scaler.fit_with_transition_picker(buffer.episodes, buffer.transition_picker)
    load_algorithm(networks, algorithm)
    curve: list[dict[str, float]] = []

    def look(steps: int, policy: BatchPolicy) -> None:
        with stopwatch.paused():
            found = evaluate(policy, data.robot, budget.episodes).record(data.robot)
            error = found["score_standard_error"]
            curve.append({"steps": steps, "score": found["score"], "score_standard_error": error})
            progress(f"online {trial.method}", steps, settings.steps, curve[-1])

    def after_step(trained: Any, _: int, step: int) -> None:
        if step % settings.evaluation_interval == 0 or step == settings.steps:
            look(step, trained.predict)

    look(0, algorithm.predict)
    online_buffer = package.dataset.create_fifo_replay_buffer(
        limit=len(data.steps) + settings.steps, episodes=buffer.episodes, env=environment
    )
    algorithm.fit_online(
        environment, online_buffer, n_steps=settings.steps, n_steps_per_epoch=settings.evaluation_interval,
        logger_adapter=package.logging.NoopAdapterFactory(), show_progress=False, callback=after_step,
    )  # fmt: skip
    environment.close()
    return curve
