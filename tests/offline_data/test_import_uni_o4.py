"""The importer on a small file of the real layout, and on the real files where they lie beside the repository."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from cli.main import main
from offline_data.dataset import Dataset
from offline_data.import_uni_o4 import UniO4ImportReport, import_uni_o4, leg_odometry_against_tracker
from offline_data.uni_o4_recording import RecordingError, read_recording
from policy.presets import walk_these_ways_contract
from robot_configs.kinematics import foot_jacobian_in_trunk
from robot_configs.robot import load_robot

ROBOT = load_robot()
CONTRACT = walk_these_ways_contract(ROBOT)
HISTORY = CONTRACT.history_length
LEGS = ("FL", "FR", "RL", "RR")
COMMAND_SCALES = [2.0, 2.0, 0.25, 2.0, 1, 1, 1, 1, 1, 0.15, 0.3, 0.3, 1, 1, 1]
TRACKER_HEIGHT_M = 0.12
REAL_LOGS = Path(os.environ.get("GO1_REAL_LOGS", Path(__file__).parents[3] / "shared/data/uni_o4_go1_real"))


def weight_bearing_action(offsets: np.ndarray) -> np.ndarray:
    """Action (12,), in the files' order, whose PD torques let each foot bear a quarter of the weight: tau = -J^T F."""
    to_wire = [CONTRACT.policy_joint_names.index(name) for name in CONTRACT.joint_names]
    default = np.array(CONTRACT.default_position)
    position = default + offsets[to_wire]
    load = np.array([0.0, 0.0, 9.81 * ROBOT.total_mass_kg / 4])
    jacobian = foot_jacobian_in_trunk(ROBOT, position)
    torque = -np.einsum("fij,i->fj", jacobian, load).reshape(12)
    target = position + torque / np.array(CONTRACT.stiffness)
    return ((target - default) / np.array(CONTRACT.action_scale))[np.argsort(to_wire)]


