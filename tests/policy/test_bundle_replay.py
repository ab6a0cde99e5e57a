"""A bundle as a record, and what it is put through before it runs: shapes, and the golden replay at its tolerance."""

import dataclasses

import numpy as np
import pytest

from policy.bundle import BundleError, PolicySession, parse_bundle, verify_bundle, write_bundle
from policy.contract import OUTPUTS
from robot_configs.robot import load_robot
from tests.policy.resealed import SHIPPED, resealed


@pytest.fixture(scope="module")
def robot():
    return load_robot()


@pytest.fixture(scope="module")
def bundle():
    return parse_bundle(SHIPPED)


@pytest.mark.parametrize(
    ("version", "sound"), [(-1, False), (0, True), (1, True), (2147483647, True), (2147483648, False)]
)
def test_versions_count_in_32_bits(version, sound):
    content = resealed(lambda header: header.update(version=version))
    if sound:
        assert parse_bundle(content).version == version
    else:
        with pytest.raises(BundleError, match="version from 0 to 2147483647"):
            parse_bundle(content)


def test_what_was_checked_can_not_be_exchanged(bundle):
    for record, field in ((bundle, "onnx_bytes"), (bundle.lineage, "seed")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(record, field, None)
    # Arrays have no one truth value to compare by: a bundle is itself, and its SHA-256 tells which.
    assert bundle in {bundle} and bundle != parse_bundle(SHIPPED)


def test_a_bundle_is_written_beside_its_place_into_whatever_folder(bundle, tmp_path):
    place = tmp_path / "a" / "b" / "policy.go1policy"
    sealed = (bundle.contract, bundle.onnx_bytes, bundle.golden, bundle.lineage, bundle.version, bundle.robot_sha256)
    assert write_bundle(place, *sealed).sha256 == write_bundle(place, *sealed).sha256 == bundle.sha256
    assert [entry.name for entry in place.parent.iterdir()] == ["policy.go1policy"]
    assert place.read_bytes() == SHIPPED


def test_a_replay_tells_how_much_it_compared(bundle, robot):
    report = verify_bundle(bundle, robot)
    assert (report.sequences, report.steps) == (64, 64 * 8) and 0.0 < report.largest_error < 1e-4


def test_shapes_are_worked_out_for_the_robot_and_for_the_golden_replay(monkeypatch):
    batches = []
    monkeypatch.setattr("policy.bundle.check_shapes", lambda graph, contract, batch: batches.append(batch))
    parse_bundle(SHIPPED)
    assert batches == [1, 64]


@pytest.mark.parametrize(
    ("name", "place", "difference", "found"),
    [
        ("joint_target", (0, 0, 11), 9e-4, "joint_target at step 0"),
        ("action_mean", (5, 7, 2), 0.01, "action_mean at step 7"),
        ("log_prob", (63, 3, 0), 0.01, "log_prob at step 3"),
        # Only the last step has these.
        ("observation", (9, 0, 4), 9e-4, "observation at step 7"),
        ("next_memory", (9, 0, 5), 0.01, "next_memory at step 7"),
    ],
)
def test_every_golden_output_is_replayed(bundle, robot, name, place, difference, found):
    """Where the contract explains the value, or says nothing of it."""
    changed = bundle.golden[f"out.{name}"].copy()
    changed[place] += difference
    with pytest.raises(BundleError, match=f"golden vectors' {found} within 0.0001"):
        verify_bundle(dataclasses.replace(bundle, golden={**bundle.golden, f"out.{name}": changed}), robot)


@pytest.fixture
def replayed(bundle, robot, monkeypatch):
    """Verifies golden vectors of zeros, but for one output, with an onnxruntime that finds them, but for that."""

    def verify(name, expected, found):
        golden = {key: np.zeros_like(array) for key, array in bundle.golden.items()}
        golden[f"out.{name}"] += np.float32(expected)
        outputs = {key: golden[f"out.{key}"][:, 0] for key in OUTPUTS}
        outputs["log_prob"] = outputs["log_prob"][:, 0]
        outputs[name] = found if isinstance(found, np.ndarray) else np.full_like(outputs[name], found)
        monkeypatch.setattr("policy.bundle.check_evidence", lambda golden, contract: None)
        monkeypatch.setattr(PolicySession, "run_batch", lambda session, signals, memory: outputs)
        return verify_bundle(dataclasses.replace(bundle, golden=golden), robot)

    return verify


# Of 0.0001, relative to what is expected where that is above one.
@pytest.mark.parametrize(
    ("expected", "found", "sound"),
    [
        (0.0, 1e-4, True),
        (0.0, -1e-4, True),
        (0.0, 1.01e-4, False),
        (0.0, -1.01e-4, False),
        (0.5, 0.50011, False),
        (100.0, 100.0099, True),
        (100.0, 100.0101, False),
        (-100.0, -100.0099, True),
        (-100.0, -99.9899, False),
        (0.0, float("nan"), False),
    ],
)
def test_replay_at_the_tolerance(replayed, expected, found, sound):
    if sound:
        assert replayed("action_std", expected, found).largest_error == pytest.approx(abs(found - expected), rel=1e-3)
    else:
        with pytest.raises(BundleError, match="action_std at step 0 within 0.0001"):
            replayed("action_std", expected, found)


@pytest.mark.parametrize("shape", [(64, 11), (64, 13), (63, 12), (65, 12), (12, 64), (768,), (1, 64, 12)])
def test_outputs_of_another_shape_are_not_compared(replayed, shape):
    with pytest.raises(BundleError, match=r"action_std at step 0 of shape \(64, 12\)"):
        replayed("action_std", 0.0, np.zeros(shape, np.float32))


def test_a_log_probability_is_one_number_for_each_robot(replayed):
    for shape in ((64, 1), (1, 64), (63,), (65,)):
        with pytest.raises(BundleError, match=r"log_prob at step 0 of shape \(64,\)"):
            replayed("log_prob", 0.0, np.zeros(shape, np.float32))
