"""The sealed bundle: torch, ONNX and file agree; what is changed, cut or foreign is refused with its own message."""

import dataclasses
import hashlib
import json
import struct

import numpy as np
import onnx
import pytest
import torch

from policy.bundle import MAGIC, BundleError, Lineage, PolicySession, read_bundle, verify_bundle, write_bundle
from policy.contract import SIGNALS, ContractError
from policy.export import OPSET, export_bundle, load_graph
from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from policy.presets import walk_these_ways_contract
from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot

torch.set_num_threads(1)
LINEAGE = Lineage("pretrain", (), (), "test", 7, "pytest")


@pytest.fixture(scope="module")
def robot():
    return load_robot()


@pytest.fixture(scope="module")
def graph(robot):
    torch.manual_seed(1)
    contract = dataclasses.replace(velocity_contract(robot), history_length=2)
    return PolicyGraph(contract, GaussianActor(contract.observation_dim, 12, (32, 16), 0.4))


@pytest.fixture(scope="module")
def path(graph, robot, tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "policy.go1policy"
    export_bundle(graph, path, LINEAGE, 3, robot)
    return path


def reseal(path, tmp_path, change):
    """A bundle whose header was changed and whose seal is right again."""
    content = path.read_bytes()[:-32]
    (size,) = struct.unpack_from("<I", content, len(MAGIC))
    header = json.loads(content[12 : 12 + size])
    change(header)
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    body = MAGIC + struct.pack("<I", len(text)) + text + content[12 + size :]
    changed = tmp_path / "changed.go1policy"
    changed.write_bytes(body + hashlib.sha256(body).digest())
    return changed


def test_golden_replay_of_a_fresh_bundle(path, robot):
    report = verify_bundle(read_bundle(path), robot)
    assert report.sequences >= 64 and report.largest_error < 1e-4


def test_the_format_is_one_that_the_robots_onnxruntime_reads(path):
    model = onnx.load_from_string(read_bundle(path).onnx_bytes)
    assert model.ir_version <= 8 and model.opset_import[0].version == OPSET == 17
    assert {entry.domain for entry in model.opset_import} <= {""}


def test_session_steps_like_torch_through_memory(path, graph, robot):
    bundle = read_bundle(path)
    session = PolicySession(bundle, robot)
    generator = np.random.default_rng(0)
    memory = torch.zeros(1, bundle.contract.memory_dim)
    for _ in range(30):
        values = [generator.normal(size=width) for name, width in bundle.contract.signal_widths().items()][:6]
        with torch.no_grad():
            expected = graph(*(torch.tensor(v, dtype=torch.float32)[None] for v in values), memory)
        memory = expected[-1]
        found = session.step(*values)
        for wanted, got in zip(expected, found, strict=True):
            np.testing.assert_allclose(wanted.numpy().ravel(), np.asarray(got).ravel(), atol=2e-4)


def test_reset_forgets(path, robot):
    session = PolicySession(read_bundle(path), robot)
    level, still, forward = np.array([1, 0, 0, 0]), np.zeros(3), np.array([1, 0, 0])
    state = (level, still, np.full(12, 0.1), np.ones(12), forward)
    first = session.step(*state)
    second = session.step(*state)
    session.reset()
    again = session.step(*state)
    np.testing.assert_array_equal(first.action, again.action)
    assert np.abs(second.action - first.action).max() > 1e-6


def test_weights_come_back_exactly(path, graph):
    restored = load_graph(read_bundle(path))
    assert restored.contract == graph.contract
    for name, value in graph.actor.state_dict().items():
        assert torch.equal(value, restored.actor.state_dict()[name])


def test_lineage_and_version_survive(path):
    bundle = read_bundle(path)
    assert bundle.lineage == LINEAGE and bundle.version == 3


def test_every_changed_byte_is_refused(path, tmp_path):
    content = path.read_bytes()
    places = np.random.default_rng(0).integers(0, len(content), 200).tolist() + [0, 8, 12, len(content) - 1]
    changed = tmp_path / "flipped.go1policy"
    for place in places:
        damaged = bytearray(content)
        damaged[place] ^= 0x40
        changed.write_bytes(damaged)
        with pytest.raises(BundleError):
            read_bundle(changed)


@pytest.mark.parametrize("size", [0, 7, 12, 43, 44, 1000, -33, -1])
def test_every_truncation_is_refused(path, tmp_path, size):
    cut = tmp_path / "cut.go1policy"
    cut.write_bytes(path.read_bytes()[:size])
    with pytest.raises(BundleError):
        read_bundle(cut)


def test_messages_tell_the_reasons_apart(path, tmp_path, robot):
    with pytest.raises(BundleError, match="no file"):
        read_bundle(tmp_path / "absent.go1policy")
    foreign = tmp_path / "foreign.onnx"
    foreign.write_bytes(b"\x08\x08" + bytes(200))
    with pytest.raises(BundleError, match="starts with"):
        read_bundle(foreign)
    with pytest.raises(BundleError, match="missing: .*lineage"):
        read_bundle(reseal(path, tmp_path, lambda header: header.pop("lineage")))
    with pytest.raises(ContractError, match="missing: action_scale"):
        read_bundle(reseal(path, tmp_path, lambda header: header["contract"].pop("action_scale")))
    aliengo = reseal(path, tmp_path, lambda header: header["contract"].update(robot="unitree_aliengo"))
    with pytest.raises(ContractError, match="robot = 'unitree_aliengo'"):
        verify_bundle(read_bundle(aliengo), robot)
    rates = reseal(path, tmp_path, lambda header: header["contract"].update(control_hz=100))
    with pytest.raises(ContractError, match="control_hz = 100"):
        verify_bundle(read_bundle(rates), robot)


def test_a_graph_that_is_not_its_contract_is_refused(path, tmp_path, robot):
    history = reseal(path, tmp_path, lambda header: header["contract"].update(history_length=3))
    with pytest.raises(BundleError, match="graph inputs"):
        verify_bundle(read_bundle(history), robot)


def test_golden_vectors_catch_another_policy(path, graph, tmp_path, robot):
    """The right seal around weights that changed after the golden vectors were made."""
    bundle = read_bundle(path)
    model = onnx.load_from_string(bundle.onnx_bytes)
    bias = next(t for t in model.graph.initializer if t.name == "actor.mean_network.4.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(0.01), bias.name))
    other = write_bundle(
        tmp_path / "o.go1policy", graph.contract, model.SerializeToString(), bundle.golden, LINEAGE, 1, robot.sha256
    )
    with pytest.raises(BundleError, match="golden vectors' joint_target"):
        verify_bundle(other, robot)


def test_golden_vectors_walk_through_memory(path):
    golden = read_bundle(path).golden
    assert golden["in.command"].shape[1] >= 5 and set(golden) == {
        *(f"in.{name}" for name, _ in SIGNALS if name != "memory"),
        *("out." + name for name in (
            "joint_target", "action", "action_mean", "action_std", "log_prob", "observation", "next_memory")),
    }  # fmt: skip


def test_a_contract_that_uses_fewer_signals_still_takes_all(robot, tmp_path):
    """walk-these-ways observes no angular velocity; its bundle has the same border as any other."""
    contract = walk_these_ways_contract(robot)
    graph = PolicyGraph(contract, GaussianActor(contract.observation_dim, 12, (8,), 0.4))
    bundle = export_bundle(graph, tmp_path / "wtw.go1policy", LINEAGE, 1, robot)
    assert verify_bundle(bundle, robot).sequences >= 64
    assert load_graph(bundle).contract == contract
