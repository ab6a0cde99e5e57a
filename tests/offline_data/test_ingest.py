"""From log to dataset: rows, final rows, endings, holes and masks of logs whose content is known."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offline_data.dataset import Dataset, DatasetError
from offline_data.ingest import IngestReport, ingest
from offline_data.log_reader import LogError
from offline_data.log_schema import Ending
from policy.contract import GaitClock
from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot
from tests.offline_data.synthetic_log import BUNDLE, STEP_NS, joined, metadata, standing_session, write_log

ROBOT = load_robot()
STEPS = 60


def ingested(tmp_path: Path, session: dict[str, np.ndarray], **metadata_fields: str) -> tuple[Dataset, IngestReport]:
    logs = tmp_path / "logs"
    logs.mkdir(exist_ok=True)
    write_log(logs / "a.mcap", session, record={**metadata().to_record(), **metadata_fields})
    report = ingest(logs, tmp_path / "dataset")
    return Dataset.open(tmp_path / "dataset"), report


def test_standing_robot_by_hand(tmp_path: Path) -> None:
    dataset, report = ingested(tmp_path, standing_session(STEPS))
    assert dataset.info().to_dict() == {
        "episodes": 1,
        "steps": STEPS,
        "terminated": 0,
        "truncated": 1,
        "intervention": 0,
        "stopped": 0,
        "masked": 0,
        "quarantined": 0,
    }
    assert report.notes == () and report.failures == ()
    assert len(dataset) == STEPS + 1
    np.testing.assert_allclose(dataset["action"][:, 0], np.append(np.arange(STEPS) * 0.01, 0.0), atol=1e-6)
    np.testing.assert_allclose(dataset["projected_gravity_in_trunk"], np.tile([0, 0, -1], (STEPS + 1, 1)))
    np.testing.assert_allclose(dataset["joint_torque"][:-1], np.tile(np.arange(12), (STEPS, 1)))
    np.testing.assert_allclose(dataset["velocity_trunk_in_trunk"], 0.0, atol=2e-3)
    assert dataset["velocity_confidence"].min() > 0.9
    assert dataset.bundles == (BUNDLE.hex(),)
    assert dataset.contract == velocity_contract(ROBOT)
    # Perfect tracking earns 1 + 0.5; torque costs 0.03 sum (tau/limit)^2; the action moves by 0.01 in all 12 joints.
    torque_cost = 0.03 * ((np.arange(12) / ROBOT.torque_limit) ** 2).sum()
    np.testing.assert_allclose(dataset["reward"][1:-1], 1.5 - torque_cost - 0.005 * 12 * 0.01**2, atol=1e-3)
    assert dataset["reward"][-1] == 0.0
    np.testing.assert_allclose(dataset["reward_terms"].sum(axis=1), dataset["reward"], atol=1e-6)


@pytest.mark.parametrize("ending", [Ending.TERMINATED, Ending.TRUNCATED, Ending.INTERVENTION, Ending.STOPPED])
def test_endings_stay_distinct(tmp_path: Path, ending: Ending) -> None:
    dataset, _ = ingested(tmp_path, standing_session(STEPS, ending))
    assert dataset.episodes[0].ending == ending.name.lower()
    last = STEPS - 1
    assert dataset["terminated"][last] == (ending is Ending.TERMINATED)
    assert dataset["truncated"][last] == (ending is not Ending.TERMINATED)
    fall = dataset["reward_terms"][last, dataset.reward_terms.index("fall")]
    assert fall == (-10.0 if ending is Ending.TERMINATED else 0.0)


def test_final_row_is_the_state_one_step_later(tmp_path: Path) -> None:
    session = standing_session(STEPS)
    session["/low_state"]["joint_position"][-1] = ROBOT.stand_position + 0.01
    dataset, _ = ingested(tmp_path, session)
    assert dataset["final"].tolist() == [False] * STEPS + [True]
    np.testing.assert_allclose(dataset["joint_position"][-1], ROBOT.stand_position + 0.01, rtol=1e-6)


def test_final_row_is_the_last_state_before_a_fault(tmp_path: Path) -> None:
    session = standing_session(STEPS, Ending.TERMINATED)
    session["/low_state"]["joint_position"][-10:, 0] = np.arange(10) * 0.01
    session["/event"]["monotonic_ns"][1] -= 8_000_000  # the fault came 12 ms into the last step
    dataset, _ = ingested(tmp_path, session)
    assert dataset["joint_position"][-1, 0] == pytest.approx(0.05)


def test_log_that_breaks_off_is_stopped_and_loses_its_last_action(tmp_path: Path) -> None:
    session = standing_session(STEPS)
    session["/event"] = session["/event"][:1]
    session["/low_state"] = session["/low_state"][: (STEPS - 1) * 10 + 1]  # nothing after the last tick's own state
    dataset, _ = ingested(tmp_path, session)
    assert dataset.info().steps == STEPS - 1
    assert dataset.info().stopped == 1
    np.testing.assert_array_equal(dataset["action"][-1], 0.0)


def drop_tick(session: dict[str, np.ndarray]) -> None:
    session["/policy_tick"] = np.delete(session["/policy_tick"], 25)


def nan_tick(session: dict[str, np.ndarray]) -> None:
    session["/policy_tick"]["joint_velocity"][25, 3] = np.nan


@pytest.mark.parametrize("harm", [drop_tick, nan_tick])
def test_hole_in_the_ticks(tmp_path: Path, harm: Callable[[dict[str, np.ndarray]], None]) -> None:
    """Tick 25 is lost. The gait clock turns once in 20 ticks (2.5 Hz at 50 Hz), so memory is known again at tick 40."""
    session = standing_session(STEPS, Ending.TERMINATED)
    harm(session)
    contract = velocity_contract(ROBOT)
    assert contract.gait_clock is not None
    settling = replace(contract, gait_clock=replace(contract.gait_clock, settle_s=0.04))
    dataset, report = ingested(tmp_path, session, contract_json=settling.to_json())
    first, second = dataset.episodes
    assert (first.ending, first.stop - first.start) == ("stopped", 25 + 1)
    assert (second.ending, second.stop - second.start) == ("terminated", 20 + 1)
    assert dataset["action"][second.start, 0] == pytest.approx(0.40)
    # Whether the clock was settling before it is forgotten after two steps.
    assert dataset["valid"][second.start : second.start + 3].tolist() == [False, False, True]
    broken = ("a.mcap, episode 0: 1 policy steps left out that are not finite (NaN or infinity)",)
    lost = ("a.mcap, episode 0: 14 steps after a hole left out, their memory is unknown",)
    assert report.notes == (broken + lost if harm is nan_tick else lost)


def test_after_a_hole_a_commanded_clock_is_lost_and_no_clock_costs_a_history(tmp_path: Path) -> None:
    contract = velocity_contract(ROBOT)
    session = standing_session(STEPS)
    drop_tick(session)
    commanded = replace(contract, gait_clock=GaitClock("vx", ((),), "sin_cos", 0.0))
    dataset, _ = ingested(tmp_path, session, contract_json=commanded.to_json())
    assert [episode.stop - episode.start for episode in dataset.episodes] == [26]

    terms = tuple(term for term in contract.terms if term.name != "gait_clock")
    clockless = replace(contract, gait_clock=None, terms=terms, history_length=3)
    (tmp_path / "second").mkdir()
    dataset, _ = ingested(tmp_path / "second", session, contract_json=clockless.to_json())
    second = dataset.episodes[1]
    assert second.stop - second.start == STEPS - 26 + 1
    assert dataset["valid"][second.start : second.start + 4].tolist() == [False, False, False, True]


def test_ending_of_lost_ticks_is_not_given_to_earlier_ones(tmp_path: Path) -> None:
    session = standing_session(STEPS, Ending.TERMINATED)
    session["/policy_tick"] = session["/policy_tick"][:-5]
    dataset, _ = ingested(tmp_path, session)
    assert dataset.episodes[0].ending == "stopped" and not dataset["terminated"].any()


def test_steps_without_states_are_masked(tmp_path: Path) -> None:
    session = standing_session(STEPS)
    session["/low_state"] = np.delete(session["/low_state"], np.arange(201, 400))
    dataset, _ = ingested(tmp_path, session)
    valid = dataset["valid"]
    assert valid[:19].all() and valid[41:-1].all()
    assert not valid[21:39].any()
    assert dataset.info().masked == int((~valid[:-1]).sum())


def test_nan_states_lower_the_confidence_but_do_not_spread(tmp_path: Path) -> None:
    session = standing_session(STEPS)
    session["/low_state"]["specific_force_imu_in_trunk"][300:310] = np.nan
    dataset, _ = ingested(tmp_path, session)
    assert np.isfinite(dataset["velocity_trunk_in_trunk"]).all()
    np.testing.assert_allclose(dataset["velocity_trunk_in_trunk"], 0.0, atol=5e-3)


def test_steps_with_a_broken_torque_are_masked(tmp_path: Path) -> None:
    session = standing_session(STEPS)
    session["/low_state"]["joint_torque"][305, 2] = np.nan
    dataset, _ = ingested(tmp_path, session)
    assert np.nonzero(~dataset["valid"])[0].tolist() == [30, STEPS]
    assert np.isfinite(dataset["reward"]).all()


def test_several_files_and_bad_ones(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    write_log(logs / "1.mcap", standing_session(STEPS))
    (logs / "2.mcap").write_text("rubbish")
    second = joined(standing_session(30, Ending.TERMINATED), standing_session(20, episode=1, start_ns=5 * 10**9))
    write_log(logs / "3.mcap", second, finish=False)
    other = replace(velocity_contract(ROBOT), action_scale=(0.5,) * 12)
    write_log(logs / "4.mcap", standing_session(5), record={**metadata().to_record(), "contract_json": other.to_json()})
    seen: list[tuple[str, int, int]] = []
    report = ingest(logs, tmp_path / "out", on_file=lambda path, index, count: seen.append((path.name, index, count)))
    assert seen == [("1.mcap", 0, 4), ("2.mcap", 1, 4), ("3.mcap", 2, 4), ("4.mcap", 3, 4)]
    assert report.files == ("1.mcap", "3.mcap")
    assert [failure.path.name for failure in report.failures] == ["2.mcap", "4.mcap"]
    assert "another one in" in str(report.failures[1].error)
    assert any("3.mcap: the file ends without a footer" in note for note in report.notes)
    dataset = Dataset.open(tmp_path / "out")
    assert [episode.source for episode in dataset.episodes[:2]] == ["1.mcap", "3.mcap"]
    assert dataset.info().terminated == 1
    assert "skipped" in str(report) and report.to_dict()["episodes"] == len(dataset.episodes)


def test_another_normaliser_is_the_same_data(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    contract = velocity_contract(ROBOT)
    width = contract.observation_dim
    normalised = replace(contract, observation_mean=(0.0,) * width, observation_std=(2.0,) * width)
    write_log(logs / "1.mcap", standing_session(STEPS))
    record = {**metadata().to_record(), "contract_json": normalised.to_json()}
    write_log(logs / "2.mcap", standing_session(STEPS), record=record)
    assert ingest(logs, tmp_path / "out").failures == ()


def test_nothing_usable(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    session = standing_session(STEPS)
    session["/policy_tick"] = session["/policy_tick"][:0]
    write_log(logs / "1.mcap", session)
    with pytest.raises(LogError, match="policy steps in the logs"):
        ingest(logs, tmp_path / "out")
    (logs / "1.mcap").write_text("rubbish")
    with pytest.raises(LogError, match="to be an MCAP file"):
        ingest(logs, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_existing_dataset_is_kept(tmp_path: Path) -> None:
    ingested(tmp_path, standing_session(STEPS))
    with pytest.raises(DatasetError, match="no dataset at"):
        ingest(tmp_path / "logs", tmp_path / "dataset")


def test_steps_are_twenty_milliseconds() -> None:
    assert STEP_NS * ROBOT.control_hz == 1_000_000_000
