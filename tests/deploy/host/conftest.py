"""A small log of the shipped policy on the twin, a data set made of it, and settings that learn in seconds."""

from pathlib import Path

import pytest
import torch

from deploy.host.refine_settings import RefineSettings
from offline_data.ingest import ingest
from policy.bundle import BUNDLES
from policy.uni_o4.cloning import CloningSettings
from policy.uni_o4.critics import CriticSettings
from policy.uni_o4.dynamics import DynamicsSettings
from policy.uni_o4.evaluation import EvaluationSettings
from policy.uni_o4.offline import EnsembleSettings
from policy.uni_o4.ppo import PpoSettings
from policy.uni_o4.published import PublishedSettings
from policy.uni_o4.value import ValueSettings
from sim.collect import CollectSettings, collect_on_twin

torch.set_num_threads(1)

EVALUATION = EvaluationSettings(starts=64, horizon=4, resamples=100)
VALUE = ValueSettings(hidden_dims=(32,), rounds=4, batch_size=128)
DYNAMICS = DynamicsSettings(members=2, elites=1, hidden_dims=(32,), batch_size=128, epochs=3)


def improvement(learning_rate: float = 3e-5) -> EnsembleSettings:
    """Two iterations on few short branches."""
    ppo = PpoSettings(minibatch_size=256, epochs=2, actor_learning_rate=learning_rate)
    return EnsembleSettings(iterations=2, branches=128, horizon=4, budget_states=64, ppo=ppo, evaluation=EVALUATION)


def tiny_refinement(**changed) -> RefineSettings:
    """Settings for tests."""
    values = {
        "threads": 1,
        "cloning": CloningSettings(members=2, hidden_dims=(32,), epochs=4, batch_size=64),
        "published_cloning": CloningSettings(members=2, hidden_dims=(32,), epochs=4, batch_size=64),
        "value": VALUE,
        "dynamics": DYNAMICS,
        "improvement": improvement(),
        "critics": CriticSettings(updates=20, batch_size=64, action_value_dims=(16,), value_dims=(16,)),
        "published": PublishedSettings(
            updates=4, gate_interval=2, batch_size=64, budget_states=64, evaluation=EVALUATION
        ),
    }
    return RefineSettings(**{**values, **changed})


@pytest.fixture(scope="session")
def shipped() -> Path:
    """The pretrained policy."""
    return BUNDLES / "go1_velocity.go1policy"


@pytest.fixture(scope="session")
def dataset(shipped, tmp_path_factory) -> Path:
    """600 steps in six episodes on firm ground."""
    folder = tmp_path_factory.mktemp("logged")
    collect_on_twin(shipped, "nominal", 600, folder / "logs", 1, CollectSettings(episode_s=2.0, workers=1))
    ingest(folder / "logs", folder / "dataset")
    return folder / "dataset"
