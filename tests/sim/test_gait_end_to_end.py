"""A gait-conditioned policy in miniature: trained, sealed, verified, walked for a second through the wire, logged."""

import dataclasses
import json
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from cli.main import main
from offline_data.dataset import Dataset
from offline_data.ingest import ingest
from offline_data.log_reader import read_log
from policy.bundle import Bundle, Lineage, read_bundle, verify_bundle
from policy.export import export_bundle, load_graph
from policy.gait_contract import gait_contract
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.engines.choice import EngineChoice
from sim.presets import preset
from sim.pretrain import policy_from_checkpoint, pretrain
from sim.twin.body import TwinBody
from sim.twin.server import TwinServer

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The preset with a few robots on a flat floor, for three iterations; its actions shrunk, so that it stands."""
    settings = preset("gait", 1, EngineChoice())
    task = dataclasses.replace(settings.task, num_envs=16, episode_s=0.5, terrain=None)
    small = dataclasses.replace(settings, task=task, begin_with_trot=False, actor_hidden=(16, 8), critic_hidden=(16,))
    settings = dataclasses.replace(small, minibatches=2, threads=1, steps=16 * 24 * 3)
    out = tmp_path_factory.mktemp("gait")
    graph = pretrain(settings, out)
    again = policy_from_checkpoint(out / "trainer.safetensors", settings)
    for name, tensor in graph.actor.state_dict().items():
        assert torch.equal(again.actor.state_dict()[name], tensor), name
    with torch.no_grad():
        for parameter in list(graph.actor.mean_network.parameters())[-2:]:
            parameter.mul_(0.05)  # three iterations teach nobody to keep upright
    lineage = Lineage("pretrain", (), (), "test", 1, "test")
    export_bundle(graph, out / "gait.go1policy", lineage, 1, load_robot())
    return out


@pytest.fixture(scope="module")
def bundle(trained: Path) -> Bundle:
    return read_bundle(trained / "gait.go1policy")


def test_it_is_sealed_under_its_contract_and_replays(bundle: Bundle) -> None:
    assert bundle.contract == gait_contract(load_robot())
    assert verify_bundle(bundle, load_robot()).sequences == 64


def test_the_run_says_what_it_trained_and_how_far_the_trunk_was_off(trained: Path) -> None:
    assert json.loads((trained / "settings.json").read_text())["policy"] == "gait"
    assert "error/trunk_height_m" in (trained / "curve.csv").read_text().splitlines()[0]


def robot_run(trained: Path, logs: Path, *words: str) -> int:
    """Exit status of `go1 robot run` for a second against a twin on the network, in lockstep."""
    with TwinServer(TwinBody(load_condition("nominal"), seed=1), "127.0.0.1", 0, lockstep=True) as server:
        thread = threading.Thread(target=server.serve)
        thread.start()
        command = ["robot", "run", "--bundle", str(trained / "gait.go1policy"), "--lockstep", "--duration", "1"]
        command += ["--robot", "{}:{}".format(*server.address), "--log-dir", str(logs), *words]
        status = main(command)
        server.stop()
        thread.join()
    return status


def test_it_walks_a_second_through_the_wire_with_a_gait_from_the_command_line(
    trained: Path, bundle: Bundle, tmp_path: Path
) -> None:
    """The log holds all six commands, and the policy's memory the clock of the commanded frequency."""
    words = ("--commands", "vx=0.2,vy=0,yaw=0", "--gait", "gait_frequency=2,trunk_height=0.27")
    logs = tmp_path / "logs"
    assert robot_run(trained, logs, *words) == 0
    log = read_log(next(logs.glob("*.mcap")))
    assert len(log.policy_tick) == 50
    assert json.loads(log.metadata.settings_json)["gait"] == "gait_frequency=2,trunk_height=0.27"
    expected = [0.2, 0.0, 0.0, 2.0, 0.09, 0.27]
    np.testing.assert_allclose(log.policy_tick["command"][:, :6], np.tile(expected, (50, 1)), atol=1e-6)
    assert set(log.policy_tick["command_dim"].tolist()) == {6}
    ingest(logs, tmp_path / "dataset")
    dataset = Dataset.open(tmp_path / "dataset")
    assert dataset.contract == bundle.contract
    np.testing.assert_allclose(dataset["command"], np.tile(expected, (len(dataset), 1)), atol=1e-6)


def test_a_gait_out_of_range_is_refused_before_the_robot_moves(trained: Path, tmp_path: Path, capsys) -> None:
    words = ("--commands", "vx=0,vy=0,yaw=0", "--gait", "gait_frequency=4")
    assert robot_run(trained, tmp_path, *words) == 2
    assert "[1.5, 3.5]" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.mcap"))


def test_the_logged_observation_is_the_graphs_own(trained: Path, bundle: Bundle, tmp_path: Path) -> None:
    """From the log's signals alone, through the torch graph: the same joint targets as on the wire."""
    assert robot_run(trained, tmp_path, "--commands", "vx=0.2,vy=0,yaw=0,gait_frequency=3.5") == 0
    ticks = read_log(next(tmp_path.glob("*.mcap"))).policy_tick
    graph = load_graph(bundle).requires_grad_(False)
    memory = torch.zeros(1, bundle.contract.memory_dim)
    signals = ("orientation_trunk_in_world", "angular_velocity_trunk_in_trunk", "joint_position", "joint_velocity")
    for tick in ticks[:30]:
        given = [torch.tensor(np.array(tick[name]))[None] for name in signals]
        command = torch.tensor(np.array(tick["command"][:6]))[None]
        target, *_, memory = graph(*given, command, torch.zeros(1, 12), memory)
        np.testing.assert_allclose(target[0].numpy(), tick["joint_target"], atol=1e-4)
    # 2.5 Hz at first, then up by 2 Hz a second until 3.5 Hz: the sum of 0.04-Hz steps, over 50 steps a second.
    cycles = sum(min(2.5 + 0.04 * (step + 1), 3.5) for step in range(30)) / 50.0
    assert float(memory[0, 1]) == pytest.approx(cycles % 1.0, abs=1e-4)
