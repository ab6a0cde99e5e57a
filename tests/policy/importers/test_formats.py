"""Each stack's files: the networks that come out are those that went in, and every defect has a message of its own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rsl_rl.env import VecEnv
from rsl_rl.runners import OnPolicyRunner
from tensordict import TensorDict

from policy.importers.import_error import PolicyImportError
from policy.importers.imported_policy import build_actor
from policy.importers.rsl_rl import read_rsl_rl
from policy.importers.uni_o4 import read_uni_o4
from policy.importers.walk_these_ways import read_walk_these_ways
from policy.presets import isaac_lab_contract, walk_these_ways_contract, walk_these_ways_release_contract
from robot_configs.robot import load_robot
from tests.policy.importers.torch_files import perceptron, prefixed, save_checkpoint, save_script

ROBOT = load_robot()
ISAAC_LAB = isaac_lab_contract(ROBOT)
UNI_O4 = walk_these_ways_contract(ROBOT)
RELEASE = walk_these_ways_release_contract(ROBOT)


class NoisyTask(VecEnv):
    """Two robots that see noise around 3; enough for rsl_rl to train on and to write a real checkpoint."""

    def __init__(self) -> None:
        self.num_envs, self.num_actions, self.max_episode_length = 2, 12, 10
        self.device = "cpu"
        self.cfg: dict[str, Any] = {}
        self.episode_length_buf = torch.zeros(2, dtype=torch.long)

    def get_observations(self) -> TensorDict:
        return TensorDict({"observation": 3.0 + torch.randn(2, 45)}, batch_size=[2])

    def step(self, actions: torch.Tensor) -> tuple[TensorDict, torch.Tensor, torch.Tensor, dict[str, Any]]:
        return self.get_observations(), -actions.square().sum(1), torch.zeros(2, dtype=torch.long), {}


def trained_runner(std_type: str) -> OnPolicyRunner:
    """One iteration of rsl_rl's own PPO on a 45-value observation with a normaliser."""
    network = {"class_name": "MLPModel", "hidden_dims": [8, 6], "activation": "elu", "obs_normalization": True}
    gaussian = {"class_name": "GaussianDistribution", "init_std": 0.7, "std_type": std_type}
    runner = OnPolicyRunner(
        NoisyTask(),
        {
            "num_steps_per_env": 4,
            "save_interval": 100,
            "obs_groups": {"actor": ["observation"], "critic": ["observation"]},
            "actor": {**network, "distribution_cfg": gaussian},
            "critic": dict(network),
            "algorithm": {"class_name": "PPO", "num_learning_epochs": 1, "num_mini_batches": 1},
        },
        log_dir=None,
        device="cpu",
    )
    runner.learn(1)
    return runner


@pytest.mark.parametrize("std_type", ["scalar", "log"])
def test_a_checkpoint_that_rsl_rl_trained(tmp_path: Path, std_type: str) -> None:
    runner = trained_runner(std_type)
    path = tmp_path / "model_1.pt"
    runner.save(str(path))
    policy = read_rsl_rl([path], ISAAC_LAB)
    actor = build_actor(policy, 45, None)
    observation = 3.0 + torch.randn(5, 45)
    given = TensorDict({"observation": observation}, batch_size=[5])
    original = runner.get_inference_policy()(given)
    mean, std = torch.tensor(policy.observation_mean), torch.tensor(policy.observation_std)
    assert mean.abs().max() > 1.0, "the normaliser must not be the identity here"
    found, deviation = actor((observation - mean) / std)
    torch.testing.assert_close(found, original, atol=1e-6, rtol=1e-5)
    runner.alg.actor(given, stochastic_output=True)
    torch.testing.assert_close(deviation, runner.alg.actor.output_std)


def rsl_rl_1(network: torch.nn.Sequential) -> dict[str, Any]:
    """As rsl_rl 1.0.2's runner writes it."""
    critic = prefixed("critic.", perceptron(45, 4, 1))
    state = {"std": torch.full((12,), 0.5), **prefixed("actor.", network), **critic}
    return {"model_state_dict": state, "optimizer_state_dict": {}, "iter": 3, "infos": None}