def standing_states(steps: int, first_phase: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """States and actions of a robot that stands on its feet while 3 Hz clocks run; heading 90 degrees to the left."""
    offsets = np.arange(12) * 0.01  # every joint its own number, in the files' order
    actions = weight_bearing_action(offsets) + 0.05 * np.random.default_rng(0).standard_normal((steps, 12))
    states = np.zeros((steps, 76))
    states[:, 2] = -1.0
    command = np.array([0.4, -0.1, 0.5, 0.0, 3.0, 0.5, 0.0, 0.0, 0.5, 0.08, 0.0, 0.0, 0.33, 0.4, 0.0])
    states[:, 3:18] = command * COMMAND_SCALES
    states[:, 18:30] = offsets
    states[:, 30:42] = np.arange(12) * 0.05 * 0.01
    states[1:, 42:54] = actions[:-1]
    # Too little to matter, enough for live sensors: what repeats itself bit for bit is taken for stuck.
    states[:, 18:42] += 1e-9 * np.random.default_rng(1).standard_normal((steps, 24))
    states[:, 70:73] += 1e-9 * np.random.default_rng(2).standard_normal((steps, 3))
    states[0, 42:54] = actions[0]
    phase = first_phase + 0.06 * np.arange(steps)
    states[:, 54:58] = np.sin(2 * np.pi * (phase[:, None] + [0.5, 0.0, 0.0, 0.5]))
    states[:, 61:64] = [0.0, 0.3, 0.0]  # world: to the left of where it started, which is forward now
    states[:, 58:61] = np.arange(steps)[:, None] * 0.02 * states[:, 61:64]
    states[:, 69] = np.pi / 2
    return states, actions


def write(path: Path, states: np.ndarray, actions: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file["states"], file["actions"] = states, actions.astype(np.float32)
    return path


def imported(tmp_path: Path, states: np.ndarray, actions: np.ndarray) -> tuple[Dataset, UniO4ImportReport]:
    write(tmp_path / "recordings" / "session" / "a.hdf5", states, actions)
    report = import_uni_o4(tmp_path / "recordings", tmp_path / "dataset")
    return Dataset.open(tmp_path / "dataset"), report


def test_signals_by_hand(tmp_path: Path) -> None:
    states, actions = standing_states(100)
    dataset, report = imported(tmp_path, states, actions)
    assert report.recorded_steps == 100 and dataset.info().steps == 99 and dataset.info().truncated == 1
    names = CONTRACT.joint_names
    position, velocity = dataset["joint_position"][0], dataset["joint_velocity"][0]
    for index, (leg, joint) in enumerate((leg, joint) for leg in LEGS for joint in ("hip", "thigh", "calf")):
        wire = names.index(f"{leg}_{joint}")
        default = {"hip": 0.1 if leg[1] == "L" else -0.1, "thigh": 0.8 if leg[0] == "F" else 1.0, "calf": -1.5}[joint]
        assert position[wire] == pytest.approx(default + 0.01 * index)
        assert velocity[wire] == pytest.approx(0.01 * index, abs=1e-6)
        scale = 0.125 if joint == "hip" else 0.25
        assert dataset["joint_target"][0, wire] == pytest.approx(default + scale * actions[0, index], abs=1e-6)
    assert dataset["command"][0, :5] == pytest.approx([0.4, -0.1, 0.5, 0.0, 3.0])
    assert dataset["command"][0, 9] == pytest.approx(0.08)
    np.testing.assert_allclose(dataset["velocity_trunk_in_trunk"][0], [0.3, 0.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(dataset["orientation_trunk_in_world"][0], [np.sqrt(0.5), 0, 0, np.sqrt(0.5)], atol=1e-6)
    np.testing.assert_allclose(dataset["action"][:-1], actions[:-1], atol=1e-6)
    assert not dataset["action"][-1].any() and not dataset["joint_target"][-1].any()
    assert "log_prob" not in dataset  # these files do not know it, and nobody invents it


def test_turning_velocities_and_lever_arm(tmp_path: Path) -> None:
    """Nose down by 30 degrees: rates and velocities are turned by the tracker's own attitude."""
    states, actions = standing_states(10)
    states[:, 67:70] = [0.0, np.pi / 6, np.pi / 2]
    states[:, 0:3] = [0.5, 0.0, -np.sqrt(0.75)]
    states[:, 70:73] = [0.0, 0.0, 1.0]  # turns about the world's vertical
    states[:, 61:64] = 0.0
    recording = read_recording(write(tmp_path / "a.hdf5", states, actions), CONTRACT, ROBOT)
    rate = np.array([-0.5, 0.0, np.sqrt(0.75)])  # the vertical, seen from a trunk that looks down by 30 degrees
    np.testing.assert_allclose(recording.angular_velocity_trunk_in_trunk[0], rate, atol=1e-12)
    expected = -np.cross(rate, [0.066, 0.0, TRACKER_HEIGHT_M])
    np.testing.assert_allclose(recording.velocity_trunk_in_trunk[0], expected, atol=1e-12)
    assert not recording.losses["attitude"].any()


def test_orientation_agrees_with_the_recorded_gravity(tmp_path: Path) -> None:
    states, actions = standing_states(50)
    gravity = np.random.default_rng(3).standard_normal((50, 3))
    states[:, 0:3] = gravity / np.linalg.norm(gravity, axis=1, keepdims=True)
    recording = read_recording(write(tmp_path / "a.hdf5", states, actions), CONTRACT, ROBOT)
    w, x, y, z = recording.orientation_trunk_in_world.T
    down = -np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], axis=1)
    np.testing.assert_allclose(down, states[:, 0:3], atol=1e-9)


def test_episode_begins_at_the_clocks_zero(tmp_path: Path) -> None:
    dataset, report = imported(tmp_path, *standing_states(100, first_phase=0.64))  # zero is 6 steps later
    assert dataset.info().steps == 93
    assert report.left_out["before the gait clock's zero"] == 6
    assert report.largest_clock_error < 1e-9
    assert not dataset["valid"][:HISTORY].any() and dataset["valid"][HISTORY:-1].all()


def test_fall_is_terminated_at_the_first_tipped_row(tmp_path: Path) -> None:
    states, actions = standing_states(100)
    roll = np.minimum(0.3 * np.maximum(np.arange(100) - 84, 0), 1.5)  # 17 degrees a step from row 85, on its side at 89
    states[:, 0:3] = np.stack([np.zeros(100), -np.sin(roll), -np.cos(roll)], axis=1)
    states[:, 67] = roll  # the tracker saw it too
    dataset, report = imported(tmp_path, states, actions)
    assert dataset.info().terminated == 1
    assert np.nonzero(dataset["terminated"])[0].tolist() == [88]  # cos 1.2 = 0.36, cos 1.5 = 0.07
    np.testing.assert_allclose(dataset["projected_gravity_in_trunk"][-1], states[89, 0:3], atol=1e-6)
    assert dataset["reward_terms"][88, dataset.reward_terms.index("fall")] == -10.0
    assert dataset["valid"][88], "the fall must not be hidden behind a mask"
    assert report.left_out["tipped over"] == 10


def test_leftover_of_the_fall_before_is_no_part_of_the_episode(tmp_path: Path) -> None:
    states, actions = standing_states(100)
    states[0, 0:3] = [0.0, 1.0, 0.0]
    dataset, report = imported(tmp_path, states, actions)
    assert report.left_out["tipped over"] == 1
    np.testing.assert_allclose(dataset["projected_gravity_in_trunk"][:, 2], -1.0)


def test_jump_in_the_middle_stops_one_episode_and_begins_another(tmp_path: Path) -> None:
    states, actions = standing_states(200)
    states[100:, 18:30] += 0.7  # a hip turns 0.6 rad a step at most
    dataset, _ = imported(tmp_path, states, actions)
    assert [episode.ending for episode in dataset.episodes] == ["stopped", "truncated"]
    assert dataset.episodes[0].stop == 100


def teleport(states: np.ndarray) -> None:
    states[100:, 58] += 1.0


def climb(states: np.ndarray) -> None:
    states[100:120, 63] = 1.0
    states[:, 60] += np.cumsum(states[:, 63]) * 0.02


def race(states: np.ndarray) -> None:
    states[100:105, 62] = 3.0
    states[:, 58:61] = np.cumsum(states[:, 61:64], axis=0) * 0.02


def tilt_tracker(states: np.ndarray) -> None:
    states[100:105, 68] = 0.15


def carry(states: np.ndarray) -> None:
    hanging = states[0, 18:30] / 0.25
    hanging[[0, 3, 6, 9]] *= 2.0
    states[80:150, 42:54] = hanging  # targets equal positions: no torque, no support
    states[80:150, 30:42] *= 1e-6


@pytest.mark.parametrize(
    ("harm", "cause"),
    [(teleport, "teleport"), (climb, "climb"), (race, "speed"), (tilt_tracker, "attitude"), (carry, "carried")],
)
def test_each_loss_is_masked_and_only_around_it(tmp_path: Path, harm: Callable[[np.ndarray], None], cause: str) -> None:
    states, actions = standing_states(200)
    harm(states)
    dataset, report = imported(tmp_path, states, actions)
    assert report.masked_by[cause] > 0
    valid, confidence = dataset["valid"], dataset["velocity_confidence"]
    assert not valid[102] and confidence[102] == 0.0
    assert valid[HISTORY:60].all() and valid[180:-1].all()


def test_healthy_file_has_no_losses(tmp_path: Path) -> None:
    states, actions = standing_states(200)
    recording = read_recording(write(tmp_path / "a.hdf5", states, actions), CONTRACT, ROBOT)
    assert {cause: int(mask.sum()) for cause, mask in recording.losses.items()} == dict.fromkeys(recording.losses, 0)


def test_bad_files_are_named_and_skipped(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    states, actions = standing_states(100)
    write(folder / "good.hdf5", states, actions)
    (folder / "broken.hdf5").write_bytes(b"rubbish")
    (folder / "cut.hdf5").write_bytes((folder / "good.hdf5").read_bytes()[:5000])
    with h5py.File(folder / "foreign.hdf5", "w") as file:
        file["images"] = np.zeros(3)
    write(folder / "narrow.hdf5", states[:, :58], actions)
    nan = states.copy()
    nan[7, 20] = np.nan
    write(folder / "nan.hdf5", nan, actions)
    report = import_uni_o4(folder, tmp_path / "dataset")
    reasons = {failure.path.name: str(failure.error) for failure in report.failures}
    assert sorted(reasons) == ["broken.hdf5", "cut.hdf5", "foreign.hdf5", "nan.hdf5", "narrow.hdf5"]
    assert "['images']" in reasons["foreign.hdf5"]
    assert "(100, 58)" in reasons["narrow.hdf5"]
    assert "NaN" in reasons["nan.hdf5"]
    assert report.info["episodes"] == 1 and "skipped" in str(report)


def test_the_command_says_what_it_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    states, actions = standing_states(100)
    write(tmp_path / "recordings" / "good.hdf5", states, actions)
    (tmp_path / "recordings" / "broken.hdf5").write_bytes(b"rubbish")
    arguments = ["data", "import", "uni-o4", str(tmp_path / "recordings"), "--json", "--out"]
    assert main([*arguments, str(tmp_path / "some")]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["files"] == 1 and [Path(name).name for name in report["failures"]] == ["broken.hdf5"]
    (tmp_path / "recordings" / "broken.hdf5").unlink()
    assert main([*arguments, str(tmp_path / "all")]) == 0
    assert json.loads(capsys.readouterr().out)["failures"] == {}


def test_nothing_to_import(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"\*.hdf5 files below"):
        import_uni_o4(tmp_path, tmp_path / "dataset")
    (tmp_path / "a.hdf5").write_bytes(b"rubbish")
    with pytest.raises(RecordingError, match="an HDF5 file"):
        import_uni_o4(tmp_path, tmp_path / "dataset")
    assert not (tmp_path / "dataset").exists()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, UniO4ImportReport]:
    if not REAL_LOGS.is_dir():
        pytest.skip(f"no real recordings at {REAL_LOGS}; set GO1_REAL_LOGS to the folder uni_o4_go1_real")
    out = tmp_path_factory.mktemp("real") / "dataset"
    report = import_uni_o4(REAL_LOGS, out)
    return Dataset.open(out), report


@pytest.mark.slow
def test_real_files(real: tuple[Dataset, UniO4ImportReport]) -> None:
    dataset, report = real
    info = dataset.info()
    assert report.files == 130 and report.recorded_steps == 120_854 and report.failures == ()
    assert (info.episodes, info.terminated, info.truncated) == (129, 111, 18)
    assert 0.90 < 1 - info.masked / info.steps < 0.96
    last = np.array([episode.stop - 2 for episode in dataset.episodes])
    falls = last[dataset["terminated"][last]]
    assert dataset["valid"][falls].sum() > 95, "falls must survive the mask"
    assert report.largest_clock_error < 0.07


@pytest.mark.slow
def test_graph_replays_the_recorded_observations(real: tuple[Dataset, UniO4ImportReport]) -> None:
    """The 58 x 5 observation that their policy saw, from our signals, our contract and our graph."""
    from policy.graph import PolicyGraph
    from policy.networks import GaussianActor
    from policy.transitions import from_columns

    dataset, _ = real
    graph = PolicyGraph(dataset.contract, GaussianActor(dataset.contract.observation_dim, 12, (4,), 1.0))
    first = slice(0, dataset.episodes[7].stop)
    columns = {name: dataset[name][first] for name in dataset.names}
    transitions = from_columns(columns, graph)
    observation, number = transitions.observation.numpy(), transitions.episode.numpy()
    for index, episode in enumerate(dataset.episodes[:8]):
        recording = read_recording(REAL_LOGS / episode.source, CONTRACT, ROBOT)
        same = np.abs(recording.action - dataset["action"][episode.start]).max(axis=1) < 1e-6
        frames = recording.frame[int(np.argmax(same)) :][: episode.stop - episode.start]
        kept = dataset["valid"][episode.start : episode.stop].copy()
        kept[:-2] &= kept[1:-1]
        rows = np.nonzero(kept)[0]
        expected = np.concatenate([frames[rows - age] for age in range(HISTORY - 1, -1, -1)], axis=1)
        np.testing.assert_allclose(observation[number == index], expected, atol=0.07)
        without_clocks = np.tile(np.arange(58) < 54, HISTORY)
        np.testing.assert_allclose(
            observation[number == index][:, without_clocks], expected[:, without_clocks], atol=1e-4
        )


@pytest.mark.slow
def test_leg_odometry_agrees_with_the_tracker(real: tuple[Dataset, UniO4ImportReport]) -> None:
    report = leg_odometry_against_tracker(real[0])
    assert report.rms_error[0] < 0.11 and report.rms_error[1] < 0.13
    assert abs(report.bias[0]) < 0.03 and abs(report.bias[1]) < 0.01
    assert 0.8 < report.slope_forward < 1.0
