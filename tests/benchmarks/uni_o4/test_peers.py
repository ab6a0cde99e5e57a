"""The peers, where d3rlpy is installed (benchmarks/uni_o4/requirements.txt)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.uni_o4.evaluate import BatchPolicy
from benchmarks.uni_o4.networks_file import load_algorithm, save_algorithm
from benchmarks.uni_o4.peers import PEER_METHODS, PeerMethod, PeerSettings, d3rlpy_data, learn_peer, peer_algorithm
from benchmarks.uni_o4.robots import benchmark_robot
from policy.uni_o4.settings import SettingsError
from tests.benchmarks.uni_o4.toy_robot import toy_steps

STEPS = toy_steps(benchmark_robot("hopper"), 20)
SETTINGS = PeerSettings(updates=20, cloning_updates=20, batch_size=32, watch_interval=10)


def test_a_look_never_comes_after_the_last_update():
    with pytest.raises(SettingsError, match="watch_interval"):
        PeerSettings(updates=10, cloning_updates=5, watch_interval=10)


@pytest.mark.parametrize("method", PEER_METHODS)
def test_a_peer_learns_is_looked_at_and_keeps_its_networks(method: PeerMethod, tmp_path: Path):
    pytest.importorskip("d3rlpy", reason="the benchmark's own packages are not installed here")
    looks: list[int] = []

    def watch(updates: int, policy: BatchPolicy) -> None:
        looks.append(updates)
        assert policy(STEPS.observations[:4]).shape == (4, 3)

    trained = learn_peer(method, STEPS, SETTINGS, 0, watch)
    assert looks == [10, 20]
    again = learn_peer(method, STEPS, SETTINGS, 0, lambda updates, policy: None)
    np.testing.assert_array_equal(trained.predict(STEPS.observations), again.predict(STEPS.observations))

    save_algorithm(tmp_path / "peer.safetensors", trained)
    fresh = peer_algorithm(method, SETTINGS)
    fresh.build_with_dataset(d3rlpy_data(STEPS))
    if fresh.config.observation_scaler is None:
        load_algorithm(tmp_path / "peer.safetensors", fresh)
        np.testing.assert_array_equal(trained.predict(STEPS.observations), fresh.predict(STEPS.observations))
