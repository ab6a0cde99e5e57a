"""How much a round has to log, and that whatever was logged can be learned from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from cli.main import main
from deploy.host.finetune import finetune
from deploy.host.finetune_steps import LEAST_ROUND_STEPS, episode_length_s, in_two_episodes, require_enough_steps
from deploy.host.refine import RefineError
from offline_data.dataset import Dataset
from offline_data.ingest import ingest
from policy.bundle import read_bundle
from policy.export import load_graph
from policy.transitions import Transitions, from_columns
from sim.collect import CollectSettings, collect_on_twin
from tests.deploy.host.finetune_bench import SETTINGS, SameLogs, killed


@pytest.fixture(scope="module")
def short_walk(shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logs of one single episode of the least length."""
    folder = tmp_path_factory.mktemp("short") / "logs"
    collect_on_twin(shipped, "nominal", LEAST_ROUND_STEPS, folder, 1, CollectSettings(episode_s=20.0, workers=1))
    return folder


@pytest.fixture(scope="module")
def steps(short_walk: Path, shipped: Path) -> Transitions:
    ingest(short_walk, short_walk.parent / "dataset")
    return from_columns(Dataset.open(short_walk.parent / "dataset"), load_graph(read_bundle(shipped)))


def test_a_single_episode_becomes_two(steps: Transitions) -> None:
    assert len(steps.episode.unique()) == 1
    halves = in_two_episodes(steps)
    middle = len(steps) // 2
    assert halves.episode.tolist() == [0] * middle + [1] * (len(steps) - middle)
    assert halves.truncated.nonzero().flatten().tolist() == [middle - 1, len(steps) - 1]
    assert torch.equal(halves.observation, steps.observation)
    assert steps.truncated.nonzero().flatten().tolist() == [len(steps) - 1], "what was given is left as it was"


def test_several_episodes_stay_as_they_are(steps: Transitions) -> None:
    halves = in_two_episodes(steps)
    assert in_two_episodes(halves) is halves


def test_one_step_cannot_be_cut(steps: Transitions) -> None:
    one = steps.select(torch.tensor([0]))
    assert in_two_episodes(one) is one


@pytest.mark.parametrize(
    ("session_s", "episode_s"), [(0.02, 4.0), (8.0, 4.0), (20.0, 4.0), (40.0, 8.0), (100.0, 20.0), (200.0, 20.0)]
)
def test_a_session_is_cut_into_five_walks_of_a_sensible_length(session_s: float, episode_s: float) -> None:
    assert episode_length_s(session_s) == episode_s


@pytest.mark.parametrize(("total", "rounds"), [(1, 1), (49, 1), (98, 2), (3, 3)])
def test_too_few_steps_are_refused_before_anything_is_driven_or_written(
    total: int, rounds: int, shipped: Path, tmp_path: Path
) -> None:
    settings = replace(SETTINGS, steps=total, rounds=rounds)
    with pytest.raises(RefineError, match=f"at least 50 policy steps in each of {rounds} rounds"):
        finetune(shipped, killed, tmp_path / "run", settings)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("total", "rounds"), [(50, 1), (99, 2), (100, 2)])
def test_the_least_is_enough(total: int, rounds: int) -> None:
    require_enough_steps(total, rounds)


def test_the_help_names_the_least(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["finetune", "--help"])
    assert f"at least {LEAST_ROUND_STEPS} in each round" in " ".join(capsys.readouterr().out.split())


def test_a_round_of_one_short_episode_is_learned_from_also_by_who_was_stuck_there(
    short_walk: Path, shipped: Path, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default method, with an earlier data set and without. The second time nothing is driven."""
    for name, earlier in (("alone", ()), ("with_data", (dataset,))):
        settings = replace(SETTINGS, steps=LEAST_ROUND_STEPS, rounds=1, method="ensemble", earlier_data=earlier)

        def stuck(*_: Any) -> Any:
            raise RuntimeError

        with monkeypatch.context() as patch, pytest.raises(RuntimeError):
            patch.setattr("deploy.host.finetune._Round.learn", stuck)
            finetune(shipped, SameLogs(short_walk), tmp_path / name, settings)
        result = finetune(shipped, killed, tmp_path / name, settings)
        assert [record["steps"] for record in result.rounds] == [LEAST_ROUND_STEPS]
