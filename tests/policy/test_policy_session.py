"""A policy's session: one robot on one thread, steps as in the golden batch, and errors that are ours."""

import numpy as np
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as onnxruntime_errors

from policy.bundle import BundleError, PolicySession, parse_bundle
from policy.contract import SIGNALS
from robot_configs.robot import load_robot
from tests.policy.resealed import SHIPPED


@pytest.fixture(scope="module")
def robot():
    return load_robot()


@pytest.fixture(scope="module")
def bundle():
    return parse_bundle(SHIPPED)


def test_every_output_of_every_step_is_that_of_the_golden_batch(bundle, robot):
    session, golden = PolicySession(bundle, robot), bundle.golden
    for sequence in (0, 20, 63):
        session.reset()
        for step in range(8):
            inputs = [golden[f"in.{name}"][sequence, step] for name, _ in SIGNALS if name != "memory"]
            found = session.step(*inputs)
            for name in ("joint_target", "action", "action_mean", "action_std", "log_prob"):
                expected = golden[f"out.{name}"][sequence, step]
                np.testing.assert_allclose(getattr(found, name), expected.squeeze(), rtol=1e-4, atol=1e-4)
        for name in ("observation", "next_memory"):
            np.testing.assert_allclose(getattr(found, name), golden[f"out.{name}"][sequence, 0], rtol=1e-4, atol=1e-4)


def test_without_noise_the_action_is_the_mean(bundle, robot):
    session = PolicySession(bundle, robot)
    state = (np.array([1, 0, 0, 0]), np.zeros(3), np.full(12, 0.1), np.ones(12), np.zeros(3))
    drawn = session.step(*state, np.ones(12))
    np.testing.assert_allclose(drawn.action, drawn.action_mean + drawn.action_std, rtol=1e-5)
    mean = session.step(*state)
    np.testing.assert_array_equal(mean.action, mean.action_mean)
    assert isinstance(mean.log_prob, float) and mean.joint_target.shape == (12,)


def test_a_session_has_one_thread_on_the_processor_and_prints_nothing(bundle, robot, monkeypatch):
    asked = []
    monkeypatch.setattr("onnxruntime.InferenceSession", lambda content, **options: asked.append((content, options)))
    PolicySession(bundle, robot)
    ((content, options),) = asked
    assert content == bundle.onnx_bytes and options["providers"] == ["CPUExecutionProvider"]
    settings = options["sess_options"]
    assert (settings.intra_op_num_threads, settings.inter_op_num_threads) == (1, 1)
    assert settings.log_severity_level == 4  # fatal errors alone


def test_what_onnxruntime_refuses_is_a_bundles_error(bundle, robot, monkeypatch):
    session, signals = PolicySession(bundle, robot), {name: np.zeros((2, 4)) for name, _ in SIGNALS}
    with pytest.raises(BundleError, match="a graph that runs on its contract's signals"):
        session.run_batch(signals, np.zeros((2, 4), np.float32))
    for kind in ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented", "RuntimeException"):

        def refuse(*arguments, kind=kind, **options):
            raise getattr(onnxruntime_errors, kind)(f"no {kind}")

        monkeypatch.setattr("onnxruntime.InferenceSession", refuse)
        with pytest.raises(BundleError, match=f"a graph that onnxruntime accepts; found no {kind}"):
            PolicySession(bundle, robot)
