"""Online learning: the true return rises, everything is carried over, and a killed run goes on bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from policy.networks import ValueNetwork
from policy.trainer_state import TrainerStateError
from policy.transitions import Transitions, TransitionsError
from policy.uni_o4.dynamics import DynamicsSettings
from policy.uni_o4.ensemble_rollouts import ModelWorld
from policy.uni_o4.evaluation import EvaluationSettings
from policy.uni_o4.offline import EnsembleSettings
from policy.uni_o4.online import ModelSettings, OnlineLearner, OnlineSettings
from policy.uni_o4.ppo import PpoSettings
from policy.uni_o4.value import RewardScale, ValueSettings
from tests.policy.uni_o4.conftest import DISCOUNT, Study
from tests.policy.uni_o4.point_mass import DirectObserver, has_fallen, linear_actor, log_episodes, true_return

torch.set_num_threads(1)
PPO = PpoSettings(discount=DISCOUNT, epochs=4, minibatch_size=512, actor_learning_rate=1e-2)
SETTINGS = OnlineSettings(ppo=PPO, kl_limit=0.05, warm_up_epochs=2, seed=3)


def learner_of(study: Study, settings: OnlineSettings = SETTINGS) -> OnlineLearner:
    return OnlineLearner(study.behavior, study.value, study.scale, settings)


def session(learner: OnlineLearner, seed: int) -> Transitions:
    return log_episodes(learner.actor, 40, 50, torch.Generator().manual_seed(seed))


def test_sessions_raise_the_true_return(study: Study):
    learner = learner_of(study)
    before = true_return(learner.actor)
    for seed in range(5):
        statistics = learner.update(session(learner, seed))
        assert statistics.kl <= SETTINGS.kl_limit
        assert statistics.gradient_steps > 0
    assert true_return(learner.actor) > before + 6.0
    assert learner.updates == 5


def test_mistake_01_deterministic_steps_are_refused(study: Study):
    transitions = study.transitions
    deterministic = replace(transitions, action=transitions.action_mean)
    with pytest.raises(TransitionsError, match="exploration"):
        learner_of(study).update(deterministic)


def test_mistake_07_one_std_one_value_and_one_reward_scale_are_carried_over(study: Study):
    learner = learner_of(study)
    assert torch.equal(learner.actor.log_std, study.behavior.log_std)
    assert learner.scale == study.scale
    for carried, offline in zip(learner.value.parameters(), study.value.parameters(), strict=True):
        assert torch.equal(carried, offline)
    # The std that the learner holds is the std that the robot samples with and the log states.
    assert torch.equal(learner.actor(study.transitions.observation)[1].detach(), study.transitions.action_std)


def test_mistake_07_the_carried_value_explains_the_first_session(study: Study):
    statistics = learner_of(study, replace(SETTINGS, warm_up_epochs=0)).update(study.transitions)
    assert statistics.explained_variance > 0.8


def test_mistake_11_a_resumed_run_is_the_uninterrupted_run_bit_for_bit(study: Study, tmp_path: Path):
    whole = learner_of(study)
    whole.update(session(whole, 0))
    whole.save(tmp_path / "state.safetensors", "data")
    steps = whole.steps
    whole.update(session(whole, 1))

    resumed = learner_of(study)
    resumed.load(tmp_path / "state.safetensors", "data")
    assert (resumed.steps, resumed.updates, resumed.scale) == (steps, 1, study.scale)
    resumed.update(session(resumed, 1))
    for name, tensor in whole.actor.state_dict().items():
        assert torch.equal(tensor, resumed.actor.state_dict()[name]), name
    for name, tensor in whole.value.state_dict().items():
        assert torch.equal(tensor, resumed.value.state_dict()[name]), name
    assert torch.equal(whole.generator.get_state(), resumed.generator.get_state())


def test_a_resumed_run_goes_on_at_the_rate_that_was_led(study: Study, tmp_path: Path):
    slow = replace(SETTINGS.ppo, actor_learning_rate=1e-4, desired_kl=1e3)  # no update moves as far
    whole, resumed = (learner_of(study, replace(SETTINGS, ppo=slow)) for _ in range(2))
    whole.update(session(whole, 0))
    assert whole.networks.actor_rate == pytest.approx(1.5e-4)
    whole.save(tmp_path / "state.safetensors", "data")
    resumed.load(tmp_path / "state.safetensors", "data")
    assert resumed.networks.actor_rate == whole.networks.actor_rate


@pytest.mark.parametrize("forgotten", ["optimizer", "generator"])
def test_mistake_11_forgetting_moments_or_random_state_would_be_noticed(study: Study, tmp_path: Path, forgotten: str):
    """The test above has teeth: without either, the resumed run differs."""
    whole = learner_of(study)
    whole.update(session(whole, 0))
    whole.save(tmp_path / "state.safetensors", "data")
    resumed = learner_of(study)
    resumed.load(tmp_path / "state.safetensors", "data")
    if forgotten == "optimizer":
        resumed.networks.actor_optimizer = torch.optim.Adam(resumed.actor.parameters(), PPO.actor_learning_rate)
    else:
        resumed.generator.manual_seed(99)
    batch = session(whole, 1)
    whole.update(batch)
    resumed.update(batch)
    assert not torch.equal(next(whole.actor.parameters()), next(resumed.actor.parameters()))


def test_mistake_11_a_state_of_other_data_or_settings_is_refused(study: Study, tmp_path: Path):
    learner = learner_of(study)
    learner.save(tmp_path / "state.safetensors", "these data")
    with pytest.raises(TrainerStateError, match="data_sha256 = 'other data'"):
        learner_of(study).load(tmp_path / "state.safetensors", "other data")
    with pytest.raises(TrainerStateError, match="settings"):
        learner_of(study, replace(SETTINGS, kl_limit=0.5)).load(tmp_path / "state.safetensors", "these data")


def test_an_update_in_the_model_raises_the_true_return_within_its_budget(study: Study):
    learner = learner_of(study)
    before = true_return(learner.actor)
    settings = ModelSettings(
        value=ValueSettings((64, 64), DISCOUNT, rounds=5, batch_size=256),
        dynamics=DynamicsSettings(
            members=2, elites=2, hidden_dims=(32, 32), batch_size=64, epochs=20, learning_rate=3e-3
        ),
        improvement=EnsembleSettings(
            iterations=3,
            branches=256,
            kl_budget=0.1,
            ppo=PPO,
            evaluation=EvaluationSettings(starts=200, discount=DISCOUNT, resamples=200),
        ),
    )
    found = learner.update_in_model(
        study.transitions, 3000, lambda model: ModelWorld(model, DirectObserver(), has_fallen), settings
    )
    assert found.accepted
    assert found.best.kl <= 0.1
    assert true_return(learner.actor) > before + 3.0
    assert learner.steps == 3000


def cold_learner(settings: OnlineSettings) -> OnlineLearner:
    torch.manual_seed(0)
    return OnlineLearner(linear_actor(-0.3, -0.3, 0.5), ValueNetwork(2, (8,)), RewardScale(1.0), settings)


def test_the_value_is_warmed_up_before_the_first_update_and_only_then():
    """Updates of no epochs: what moves V is the warm-up alone."""
    learner = cold_learner(replace(SETTINGS, ppo=replace(PPO, epochs=0), warm_up_epochs=2))
    transitions = log_episodes(learner.actor, 2, 10, torch.Generator().manual_seed(0))

    def weights() -> list[torch.Tensor]:
        return [parameter.detach().clone() for parameter in learner.value.parameters()]

    cold, actor = weights(), [parameter.detach().clone() for parameter in learner.actor.parameters()]
    learner.update(transitions)
    warm = weights()
    assert not all(torch.equal(a, b) for a, b in zip(cold, warm, strict=True))
    learner.update(transitions)
    assert all(torch.equal(a, b) for a, b in zip(warm, weights(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(actor, learner.actor.parameters(), strict=True))


def test_an_update_in_the_model_counts_its_budget_from_the_policy_that_it_starts_with():
    """The logs are of another policy, half a standard deviation away in every state: KL 1/8 that is not charged."""
    learner = cold_learner(SETTINGS)
    other = linear_actor(-0.3, -0.3, 0.5)
    list(other.mean_network.parameters())[1].data.fill_(0.25)
    transitions = log_episodes(other, 4, 20, torch.Generator().manual_seed(0))
    settings = ModelSettings(
        value=ValueSettings((8,), DISCOUNT, rounds=1, batch_size=32),
        dynamics=DynamicsSettings(members=1, elites=1, hidden_dims=(8,), batch_size=32, epochs=1),
        improvement=EnsembleSettings(
            iterations=1,
            branches=16,
            horizon=2,
            kl_budget=0.1,
            ppo=PPO,
            evaluation=EvaluationSettings(starts=40, horizon=2, discount=DISCOUNT, resamples=100),
        ),
    )
    found = learner.update_in_model(
        transitions, 80, lambda model: ModelWorld(model, DirectObserver(), has_fallen), settings
    )
    assert found.start.kl == pytest.approx(0.0, abs=1e-6)
    assert found.candidates[-1].statistics is not None and found.candidates[-1].statistics.gradient_steps > 0
