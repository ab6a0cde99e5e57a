"""`go1 finetune` from the command line: what its options reach, and a fall on the wire that costs no logged step."""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

import numpy as np
import pytest
import torch

import deploy.host.finetune as finetune_module
import deploy.onboard.runner as runner_module
from cli.learning import log_on_robot
from cli.main import main
from deploy.host.finetune import FinetuneResult
from deploy.host.finetune_logs import SessionEndedEarly
from deploy.host.finetune_settings import FinetuneSettings
from deploy.onboard.joint_command import JointCommand
from deploy.onboard.robot_state import RobotState
from offline_data.dataset import Dataset
from policy.bundle import BUNDLES, read_bundle
from robot_configs.twin_conditions import load_condition
from sim.twin.body import TwinBody
from sim.twin.body_faults import Topple
from sim.twin.server import TwinServer

SHIPPED = BUNDLES / "go1_velocity.go1policy"
STEPS = 80


# ---- Options ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def settings_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The settings that a command line arrives as."""

    def of(*words: str) -> FinetuneSettings:
        arrived: list[FinetuneSettings] = []

        def finetune(bundle: Path, collect: Any, out: Path, settings: FinetuneSettings, *_: Any) -> FinetuneResult:
            arrived.append(settings)
            return FinetuneResult(bundle, ())

        monkeypatch.setattr(finetune_module, "finetune", finetune)
        line = ["finetune", "--bundle", str(SHIPPED), "--robot", "127.0.0.1:1", "--steps", "10", "--out", str(tmp_path)]
        assert main([*line, *words]) == 0
        return arrived[0]

    return of


def test_the_seed_reaches_the_learner_and_the_logging(settings_of: Any) -> None:
    settings = settings_of("--seed", "7")
    assert (settings.seed, settings.online.seed) == (7, 7)
    settings = settings_of()
    assert (settings.seed, settings.online.seed) == (0, 0)


def test_ppo_in_the_help_is_what_the_settings_hold(capsys: pytest.CaptureFixture[str]) -> None:
    """The help says where it differs from the paper; these are the figures it names."""
    with pytest.raises(SystemExit):
        main(["finetune", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    ppo = FinetuneSettings(steps=1).online.ppo
    assert f"clip {ppo.clip}, {ppo.epochs} epochs, minibatches of {ppo.minibatch_size}" in text
    assert "as published" not in text


# ---- One session -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "stop_reason", "faults", "reason"),
    [(37, "TILT", ("TILT",), "TILT"), (37, "", ("STATE_MISSING", "TILT"), "STATE_MISSING, TILT"), (80, "", (), None)],
)
def test_a_session_that_logs_less_than_it_should_says_so(
    steps: int,
    stop_reason: str,
    faults: tuple[str, ...],
    reason: Optional[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    asked: list[Any] = []

    def run_on_robot(bundle: Path, robot: Any, commands: str, duration_s: float, *_: Any, **named: Any) -> Any:
        asked.append((commands, duration_s, named["exploration"], named["seed"], named["auto_rearm"]))
        return SimpleNamespace(steps=steps, stop_reason=stop_reason, faults=faults)

    monkeypatch.setattr(runner_module, "run_on_robot", run_on_robot)
    options = argparse.Namespace(robot=("127.0.0.1", 1), lockstep=True, sdk="codec", auto_rearm=False)
    if reason is None:
        log_on_robot(options, SHIPPED, STEPS, tmp_path, 3)
    else:
        with pytest.raises(SessionEndedEarly) as early:
            log_on_robot(options, SHIPPED, STEPS, tmp_path, 3)
        assert (early.value.steps, early.value.reason) == (steps, reason)
    # 80 steps at 50 Hz; the policy's own noise, drawn from the session's own seed.
    assert asked == [("random:seed=3,hold_s=4,stand_fraction=0.1", 1.6, 1.0, 3, False)]


# ---- On the wire -----------------------------------------------------------------------------------------------------


class Unlucky(TwinBody):
    """Thrown over once, half a second into its first walk; a virtual person sets it upright again."""

    def step(self, command: Optional[JointCommand] = None) -> RobotState:
        since = round((self.time_s - 2.5) * self.robot.link_hz)
        if since >= 0:
            Topple(90.0, 0.0).act(self, since)
        return super().step(command)


@pytest.fixture
def unlucky() -> Iterator[tuple[str, Unlucky]]:
    """Its address, in lockstep, and itself."""
    body = Unlucky(load_condition("nominal"), seed=1, rescue=True)
    with TwinServer(body, "127.0.0.1", 0, lockstep=True) as server:
        thread = threading.Thread(target=server.serve)
        thread.start()
        yield "{}:{}".format(*server.address), body
        server.stop()
        thread.join()


def test_a_fall_stops_the_round_and_the_same_command_goes_on_from_there(
    unlucky: tuple[str, Unlucky], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    threads, (address, body) = torch.get_num_threads(), unlucky
    out = tmp_path / "run"
    line = ["finetune", "--bundle", str(SHIPPED), "--robot", address, "--lockstep", "--steps", str(STEPS)]
    line += ["--rounds", "1", "--method", "ppo", "--out", str(out), "--seed", "4", "--trial-walks", "0", "--json"]
    try:
        assert main(line) == 2
        message = " ".join(capsys.readouterr().err.split())
        session = json.loads((out / "round_1" / "logs" / "part_01" / "session.json").read_text())
        kept = session["steps"]
        assert 10 < kept < STEPS
        assert f"{kept} so far, {STEPS - kept} are missing" in message
        assert "give the same command again" in message
        assert not (out / "round_1" / "dataset").exists()

        while not body.rescues:  # a twin in lockstep has no time of its own in which somebody could come to help
            body.step()
        assert main(line) == 0
    finally:
        torch.set_num_threads(threads)
    result = json.loads(capsys.readouterr().out)
    assert [(record["steps"], record["sessions"], record["falls"]) for record in result["rounds"]] == [(STEPS, 2, 1)]
    data = Dataset.open(out / "round_1" / "dataset")
    assert [episode.ending for episode in data.episodes] == ["terminated", "truncated"]
    assert [episode.stop - 1 - episode.start for episode in data.episodes] == [kept, STEPS - kept]
    steps = ~np.asarray(data["final"])
    # Exploration is on: what was done is a sample, in every step, and the log knows the distribution it was drawn from.
    assert (data["action"][steps] != data["action_mean"][steps]).any(axis=1).all()
    noise = (data["action"] - data["action_mean"])[steps] / data["action_std"][steps]
    assert 0.8 < noise.std() < 1.2
    # Each session has commands of its own.
    first, second = (data["command"][episode.start] for episode in data.episodes)
    assert not np.array_equal(first, second)
    assert f"seed of the learner: {4}" in read_bundle(Path(result["bundle"])).lineage.notes
