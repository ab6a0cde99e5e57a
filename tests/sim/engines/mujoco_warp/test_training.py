"""A training run on the MuJoCo Warp engine."""

import csv
import json
import math

import pytest

from sim.engines.choice import EngineChoice
from sim.pretrain import pretrain
from sim.pretrain_settings import PretrainSettings
from sim.velocity_settings import VelocityTaskSettings

pytestmark = pytest.mark.slow


def test_a_run_trains_on_it(tmp_path):
    settings = PretrainSettings(
        steps=8 * 4 * 2,
        steps_per_iteration=4,
        actor_hidden=(8,),
        critic_hidden=(8,),
        epochs=1,
        minibatches=1,
        threads=1,
        engine=EngineChoice("mujoco_warp"),
        task=VelocityTaskSettings(num_envs=8, seed=2, episode_s=0.1),
    )
    pretrain(settings, tmp_path)
    assert json.loads((tmp_path / "settings.json").read_text())["engine"]["name"] == "mujoco_warp"
    rows = list(csv.DictReader((tmp_path / "curve.csv").open()))
    assert len(rows) == 2
    assert all(math.isfinite(float(row["reward_per_step"])) for row in rows)
