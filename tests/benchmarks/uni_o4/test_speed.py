"""The speed benchmark: as much work on both sides, and a limit that means something."""

from __future__ import annotations

import time

import pytest
import torch

from benchmarks.uni_o4 import speed
from benchmarks.uni_o4.plain_loops import HostBatches
from benchmarks.uni_o4.speed import (
    Duel,
    main,
    measure,
    our_cloning,
    our_critics,
    our_dynamics,
    products_alone,
    random_transitions,
)
from policy.uni_o4.cloning import CloningSettings, CloningTraining
from policy.uni_o4.critics import CriticSettings, CriticTraining
from policy.uni_o4.dynamics import DynamicsSettings

torch.set_num_threads(1)
CLONING = CloningSettings(members=2, hidden_dims=(4,), batch_size=8)
CRITICS = CriticSettings(batch_size=8, action_value_dims=(4,), value_dims=(4,))
DYNAMICS = DynamicsSettings(members=2, elites=1, hidden_dims=(4,), batch_size=8)


def test_both_sides_make_as_many_steps_and_the_slower_one_makes_fewer_a_second():
    made = {"ours": 0, "plain": 0}

    def work(name: str, seconds: float):
        def run(steps: int) -> None:
            made[name] += steps
            end = time.process_time() + steps * seconds
            while time.process_time() < end:
                pass

        return run

    ours, plain = measure(Duel("", work("ours", 0.001), work("plain", 0.003)), rounds=3, batches=5)
    assert made == {"ours": 20, "plain": 20}  # three rounds and one to warm up
    assert ours / plain == pytest.approx(3.0, rel=0.3)


def test_a_call_makes_exactly_the_steps_that_it_is_asked_for(monkeypatch: pytest.MonkeyPatch):
    transitions = random_transitions(1000, 4, 2)
    steps = {"cloning": 0, "critics": 0}

    def counted(name: str, real):
        def step(self, *given):
            steps[name] += 1
            return real(self, *given)

        return step

    monkeypatch.setattr(CloningTraining, "step", counted("cloning", CloningTraining.step))
    monkeypatch.setattr(CriticTraining, "step", counted("critics", CriticTraining.step))
    our_cloning(transitions, CLONING)(3)
    our_critics(transitions, CRITICS)(2)
    our_dynamics(transitions, DYNAMICS)(1)
    assert steps == {"cloning": 3, "critics": 2}


def test_a_plain_loop_gathers_only_what_it_is_told_to():
    transitions = random_transitions(1000, 4, 2)
    batch = HostBatches(transitions, 8, ("action", "reward")).draw()
    assert {name: tuple(column.shape) for name, column in batch.items()} == {"action": (8, 2), "reward": (8,)}


def test_the_products_share_is_high_for_products_and_low_for_anything_else():
    square = torch.randn(300, 300)

    def products(steps: int) -> None:
        for _ in range(steps):
            square @ square

    def sines(steps: int) -> None:
        for _ in range(steps):
            square.sin()

    assert products_alone(products, 20) > 0.8
    assert products_alone(sines, 20) == 0.0


def test_the_command_says_of_each_fit_whether_the_target_is_met(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(speed, "PAPER_CLONING", CLONING)
    monkeypatch.setattr(speed, "PAPER_CRITICS", CRITICS)
    monkeypatch.setattr(speed, "PAPER_DYNAMICS", DYNAMICS)
    main(["--rounds", "1", "--batches", "1", "--rows", "1000"])
    lines = capsys.readouterr().out.splitlines()
    verdicts = [line for line in lines if "ours over plain" in line]
    assert [line.split(":")[0] for line in verdicts] == ["behaviour ensemble", "critics", "transition model"]
    assert all(line.endswith(("met", "MISSED")) for line in verdicts)
    assert sum("products alone" in line for line in lines) == 3
    assert lines[0].startswith("torch") and lines[-1].startswith("load")
