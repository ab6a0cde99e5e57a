"""The demo's order of things: what loses its trial is not promoted, and every stage is measured on the same walks."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import sim.demo as demo
from offline_data.log_schema import Ending
from policy.candidate_gate import GateEvidence, KlSpent, NotChecked, Roughness
from policy.code_version import code_version
from sim.evaluate import EpisodeResult, Evaluation

EVIDENCE = {"of the logs": GateEvidence(0.5, KlSpent(0.4, 1.5), Roughness(1.0, 1.0), NotChecked("offline"))}
RETURNS = {"go1_velocity": 100.0, "offline": 90.0, "policy": 120.0}


def evaluation(returns: float, episodes: int, seed: int, condition: str, episode_s: float) -> Evaluation:
    ending = Ending.TRUNCATED.name.lower()
    walks = [
        EpisodeResult(seed * 100_000 + i, 500, returns + i, 0.1, 0.1, 0.5, 0.5, False, ending, 30.0, 0.4)
        for i in range(episodes)
    ]
    return Evaluation("0" * 64, condition, episode_s, "random:", tuple(walks))


@pytest.fixture
def stages(monkeypatch) -> dict[str, list[Any]]:
    """The demo with its stages replaced by notes of how they were called; RETURNS says what each bundle is worth."""
    calls: dict[str, list[Any]] = {"evaluate": [], "collect": [], "refine": [], "finetune": []}

    def evaluate(bundle: Path, condition: str, episodes: int, seed: int, episode_s: float, **_: Any) -> Evaluation:
        calls["evaluate"].append((Path(bundle).stem, seed, episodes))
        return evaluation(RETURNS[Path(bundle).stem], episodes, seed, condition, episode_s)

    def refine(dataset: Path, start: Path, out: Path, settings: Any, progress: Any, command: str) -> Any:
        calls["refine"].append((start, settings.seed))
        report = {"candidates": [], "best": "x", "gate": {}, "value": {}, "transition_model": {}}
        return SimpleNamespace(report=report, evidence=EVIDENCE["of the logs"])

    def finetune(start: Path, collect: Any, out: Path, settings: Any, progress: Any, command: str) -> Any:
        calls["finetune"].append((start, settings.steps, settings.earlier_data))
        for index in range(settings.rounds):
            collect(start, settings.steps // settings.rounds, out / f"round_{index + 1}" / "logs", 1)
        return SimpleNamespace(bundle=out / "policy.go1policy", rounds=({"round": 1},))

    monkeypatch.setattr(demo, "evaluate_bundle", evaluate)

    def collect(*arguments: Any) -> tuple[Any, ...]:
        calls["collect"].append(arguments)
        return SimpleNamespace(steps=70), SimpleNamespace(steps=30)

    monkeypatch.setattr(demo, "collect_on_twin", collect)
    monkeypatch.setattr(demo, "ingest", lambda logs, out: SimpleNamespace(info={"steps": 10}))
    monkeypatch.setattr(demo, "refine", refine)
    monkeypatch.setattr(demo, "finetune", finetune)
    monkeypatch.setattr(demo, "write_report", lambda summary, path: path.write_text("report"))
    return calls


def test_a_stage_that_loses_its_trial_is_not_promoted(stages, tmp_path):
    summary = demo.run_demo(tmp_path / "demo", seed=3)
    assert summary["offline"]["promoted"] is False and summary["online"]["promoted"] is True
    # online started from the shipped bundle, not from the refined one that lost
    assert [start.stem for start, _, _ in stages["finetune"]] == ["go1_velocity"]
    assert Path(summary["promoted_bundle"]).stem == "policy"
    # the figures are those of the candidate all the same
    assert summary["offline"]["return_mean"] < summary["pretrained"]["return_mean"] < summary["online"]["return_mean"]
    assert summary["differences"]["offline_minus_pretrained"]["mean"] == pytest.approx(-10.0)


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        ({"gain": -0.1}, "offline evaluation: "),
        ({"kl": KlSpent(2.0, 1.5)}, "KL: "),
        ({"roughness": Roughness(9.0, 1.0)}, "smoothness: "),
    ],
)
def test_winning_its_trial_is_not_enough_where_the_logs_speak_against_it(
    stages, tmp_path, monkeypatch, evidence, reason
):
    monkeypatch.setitem(RETURNS, "offline", 110.0)
    monkeypatch.setitem(EVIDENCE, "of the logs", replace(EVIDENCE["of the logs"], **evidence))
    summary = demo.run_demo(tmp_path / "demo", seed=3)
    assert summary["offline"]["trial"]["mean"] == pytest.approx(10.0)
    assert summary["offline"]["promoted"] is False
    assert [found.startswith(reason) for found in summary["offline"]["gate"]["reasons"]] == [True]
    assert [start.stem for start, _, _ in stages["finetune"]] == ["go1_velocity"]


def test_who_wins_with_nothing_against_it_is_promoted(stages, tmp_path, monkeypatch):
    monkeypatch.setitem(RETURNS, "offline", 110.0)
    summary = demo.run_demo(tmp_path / "demo", seed=3)
    gate = summary["offline"]["gate"]
    assert (gate["accepted"], gate["reasons"], gate["not_checked"]) == (True, [], [])
    assert (gate["figures"]["kl"], gate["figures"]["walk_gain"]) == (0.4, pytest.approx(10.0))
    assert summary["online"]["gate"]["accepted"] is True
    assert [what.split(":")[0] for what in summary["online"]["gate"]["not_checked"]] == [
        "offline evaluation", "KL", "smoothness",
    ]  # fmt: skip
    assert [start.stem for start, _, _ in stages["finetune"]] == ["offline"]


def test_trials_and_figures_come_from_different_walks(stages, tmp_path):
    settings = demo.DemoSettings(episodes=20, trials=7)  # told apart by their number
    demo.run_demo(tmp_path / "demo", seed=3, settings=settings)
    figures = {seed for _, seed, episodes in stages["evaluate"] if episodes == 20}
    trials = {seed for _, seed, episodes in stages["evaluate"] if episodes == 7}
    assert len(figures) == 1 and figures.isdisjoint(trials)
    assert len(trials) == 2  # an online stage is not judged on the walks that the offline stage was chosen by


def test_steps_are_counted_as_they_were_logged_and_those_of_a_trial_too(stages, tmp_path):
    """Twins that log 70 and 30 steps, whatever was asked for, once offline and twice online; 20 trials of each two."""
    summary = demo.run_demo(tmp_path / "demo", seed=1)
    assert [arguments[2] for arguments in stages["collect"]] == [40_000, 10_000, 10_000]
    assert summary["offline"]["steps_used"] == 100 + 2 * 20 * 500
    assert summary["online"]["steps_used"] == 2 * 100 + 2 * 20 * 500
    assert summary["pretrained"]["steps_used"] == 0


def test_a_folder_of_other_files_is_left_alone(stages, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(demo.DemoError, match="other files in"):
        demo.run_demo(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_an_earlier_demo_makes_room(stages, tmp_path):
    demo.run_demo(tmp_path / "demo", seed=1)
    (tmp_path / "demo" / "left_over").write_text("of the first")
    demo.run_demo(tmp_path / "demo", seed=1)
    assert not (tmp_path / "demo" / "left_over").exists()


def test_what_the_summary_holds(stages, tmp_path):
    demo.run_demo(tmp_path / "demo", seed=1)
    written = json.loads((tmp_path / "demo" / "summary.json").read_text())
    for stage in demo.STAGES:
        wanted = {"return_mean", "return_ci95", "velocity_error", "falls_per_minute", "steps_used", "wall_s"}
        assert wanted <= set(written[stage])
    assert written["code_version"] == code_version()
    assert (tmp_path / "demo" / "report.html").exists()
