"""Offline to online: 200,000 on-policy steps from an offline policy, from scratch, and by d3rlpy's IQL.

    ensemble, uni_o4   actor, value and reward scale of the offline trial go on in `policy.uni_o4.online`, by our
                       settings and by the published ones
    scratch            the same learner, cold, with a larger step; it borrows the data's standardisation, no more
    iql                d3rlpy's IQL from its offline networks, the data as its replay buffer

Our runs are resumable after every iteration, in the middle of the episodes under way. d3rlpy's begins anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args

from benchmarks.uni_o4.budgets import Budget
from benchmarks.uni_o4.data import DataSet
from benchmarks.uni_o4.evaluate import BatchPolicy, evaluate, make_environment, mean_policy
from benchmarks.uni_o4.finetune_settings import FinetuneSettings
from benchmarks.uni_o4.gymnasium_world import Standardization
from benchmarks.uni_o4.networks_file import SavedPolicy, load_algorithm, load_policy
from benchmarks.uni_o4.offline_trials import file_sha256
from benchmarks.uni_o4.online_rollouts import SEEDS_A_LEARNER, TRAINING_SEED, OngoingEpisodes
from benchmarks.uni_o4.peers import d3rlpy_data, d3rlpy_module, peer_algorithm
from benchmarks.uni_o4.preparation import stream
from benchmarks.uni_o4.results import Spent, Stopwatch, Trial
from benchmarks.uni_o4.robots import BenchmarkError
from policy.networks import GaussianActor, ValueNetwork
from policy.trainer_state import TrainerStateError
from policy.uni_o4.online import OnlineLearner
from policy.uni_o4.settings import Progress, seeded_network
from policy.uni_o4.value import RewardScale, fit_reward_scale
from policy.whole_files import write_whole

OnlineMethod = Literal["ensemble", "uni_o4", "scratch", "iql"]
ONLINE_METHODS: tuple[OnlineMethod, ...] = get_args(OnlineMethod)


def online_trial(
    robot: str, data_set: str, seed: int, method: str, budget: Budget, offline: Mapping[str, Any] | None
) -> Trial:
    """The trial with every setting that it uses, and the hash of the networks that it starts with.

    Args:
        offline: result of the offline trial that this one continues; `scratch` continues none.

    Raises:
        BenchmarkError: there is no such method, or no offline result.
    """
    if method not in ONLINE_METHODS:
        raise BenchmarkError(f"a method of {', '.join(ONLINE_METHODS)}", repr(method), "Correct the name.")
    settings: dict[str, Any] = {**budget.online.record(method), "episodes": budget.episodes}
    if method == "iql":
        settings["batch_size"] = budget.peers.batch_size
    if method != "scratch":
        if offline is None:
            raise BenchmarkError(
                f"the offline result of {method} on {robot} {data_set} with seed {seed}, of the same data and settings",
                "none",
                "Run the part `offline` first.",
            )
        settings["offline_key"] = offline["key"]
        settings["offline_networks_sha256"] = offline["networks_sha256"]
    code = "online peers" if method == "iql" else "online ours"
    return Trial("online", robot, data_set, seed, method, settings, code)


def run_online(
    trial: Trial, data: DataSet, budget: Budget, offline_networks: Path, state: Path, progress: Progress
) -> dict[str, Any]:
    """The curve of normalised scores over online steps; the first point is the start.

    Raises:
        BenchmarkError: the networks are not those of the offline result that the trial continues.
    """
    wanted = trial.settings.get("offline_networks_sha256")
    if wanted is not None:
        found = file_sha256(offline_networks) if offline_networks.exists() else "no file"
        if found != wanted:
            raise BenchmarkError(
                f"the networks of the offline result, of SHA-256 {wanted}, at {offline_networks}",
                found,
                "Delete the offline result beside them, and run the part `offline` again.",
            )
    if trial.method == "iql":
        curve, spent = _finetune_iql(trial, data, budget, offline_networks, progress)
    else:
        cold = trial.method == "scratch"
        start = _cold_start(data, budget.online, trial.seed) if cold else load_policy(offline_networks)
        curve, spent = _OnPolicyRun(trial, data, start, budget, state, progress).run()
    return {
        "curve": curve,
        "score": curve[-1]["score"],
        "start_score": curve[0]["score"],
        "lowest_score": min(point["score"] for point in curve),
        **asdict(spent),
    }


def _cold_start(data: DataSet, settings: FinetuneSettings, seed: int) -> SavedPolicy:
    generator = stream(seed, "cold start")
    robot, hidden = data.robot, settings.cold_hidden_dims
    actor = seeded_network(
        lambda: GaussianActor(robot.observation_dim, robot.action_dim, hidden, settings.cold_std), generator
    )
    value = seeded_network(lambda: ValueNetwork(robot.observation_dim, hidden), generator)
    return SavedPolicy(actor, value, RewardScale(1.0), Standardization.of(data.steps))


def _point(policy: BatchPolicy, data: DataSet, budget: Budget, steps: int) -> dict[str, Any]:
    """One point of a curve. Every point has the same episodes, so that two of them can be compared pair by pair."""
    found = evaluate(policy, data.robot, budget.episodes).record(data.robot)
    kept = ("score", "score_standard_error", "episode_scores")
    return {"steps": steps, **{name: found[name] for name in kept}}


class _OnPolicyRun:
    """Collect, update, evaluate; the learner's state, with episodes, curve and time, is on disk at every iteration."""

    def __init__(
        self, trial: Trial, data: DataSet, start: SavedPolicy, budget: Budget, state: Path, progress: Progress
    ) -> None:
        self.trial, self.data, self.budget, self.progress = trial, data, budget, progress
        self.settings, self.state, self.curve_path = budget.online, state, state.with_suffix(".curve")
        self.own = self.settings.on_policy(trial.method)
        self.start, self.key = start, trial.key(data.sha256)
        self.curve: list[dict[str, Any]] = []
        self.stopwatch = Stopwatch()
        self._begin()
        if state.exists() and self.curve_path.exists():
            self._resume()

    def _begin(self) -> None:
        self.learner = OnlineLearner(self.start.actor, self.start.value, self.start.scale, self.own.learner)
        self.learner.generator = stream(self.trial.seed, "online")
        self.episodes = OngoingEpisodes(self.data.robot, self.settings.episodes_beside, self.trial.seed)

    def _resume(self) -> None:
        try:
            kept = json.loads(self.curve_path.read_text(encoding="utf-8"))
            self.learner.load(self.state, self.key)
            self.episodes.restore(self._episodes_path())
        except (TrainerStateError, json.JSONDecodeError):
            # Damaged, or of another trial: what they hold is of no use to this one.
            for path in (self.state, self.curve_path, *self._all_episodes()):
                path.unlink()
            self.episodes.close()
            self._begin()
            return
        self.curve = kept["points"]
        self.stopwatch = Stopwatch(Spent(kept["wall_s"], kept["processor_s"]))

    def run(self) -> tuple[list[dict[str, Any]], Spent]:
        """Until all steps are made: the curve, and the time that learning took."""
        settings, learner = self.settings, self.learner
        while True:
            if not self.curve or learner.steps - self.curve[-1]["steps"] >= settings.evaluation_interval:
                self._look()
            if learner.steps >= settings.steps:
                break
            logged = self.episodes.collect(
                learner.actor, self.start.standardization, self.own.iteration_steps, learner.updates
            )
            if self.trial.method == "scratch" and learner.updates == 0:
                learner.scale = fit_reward_scale(logged, settings.discount)
            learner.update(logged)
            self._checkpoint()
        if self.curve[-1]["steps"] < learner.steps:
            self._look()
        self.episodes.close()
        return self.curve, self.stopwatch.spent()

    def _checkpoint(self) -> None:
        """Episodes first, under the number of updates: whenever the run is killed, the learner finds its own."""
        self.state.parent.mkdir(parents=True, exist_ok=True)
        self.episodes.save(self._episodes_path())
        self.learner.save(self.state, self.key)
        for path in self._all_episodes():
            if path != self._episodes_path():
                path.unlink()
        self._keep()

    def _episodes_path(self) -> Path:
        return self.state.with_suffix(f".episodes_{self.learner.updates}")

    def _all_episodes(self) -> list[Path]:
        return list(self.state.parent.glob(f"{self.state.stem}.episodes_*"))

    def _look(self) -> None:
        with self.stopwatch.paused():
            policy = mean_policy(self.learner.actor, self.start.standardization)
            self.curve.append(_point(policy, self.data, self.budget, self.learner.steps))
            figures = {name: self.curve[-1][name] for name in ("score", "score_standard_error")}
            self.progress(f"online {self.trial.method}", self.learner.steps, self.settings.steps, figures)
        self._keep()

    def _keep(self) -> None:
        write_whole(self.curve_path, json.dumps({"points": self.curve, **asdict(self.stopwatch.spent())}))


