"""The peers, where d3rlpy is installed (benchmarks/uni_o4/requirements.txt)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.uni_o4.networks_file import load_algorithm, save_algorithm
from benchmarks.uni_o4.peer_training import PeerTraining
from benchmarks.uni_o4.peers import PEER_METHODS, PeerMethod, PeerSettings, peer_algorithm
from benchmarks.uni_o4.robots import benchmark_robot
from tests.benchmarks.uni_o4.toy_robot import toy_steps

STEPS = toy_steps(benchmark_robot("hopper"), 20)
SETTINGS = PeerSettings(updates=25, cloning_updates=25, batch_size=32, watch_interval=10)


class Killed(Exception):
    """As a power cut."""


def trained(method: PeerMethod, state: Path, killed_at: int | None = None, **changes: Any) -> PeerTraining:
    pytest.importorskip("d3rlpy", reason="the benchmark's own packages are not installed here")
    key = str(changes.pop("key", "one"))
    training = PeerTraining(method, STEPS, replace(SETTINGS, **changes), 0, state, key)

    def look(updates: int, policy: Any) -> float:
        assert policy(STEPS.observations[:4]).shape == (4, 3)
        if updates == killed_at:
            raise Killed
        return float(updates)

    training.run(look)
    return training


def predicted(training: PeerTraining) -> np.ndarray:
    return np.asarray(training.algorithm.predict(STEPS.observations))


def test_the_share_of_the_paper_is_that_of_its_updates():
    settings = PeerSettings(updates=50_000, cloning_updates=7)
    assert settings.share_of_paper("iql") == settings.share_of_paper("td3bc") == 0.05
    assert settings.share_of_paper("bc") is None
    assert [settings.updates_of(method) for method in PEER_METHODS] == [7, 50_000, 50_000]


@pytest.mark.parametrize("method", PEER_METHODS)
def test_every_update_is_made_and_the_last_look_is_at_the_end(method: PeerMethod, tmp_path: Path):
    training = trained(method, tmp_path / "state")
    assert [point["updates"] for point in training.curve] == [10, 20, 25]
    assert training.algorithm.grad_step == 25


@pytest.mark.parametrize("method", PEER_METHODS)
def test_a_killed_training_ends_as_one_that_was_not(method: PeerMethod, tmp_path: Path):
    whole = trained(method, tmp_path / "whole")
    with pytest.raises(Killed):
        trained(method, tmp_path / "killed", killed_at=20)
    resumed = trained(method, tmp_path / "killed")
    assert resumed.curve == whole.curve
    np.testing.assert_array_equal(predicted(resumed), predicted(whole))
    anew = trained(method, tmp_path / "killed", key="other")  # another trial's state is thrown away
    np.testing.assert_array_equal(predicted(anew), predicted(whole))


@pytest.mark.parametrize("method", PEER_METHODS)
def test_a_peer_keeps_its_networks(method: PeerMethod, tmp_path: Path):
    training = trained(method, tmp_path / "state")
    save_algorithm(tmp_path / "peer.safetensors", training.algorithm)
    fresh = peer_algorithm(method, SETTINGS, STEPS)
    load_algorithm(tmp_path / "peer.safetensors", fresh)
    np.testing.assert_array_equal(predicted(training), fresh.predict(STEPS.observations))


def test_the_rate_of_iqls_actor_falls_to_zero_at_the_last_update_and_no_other_does(tmp_path: Path):
    modules = trained("iql", tmp_path / "iql").algorithm.impl.modules
    assert modules.actor_optim.optim.param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-9)
    assert modules.critic_optim.optim.param_groups[0]["lr"] == pytest.approx(3e-4)
    online = peer_algorithm("iql", SETTINGS, STEPS, scheduled=False).impl.modules
    assert online.actor_optim.state_dict()["lr_scheduler"] is None
