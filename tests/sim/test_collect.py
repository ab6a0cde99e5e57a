"""Logging on the twin: as many steps as asked for, falls or not, in logs that the reader and ingest understand."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import sim.collect
from offline_data.dataset import Dataset
from offline_data.ingest import ingest
from offline_data.log_reader import log_paths, read_log, read_logs
from policy.bundle import read_bundle
from sim.collect import CollectError, CollectSettings, collect_on_twin

torch.set_num_threads(1)

ALONE = CollectSettings(episode_s=0.7, workers=1)
STEPS = 101  # neither whole episodes nor a whole number of anything


@pytest.fixture(scope="module")
def logged(shipped, tmp_path_factory) -> tuple[Path, int]:
    logs = tmp_path_factory.mktemp("collect") / "logs"
    (summary,) = collect_on_twin(shipped, "nominal", STEPS, logs, 7, ALONE)
    return logs, summary.steps


def test_exactly_the_steps_asked_for_are_logged(logged, shipped):
    logs, steps = logged
    (path,) = log_paths(logs)
    log = read_log(path)
    assert steps == STEPS
    assert len(log.policy_tick) == STEPS
    assert log.complete
    assert log.damages == ()
    assert [np.sum(log.policy_tick["episode"] == episode) for episode in range(3)] == [35, 35, 31]
    bundle = read_bundle(shipped)
    assert log.metadata.bundle_sha256 == bundle.sha256
    assert {bytes(digest).hex() for digest in log.policy_tick["bundle_sha256"]} == {bundle.sha256}


def test_a_session_that_breaks_off_is_an_error(shipped, tmp_path, monkeypatch):
    broken = SimpleNamespace(steps=40, stop_reason="nobody re-armed it")
    monkeypatch.setattr(sim.collect, "_collect", lambda job: broken)
    with pytest.raises(CollectError, match="101 policy steps.*40, then: nobody re-armed it"):
        collect_on_twin(shipped, "nominal", STEPS, tmp_path, 7, ALONE)


def test_ingest_counts_the_same_steps(logged, shipped, tmp_path):
    logs, _ = logged
    report = ingest(logs, tmp_path / "dataset")
    assert report.failures == ()
    assert report.info["steps"] == STEPS
    assert report.info["episodes"] == report.info["truncated"] == 3
    assert report.info["terminated"] == 0
    data = Dataset.open(tmp_path / "dataset")
    assert len(data) == STEPS + 3  # and a closing row an episode
    assert data.contract == read_bundle(shipped).contract


def test_what_is_logged_was_sampled_with_the_policys_own_noise(logged):
    """action = mean + std * noise in every step, with a noise that is standard normal and a log-prob that fits it."""
    ticks = read_log(log_paths(logged[0])[0]).policy_tick
    noise = ticks["noise"].astype(np.float64)
    np.testing.assert_allclose(ticks["action"], ticks["action_mean"] + ticks["action_std"] * noise, atol=1e-5)
    expected = -0.5 * (noise**2 + 2 * np.log(ticks["action_std"]) + np.log(2 * np.pi)).sum(axis=1)
    np.testing.assert_allclose(ticks["log_prob"], expected, atol=1e-3)
    assert abs(noise.mean()) < 4 / np.sqrt(noise.size)
    assert noise.std() == pytest.approx(1.0, abs=0.1)


def test_without_exploration_the_mean_acts(shipped, tmp_path):
    collect_on_twin(shipped, "nominal", 10, tmp_path, 7, CollectSettings(exploration=0.0, workers=1))
    ticks = read_log(log_paths(tmp_path)[0]).policy_tick
    assert len(ticks) == 10
    np.testing.assert_array_equal(ticks["action"], ticks["action_mean"])


def test_the_seed_decides_what_is_logged(logged, shipped, tmp_path):
    first = read_log(log_paths(logged[0])[0]).policy_tick
    collect_on_twin(shipped, "nominal", 12, tmp_path / "again", 7, ALONE)
    collect_on_twin(shipped, "nominal", 12, tmp_path / "other", 8, ALONE)
    again, other = (read_log(log_paths(tmp_path / name)[0]).policy_tick for name in ("again", "other"))
    for name in ("joint_position", "noise", "command", "action"):
        np.testing.assert_array_equal(again[name], first[name][:12])
        assert np.abs(other[name] - again[name]).max() > 0


def test_a_policy_that_falls_is_set_upright_until_the_steps_are_there(falling, tmp_path):
    (summary,) = collect_on_twin(falling, "nominal", 60, tmp_path / "logs", 3, CollectSettings(workers=1))
    assert summary.steps == 60
    endings = [episode.ending for episode in summary.episodes]
    assert endings[:-1] == ["terminated"] * (len(endings) - 1)
    assert len(endings) >= 2
    report = ingest(tmp_path / "logs", tmp_path / "dataset")
    assert report.info["steps"] == 60
    assert report.info["terminated"] == endings.count("terminated")
    data = Dataset.open(tmp_path / "dataset")
    fallen = np.asarray(data["reward"])[np.asarray(data["terminated"])]
    assert fallen.max() < -5.0, "each fall costs what the reward says"


def test_twins_side_by_side_share_the_steps_and_differ(shipped, tmp_path):
    summaries = collect_on_twin(shipped, "nominal", 21, tmp_path, 7, CollectSettings(workers=2))
    assert [summary.steps for summary in summaries] == [11, 11]  # at least what was asked for
    logs, failures = read_logs(tmp_path)
    assert failures == []
    one, two = (log.policy_tick for log in logs)
    assert len(one) == len(two) == 11
    assert np.abs(one["noise"] - two["noise"]).max() > 0.1
    assert np.abs(one["command"] - two["command"]).max() > 0.1


def test_twins_are_read_back_in_the_order_of_their_seeds(shipped, tmp_path):
    """Whatever chance put into the names of their logs: equal commands give equal data sets."""
    collect_on_twin(shipped, "nominal", 6, tmp_path / "both", 7, CollectSettings(workers=2))
    both = [log.policy_tick["noise"] for log in read_logs(tmp_path / "both")[0]]
    alone = CollectSettings(workers=1)
    collect_on_twin(shipped, "nominal", 3, tmp_path / "first", 7, alone)
    np.testing.assert_array_equal(both[0], read_log(log_paths(tmp_path / "first")[0]).policy_tick["noise"])
    assert [path.parent.name for path in log_paths(tmp_path / "both")] == ["twin_0", "twin_1"]