def _finetune_iql(
    trial: Trial, data: DataSet, budget: Budget, networks: Path, progress: Progress
) -> tuple[list[dict[str, Any]], Spent]:
    """d3rlpy's own loop; its optimisers start anew, for only networks are kept of the offline trial."""
    package, settings, stopwatch = d3rlpy_module(), budget.online, Stopwatch()
    package.seed(trial.seed)
    buffer = d3rlpy_data(data.steps)
    environment = make_environment(data.robot)
    environment.reset(seed=TRAINING_SEED + trial.seed * SEEDS_A_LEARNER)
    algorithm = peer_algorithm("iql", budget.peers, data.steps, scheduled=False)
    load_algorithm(networks, algorithm)
    curve: list[dict[str, Any]] = []

    def look(steps: int, policy: BatchPolicy) -> None:
        with stopwatch.paused():
            curve.append(_point(policy, data, budget, steps))
            progress(f"online {trial.method}", steps, settings.steps, {"score": curve[-1]["score"]})

    def after_step(trained: Any, _: int, step: int) -> None:
        if step % settings.evaluation_interval == 0 or step == settings.steps:
            look(step, trained.predict)

    look(0, algorithm.predict)
    online_buffer = package.dataset.create_fifo_replay_buffer(
        limit=len(data.steps) + settings.steps, episodes=buffer.episodes, env=environment
    )
    algorithm.fit_online(
        environment, online_buffer, n_steps=settings.steps, n_steps_per_epoch=settings.evaluation_interval,
        update_interval=settings.peer_steps_per_update, logger_adapter=package.logging.NoopAdapterFactory(),
        show_progress=False, callback=after_step,
    )  # fmt: skip
    environment.close()
    return curve, stopwatch.spent()
