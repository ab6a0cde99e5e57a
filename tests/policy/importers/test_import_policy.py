"""From files to a bundle that runs: what onnxruntime computes is what the other stack's own loop would have done."""

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from cli.main import main
from policy.bundle import BUNDLES, PolicySession, read_bundle
from policy.export import load_graph
from policy.importers.import_error import PolicyImportError
from policy.importers.import_policy import PRESETS, ImportOptions, find_preset, import_policy
from policy.presets import isaac_lab_contract, walk_these_ways_contract
from robot_configs.robot import load_robot
from tests.policy.importers.torch_files import perceptron, prefixed, save_checkpoint, save_script

ROBOT = load_robot()
COMMAND = [0.5, -0.2, 0.4, 0.1, 3.0, 0.5, 0.0, 0.0, 0.5, 0.08, 0.2, 0.0, 0.3, 0.4, 0.0]
SCALE = [2.0, 2.0, 0.25, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.15, 0.3, 0.3, 1.0, 1.0, 1.0]
DEFAULT_BY_LEG = [0.1, 0.8, -1.5, -0.1, 0.8, -1.5, 0.1, 1.0, -1.5, -0.1, 1.0, -1.5]
TO_LEGS = [3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8]


class WalkTheseWaysLoop:
    """The control loop of go1_gym_deploy as it is described there, in NumPy; shares no code with `policy.graph`."""

    def __init__(self, body: torch.nn.Module, adaptation: torch.nn.Module) -> None:
        self.body, self.adaptation = body, adaptation
        self.history = np.zeros(2100, dtype=np.float32)
        self.action, self.action_before = np.zeros(12), np.zeros(12)
        self.gait_index = 0.0

    def step(self, gravity: np.ndarray, position: np.ndarray, velocity: np.ndarray) -> np.ndarray:
        """Mean action by leg for joint signals in wire order."""
        phase, offset, bound = COMMAND[5:8]
        feet = [phase + offset + bound, offset, bound, phase]
        frame = np.concatenate(
            [
                gravity,
                np.multiply(COMMAND, SCALE),
                position[TO_LEGS] - DEFAULT_BY_LEG,
                0.05 * velocity[TO_LEGS],
                self.action,
                self.action_before,
                [math.sin(2 * math.pi * (self.gait_index + foot)) for foot in feet],
            ]
        )
        self.history = np.concatenate([self.history[70:], frame]).astype(np.float32)
        history = torch.from_numpy(self.history)[None]
        with torch.no_grad():
            action = self.body(torch.cat([history, self.adaptation(history)], dim=1))[0].numpy()
        self.action_before, self.action = self.action, np.clip(action, -10.0, 10.0)
        self.gait_index = (self.gait_index + 0.02 * COMMAND[4]) % 1.0
        return action


def test_walk_these_ways_end_to_end(tmp_path: Path) -> None:
    torch.manual_seed(1)
    body, adaptation = perceptron(2102, 16, 12), perceptron(2100, 8, 2)
    with torch.no_grad():
        body.get_parameter("2.weight").mul_(8.0)  # so that some actions leave the clip
    files = [save_script(body, tmp_path / "body.jit"), save_script(adaptation, tmp_path / "adaptation.jit")]
    out = tmp_path / "wtw.go1policy"
    report = import_policy(files, out, ImportOptions("walk-these-ways", std=0.2), ROBOT)
    assert report.network == "2102-16-12 with 2100-8-2"
    session, loop = PolicySession(read_bundle(out), ROBOT), WalkTheseWaysLoop(body, adaptation)
    session.reset()
    generator = np.random.default_rng(2)
    largest = 0.0
    for _ in range(35):  # five more than the history holds
        pitch = generator.uniform(-0.3, 0.3)
        orientation = np.array([math.cos(pitch / 2), 0.0, math.sin(pitch / 2), 0.0])
        gravity = np.array([math.sin(pitch), 0.0, -math.cos(pitch)])
        position, velocity = generator.normal(size=12), generator.normal(size=12)
        output = session.step(orientation, np.zeros(3), position, velocity, np.array(COMMAND))
        expected = loop.step(gravity, position, velocity)
        np.testing.assert_allclose(output.action_mean, expected, atol=2e-3, rtol=1e-3)
        np.testing.assert_allclose(output.observation, loop.history, atol=2e-3, rtol=1e-3)
        largest = max(largest, float(np.max(np.abs(expected))))
    assert largest > 10.0, "nothing was clipped: the comparison shows less than it should"
    lineage = read_bundle(out).lineage
    assert lineage.stage == "import" and lineage.notes[0].startswith("body.jit sha256 ")
    restored = load_graph(read_bundle(out)).actor
    history = torch.randn(2, 2100)
    original = body(torch.cat([history, adaptation(history)], dim=1))
    torch.testing.assert_close(restored(history)[0], original, atol=1e-4, rtol=1e-4)