def test_a_checkpoint_of_legged_gyms_rsl_rl(tmp_path: Path) -> None:
    network = perceptron(45, 8, 12)
    policy = read_rsl_rl([save_checkpoint(rsl_rl_1(network), tmp_path / "model_3.pt")], ISAAC_LAB)
    actor = build_actor(policy, 45, None)
    observation = torch.randn(4, 45)
    torch.testing.assert_close(actor(observation)[0], network(observation))
    assert actor.std().tolist() == pytest.approx([0.5] * 12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.pop("actor_state_dict"), "actor_state_dict .rsl_rl 5.x. or model_state_dict"),
        (lambda content: content.update(actor_state_dict=3), "a state_dict of named tensors"),
        (lambda content: content.update(obs_norm_state_dict={}), "rsl_rl 2.x"),
        (lambda content: content["actor_state_dict"].pop("mlp.2.bias"), r"no mlp\.2\.bias"),
        (lambda content: content["actor_state_dict"].update({"rnn.rnn.weight_ih_l0": torch.ones(2)}), "recurrent"),
        (lambda content: content["actor_state_dict"].update({"cnns.a.0.weight": torch.ones(2)}), "convolutional"),
        (lambda content: content["actor_state_dict"].update({"mlp.0.weight_g": torch.ones(2)}), "weight_g"),
        (lambda content: content["actor_state_dict"].pop("obs_normalizer._std"), "obs_normalizer._std of shape"),
        (
            lambda content: content["actor_state_dict"].update({"obs_normalizer._mean": torch.ones(1, 44)}),
            r"\(1, 45\).*found \(1, 44\)",
        ),
        (lambda content: content["actor_state_dict"].update({"distribution.std_param": torch.ones(3)}), "12 finite"),
        (lambda content: content.update(actor_state_dict=prefixed("mlp.", perceptron(45, 4, 24))), "24 outputs"),
        (lambda content: content.update(actor_state_dict=prefixed("mlp.", perceptron(48, 4, 12))), "45 inputs .*48"),
    ],
)
def test_a_checkpoint_of_rsl_rl_that_will_not_do(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    actor: dict[str, Any] = {
        **prefixed("mlp.", perceptron(45, 4, 12)),
        "distribution.std_param": torch.ones(12),
        "obs_normalizer._mean": torch.zeros(1, 45),
        "obs_normalizer._var": torch.ones(1, 45),
        "obs_normalizer._std": torch.ones(1, 45),
        "obs_normalizer.count": torch.tensor(7),
    }
    content: dict[str, Any] = {"actor_state_dict": actor, "iter": 1, "infos": None}
    assert read_rsl_rl([save_checkpoint(content, tmp_path / "good.pt")], ISAAC_LAB).observation_std[0] == np.float32(
        1.01
    )
    change(content)
    with pytest.raises(PolicyImportError, match=message):
        read_rsl_rl([save_checkpoint(content, tmp_path / "policy.pt")], ISAAC_LAB)


def uni_o4_state(network: torch.nn.Sequential, std: float) -> dict[str, torch.Tensor]:
    return {**prefixed("_net.", network), "std": torch.full((12,), std)}


def test_uni_o4s_policy(tmp_path: Path) -> None:
    network = perceptron(290, 8, 6, 12)
    policy = read_uni_o4([save_checkpoint(uni_o4_state(network, 0.25), tmp_path / "pi_latest.pt")], UNI_O4)
    actor = build_actor(policy, 290, None)
    observation = torch.randn(4, 290)
    torch.testing.assert_close(actor(observation)[0], network(observation))
    # -10 + 6 (0.25 + 1) = -2.5
    assert actor.log_std.tolist() == pytest.approx([-2.5] * 12)


def test_uni_o4s_pretrained_actor_critic(tmp_path: Path) -> None:
    network = perceptron(290, 8, 12)
    state = {
        "std": torch.full((12,), 0.3),
        **prefixed("actor_body.", network),
        **prefixed("critic_body.", perceptron(290, 4, 1)),
        "adaptation_module.0.weight": torch.ones(4, 290),
        "adaptation_module.0.bias": torch.ones(4),
        "adaptation_module.2.weight": torch.ones(0, 4),
        "adaptation_module.2.bias": torch.ones(0),
    }
    actor = build_actor(read_uni_o4([save_checkpoint(state, tmp_path / "ac.pt")], UNI_O4), 290, None)
    assert actor.std().tolist() == pytest.approx([0.3] * 12)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (prefixed("net.", perceptron(290, 4, 12)), "the entries _net.0.weight"),
        (prefixed("_net.", perceptron(290, 4, 24)), "para_std"),
        (prefixed("_net.", perceptron(58, 4, 12)), r"290 inputs \(58 values x 5 moments\).*found 58"),
        ({**prefixed("_net.", perceptron(290, 4, 12)), "std": torch.ones(24)}, "12 finite numbers in std"),
    ],
)
def test_a_state_dict_of_uni_o4_that_will_not_do(tmp_path: Path, state: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(PolicyImportError, match=message):
        read_uni_o4([save_checkpoint(state, tmp_path / "pi.pt")], UNI_O4)


def test_walk_these_ways_files_in_either_order(tmp_path: Path) -> None:
    body, adaptation = perceptron(2102, 8, 12), perceptron(2100, 4, 2)
    files = [save_script(body, tmp_path / "body.jit"), save_script(adaptation, tmp_path / "adaptation.jit")]
    observation = torch.randn(3, 2100)
    original = body(torch.cat([observation, adaptation(observation)], dim=1))
    for order in (files, files[::-1]):
        actor = build_actor(read_walk_these_ways(order, RELEASE), 2100, 0.2)
        torch.testing.assert_close(actor(observation)[0], original)
        assert actor.std().tolist() == pytest.approx([0.2] * 12)
    state = {"std": torch.ones(12), **prefixed("actor_body.", body), **prefixed("adaptation_module.", adaptation)}
    actor = build_actor(read_walk_these_ways([save_checkpoint(state, tmp_path / "ac.pt")], RELEASE), 2100, None)
    torch.testing.assert_close(actor(observation)[0], original)


def test_walk_these_ways_without_one_of_its_networks(tmp_path: Path) -> None:
    body = save_script(perceptron(2102, 8, 12), tmp_path / "body.jit")
    adaptation = save_script(perceptron(2100, 4, 2), tmp_path / "adaptation.jit")
    narrow = save_script(perceptron(2100, 4, 3), tmp_path / "narrow.jit")
    for files, message in (
        ([body, body], "the body in one of the files.*body.jit: 2102-8-12, body.jit: 2102-8-12"),
        ([adaptation, narrow], "the body in one of the files: a network of 2102 inputs"),
        ([body, narrow], "2 outputs .*found 3"),
        ([body], "a checkpoint written by torch.save in body.jit"),
        ([body, adaptation, body], "1 or 2 files"),
    ):
        with pytest.raises(PolicyImportError, match=message):
            read_walk_these_ways(files, RELEASE)


@pytest.mark.parametrize("std", [0.0, 1e-4, 5.0])
def test_a_deviation_out_of_bounds(tmp_path: Path, std: float) -> None:
    path = save_checkpoint(rsl_rl_1(perceptron(45, 4, 12)), tmp_path / "model.pt")
    with pytest.raises(PolicyImportError, match="from 0.001 to 4"):
        build_actor(read_rsl_rl([path], ISAAC_LAB), 45, std)
    assert build_actor(read_rsl_rl([path], ISAAC_LAB), 45, 4.0).std()[0] == pytest.approx(4.0)


def test_files_without_a_deviation_need_one(tmp_path: Path) -> None:
    policy = read_uni_o4([save_checkpoint(prefixed("_net.", perceptron(290, 4, 12)), tmp_path / "pi.pt")], UNI_O4)
    with pytest.raises(PolicyImportError, match="Give --std"):
        build_actor(policy, 290, None)
