"""The demo once through for real, as small as it can be: every stage hands the next one what it needs."""

import json
from dataclasses import replace

import pytest

from offline_data.dataset import Dataset
from policy.bundle import read_bundle, verify_bundle
from robot_configs.robot import load_robot
from sim.collect import CollectSettings
from sim.demo import DemoSettings, run_demo

pytestmark = pytest.mark.slow


def test_all_stages_in_small(tmp_path, monkeypatch):
    """600 logged steps and two rounds of 200 teach nothing: this is about what is handed on, not about gains."""
    monkeypatch.chdir(tmp_path)  # bundles are named by their way from here
    small = DemoSettings(
        condition="nominal", log_steps=600, online_steps=400, episodes=2, episode_s=1.0, trials=2, workers=1
    )
    refine = replace(small.refine, threads=1, improvement=replace(small.refine.improvement, iterations=2))
    settings = replace(small, refine=refine, collect=CollectSettings(episode_s=3.0, workers=1))
    summary = run_demo(tmp_path / "demo", seed=1, settings=settings)

    assert json.loads((tmp_path / "demo" / "summary.json").read_text()) == json.loads(json.dumps(summary, default=str))
    assert "<svg" in (tmp_path / "demo" / "report.html").read_text()
    assert summary["offline"]["steps_used"] == 600 + 2 * 2 * 50
    assert summary["online"]["steps_used"] == 400 + 2 * 2 * 50
    logged = Dataset.open(tmp_path / "demo" / "dataset")
    offline = read_bundle(tmp_path / "demo" / "offline.go1policy")
    assert offline.contract == logged.contract
    for stage in ("offline", "online"):
        bundle = read_bundle(tmp_path / summary[stage]["bundle"])
        verify_bundle(bundle, load_robot())
        assert bundle.sha256 == summary[stage]["bundle_sha256"] != summary["pretrained"]["bundle_sha256"]
    verify_bundle(read_bundle(tmp_path / summary["promoted_bundle"]), load_robot())