def rsl_rl_file(tmp_path: Path, network: torch.nn.Module) -> Path:
    state = {
        **prefixed("mlp.", network),
        "distribution.log_std_param": torch.full((12,), -1.0),
        "obs_normalizer._mean": torch.full((1, 45), 0.5),
        "obs_normalizer._var": torch.full((1, 45), 4.0),
        "obs_normalizer._std": torch.full((1, 45), 2.0),
        "obs_normalizer.count": torch.tensor(9),
    }
    return save_checkpoint({"actor_state_dict": state}, tmp_path / "model.pt")


def test_samples_tell_elu_from_relu(tmp_path: Path) -> None:
    """The state_dicts of the two are the same; only what they compute differs."""
    network = perceptron(45, 8, 12)
    path, out = rsl_rl_file(tmp_path, network), tmp_path / "policy.go1policy"
    observation = torch.randn(20, 45)
    normalised = (observation - 0.5) / 2.01
    samples = tmp_path / "samples.npz"
    with torch.no_grad():
        np.savez(samples, observation=observation.numpy(), action=network(normalised).numpy())
        report = import_policy([path], out, ImportOptions("isaac-lab", samples=samples), ROBOT)
        assert report.samples == 20 and "samples reproduced 20" in report.bundle.lineage.notes
        other = torch.nn.Sequential(network[0], torch.nn.ReLU(), network[2])
        np.savez(samples, observation=observation.numpy(), action=other(normalised).numpy())
    out.unlink()
    with pytest.raises(PolicyImportError, match="the recorded actions"):
        import_policy([path], out, ImportOptions("isaac-lab", samples=samples), ROBOT)
    assert not out.exists()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"observation": np.zeros((2, 45))}, "action in samples.npz"),
        ({"observation": np.zeros((2, 44)), "action": np.zeros((2, 12))}, r"observation of shape \(N, 45\)"),
        ({"observation": np.zeros((2, 45)), "action": np.zeros((3, 12))}, "an action for each"),
        ({"observation": np.zeros((0, 45)), "action": np.zeros((0, 12))}, "an action for each"),
        ({"observation": np.array([{}], dtype=object), "action": np.zeros((1, 12))}, "observation in samples.npz"),
    ],
)
def test_samples_that_can_not_be_used(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    samples = tmp_path / "samples.npz"
    np.savez(samples, **arrays)  # type: ignore[arg-type]
    path = rsl_rl_file(tmp_path, perceptron(45, 8, 12))
    with pytest.raises(PolicyImportError, match=message):
        import_policy([path], tmp_path / "policy.go1policy", ImportOptions("isaac-lab", samples=samples), ROBOT)


def test_a_contract_of_ones_own_is_a_preset(tmp_path: Path) -> None:
    contract = dataclasses.replace(isaac_lab_contract(ROBOT), stiffness=(25.0,) * 12, history_length=2)
    (tmp_path / "mine.json").write_text(contract.to_json(), encoding="utf-8")
    assert find_preset(str(tmp_path / "mine.json")).contract(ROBOT) == contract
    (tmp_path / "broken.json").write_text('{"history_length": "two"}', encoding="utf-8")
    with pytest.raises(PolicyImportError, match="history_length"):
        find_preset(str(tmp_path / "broken.json"))
    with pytest.raises(PolicyImportError, match="go1-velocity, isaac-lab, uni-o4, walk-these-ways"):
        find_preset("anymal")


def test_what_inspect_prints_is_a_preset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shipped = BUNDLES / "go1_velocity.go1policy"
    assert main(["policy", "inspect", str(shipped), "--json"]) == 0
    path = tmp_path / "velocity.json"
    path.write_text(json.dumps(json.loads(capsys.readouterr().out)["contract"]), encoding="utf-8")
    assert find_preset(str(path)).contract(ROBOT) == read_bundle(shipped).contract


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = {**prefixed("_net.", perceptron(290, 8, 12)), "std": torch.zeros(12)}
    path, out = save_checkpoint(state, tmp_path / "pi.pt"), tmp_path / "pi.go1policy"
    assert main(["policy", "import", str(path), "--preset", "uni-o4", "--out", str(out), "--json"]) == 0
    assert '"network": "290-8-12"' in capsys.readouterr().out
    bundle = read_bundle(out)
    assert bundle.contract == walk_these_ways_contract(ROBOT)
    assert bundle.lineage.command.startswith("go1 policy import")
    assert main(["policy", "import", str(path), "--preset", "isaac-lab", "--out", str(out)]) == 2
    assert "expected actor_state_dict" in capsys.readouterr().err


def test_every_preset_fits_the_robot() -> None:
    for preset in PRESETS.values():
        preset.contract(ROBOT).check_robot(ROBOT)
