"""Poisoned logs: each kind is refused or put into quarantine, with a reason that names it, before anything is learned.

The logs are real ones of the twin, through the wire, with one thing made wrong in them.
"""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cli.main import main
from deploy.host.finetune import finetune
from deploy.host.logged_policy import LoggedPolicyError, require_logged_policy
from deploy.host.refine import refine
from offline_data.dataset import Dataset
from offline_data.ingest import ingest
from offline_data.log_reader import read_log
from offline_data.log_schema import CHANNELS
from policy.bundle import BUNDLES, Lineage, read_bundle
from policy.export import export_bundle, load_graph
from policy.graph import PolicyGraph
from robot_configs.errors import Go1Error
from robot_configs.robot import load_robot
from tests.deploy.host.conftest import tiny_refinement
from tests.deploy.host.finetune_bench import SETTINGS, SameLogs
from tests.offline_data.synthetic_log import write_log

ROBOT = load_robot()
FRONT_LEGS_SWAPPED = np.array([3, 4, 5, 0, 1, 2, 6, 7, 8, 9, 10, 11])
DIAGONAL_LEGS_SWAPPED = np.array([9, 10, 11, 3, 4, 5, 6, 7, 8, 0, 1, 2])
STATE_JOINTS = ("joint_position", "joint_velocity", "joint_torque")
EPISODE = 2  # the one that is made wrong, where it is only one
Session = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def session(dataset: Path) -> tuple[Session, dict[str, str]]:
    """The messages of the log behind the data set, and its metadata record."""
    (path,) = (dataset.parent / "logs").rglob("*.mcap")
    log = read_log(path)
    messages = (log.low_state, log.low_cmd, log.policy_tick, log.event)
    return dict(zip(CHANNELS, messages, strict=True)), log.metadata.to_record()


def written(folder: Path, session: tuple[Session, dict[str, str]], harm: Callable[[Session], None]) -> Path:
    """A folder with the log, harmed."""
    messages = {topic: values.copy() for topic, values in session[0].items()}
    harm(messages)
    (folder / "logs").mkdir()
    write_log(folder / "logs" / "a.mcap", messages, record=session[1])
    return folder / "logs"


def ticks_of(session: Session) -> np.ndarray:
    """Which policy steps belong to the one episode."""
    return session["/policy_tick"]["episode"] == EPISODE


def states_of(session: Session) -> np.ndarray:
    """Which states were measured during the one episode, a second in its middle."""
    stamps = session["/policy_tick"]["state_monotonic_ns"][ticks_of(session)]
    middle = (stamps[0] + stamps[-1]) // 2
    return np.abs(session["/low_state"]["monotonic_ns"] - middle) < 500_000_000


def steps_in(session: Session, states: np.ndarray) -> np.ndarray:
    """Which policy steps read those states."""
    return np.isin(session["/policy_tick"]["state_monotonic_ns"], session["/low_state"]["monotonic_ns"][states])


# ---- Kinds of poison that show in the log itself ---------------------------------------------------------------------


def stick(name: str, index: int) -> Callable[[Session], None]:
    """A sensor that says the same for a second, to the policy too."""

    def harm(session: Session) -> None:
        states = states_of(session)
        steps = steps_in(session, states)
        value = session["/low_state"][name][np.argmax(states), index]
        session["/low_state"][name][states, index] = value
        if name in (session["/policy_tick"].dtype.names or ()):
            session["/policy_tick"][name][steps, index] = value

    return harm


def stick_encoder(session: Session) -> None:
    stick("joint_position", 4)(session)


def stick_joint_velocity(session: Session) -> None:
    stick("joint_velocity", 4)(session)


def stick_gyroscope(session: Session) -> None:
    stick("angular_velocity_trunk_in_trunk", 2)(session)


def stick_accelerometer(session: Session) -> None:
    stick("specific_force_imu_in_trunk", 1)(session)


def teleport_joints(session: Session) -> None:
    """From one state to the next, all legs are elsewhere: half a second that was cut out of a recording."""
    states = np.flatnonzero(states_of(session))
    half = len(states) // 2
    for name in STATE_JOINTS:
        session["/low_state"][name][states[:half]] = session["/low_state"][name][states[-half:]]


def teleport_trunk(session: Session) -> None:
    """The robot was turned by a quarter while nobody looked."""
    session["/low_state"]["orientation_trunk_in_world"][states_of(session)] = [np.sqrt(0.5), 0, 0, np.sqrt(0.5)]


def swap_everything_measured(order: np.ndarray) -> Callable[[Session], None]:
    """Two legs' plugs exchanged: whatever is measured of one leg stands under the other's name."""

    def harm(session: Session) -> None:
        for name in STATE_JOINTS:
            session["/low_state"][name] = session["/low_state"][name][:, order]
        for name in ("joint_position", "joint_velocity"):
            session["/policy_tick"][name] = session["/policy_tick"][name][:, order]

    return harm


def swap_in_the_states_alone(session: Session) -> None:
    session["/low_state"]["joint_position"] = session["/low_state"]["joint_position"][:, FRONT_LEGS_SWAPPED]


def swap_in_the_policys_record_alone(session: Session) -> None:
    session["/policy_tick"]["joint_position"] = session["/policy_tick"]["joint_position"][:, FRONT_LEGS_SWAPPED]


def swap_in_the_targets_alone(session: Session) -> None:
    session["/policy_tick"]["joint_target"] = session["/policy_tick"]["joint_target"][:, DIAGONAL_LEGS_SWAPPED]


@pytest.mark.parametrize(
    ("harm", "reason", "episodes"),
    [
        (stick_encoder, "FL_thigh: unchanged for 1.0 s while it moved: a stuck sensor", 1),
        (stick_joint_velocity, "FL_thigh: velocity unchanged for 1.0 s: a stuck sensor", 1),
        (stick_gyroscope, "angular_velocity_trunk_in_trunk: z unchanged for 1.0 s: a stuck sensor", 1),
        (stick_accelerometer, "specific_force_imu_in_trunk: y unchanged for 1.0 s: a stuck sensor", 1),
        (teleport_joints, "teleport of up to .* rad that the velocity does not explain", 1),
        (teleport_trunk, "orientation_trunk_in_world: teleport of up to .* rad", 1),
        (swap_everything_measured(FRONT_LEGS_SWAPPED), "swapped legs: .* are followed by FL, FR, RR, RL", 6),
        (swap_everything_measured(DIAGONAL_LEGS_SWAPPED), "swapped legs: .* are followed by RL, FL, RR, FR", 6),
        (swap_in_the_states_alone, "the policy saw other joint positions .* swapped legs", 6),
        (swap_in_the_policys_record_alone, "the policy saw other joint positions .* swapped legs", 6),
        (swap_in_the_targets_alone, "the joint targets are not those of the actions: swapped legs", 6),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_poison_in_a_log_puts_its_episodes_into_quarantine(session, tmp_path, harm, reason, episodes):
    logs = written(tmp_path, session, harm)
    if episodes == 6:  # all there are: nothing is left to learn from
        with pytest.raises(Go1Error, match=reason) as refusal:
            ingest(logs, tmp_path / "dataset")
        assert "6 in quarantine" in str(refusal.value)
        assert not (tmp_path / "dataset").exists()
        return
    report = ingest(logs, tmp_path / "dataset")
    (quarantined,) = Dataset.open(tmp_path / "dataset").quarantined
    assert (quarantined.source, quarantined.episode, quarantined.steps) == ("a.mcap", EPISODE, 100)
    assert any(re.search(reason, found) for found in quarantined.reasons), quarantined.reasons
    assert report.quarantined == (quarantined,)
    assert (report.info["episodes"], report.info["quarantined"], report.info["steps"]) == (5, 1, 500)


def test_the_log_as_it_was_has_nothing_in_quarantine(session, tmp_path):
    report = ingest(written(tmp_path, session, lambda _: None), tmp_path / "dataset")
    assert (report.info["episodes"], report.quarantined, report.notes) == (6, (), ())


def test_quarantine_is_told_by_the_commands_and_the_log_stays(session, tmp_path, capsys):
    logs = written(tmp_path, session, stick_gyroscope)
    before = (logs / "a.mcap").read_bytes()
    assert main(["data", "ingest", str(logs), "--out", str(tmp_path / "dataset")]) == 0
    told = capsys.readouterr().out
    assert "a.mcap, episode 2" in told and "a stuck sensor" in told
    assert main(["data", "info", str(tmp_path / "dataset")]) == 0
    told = capsys.readouterr().out
    assert "a.mcap, episode 2" in told and "a stuck sensor" in told
    assert main(["data", "info", str(tmp_path / "dataset"), "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["quarantine"]
    assert (entry["source"], entry["episode"], entry["steps"]) == ("a.mcap", 2, 100)
    assert (logs / "a.mcap").read_bytes() == before


def nan_in_a_step(session: Session) -> None:
    session["/policy_tick"]["joint_velocity"][np.argmax(ticks_of(session)) + 50, 3] = np.nan


def nan_in_states(session: Session) -> None:
    session["/low_state"]["joint_torque"][np.flatnonzero(states_of(session))[:20], 2] = np.inf


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (nan_in_a_step, "1 policy steps left out that are not finite"),
        (nan_in_states, "joint_torque: not finite in 20 states; steps that need them are masked"),
    ],
)
def test_nan_costs_the_steps_that_hold_it_and_is_named(session, tmp_path, harm, reason):
    report = ingest(written(tmp_path, session, harm), tmp_path / "dataset")
    assert [f"a.mcap, episode {EPISODE}: {reason}" in note for note in report.notes].count(True) == 1
    data = Dataset.open(tmp_path / "dataset")
    assert 500 < len(data.transitions()) < 600
    assert np.isfinite(data["joint_velocity"]).all() and np.isfinite(data["joint_torque"]).all()


# ---- Kinds of poison that refinement refuses -------------------------------------------------------------------------


def no_steps(session: Session) -> None:
    session["/policy_tick"] = session["/policy_tick"][:0]


def keep_steps(session: Session, episodes: int, steps: int) -> None:
    """The first steps of the first episodes."""
    ticks = session["/policy_tick"]
    session["/policy_tick"] = ticks[(ticks["episode"] < episodes) & (ticks["tick"] < steps)]


def one_transition(session: Session) -> None:
    keep_steps(session, 1, 1)


def one_episode(session: Session) -> None:
    keep_steps(session, 1, 100)


def one_transition_each(session: Session) -> None:
    keep_steps(session, 6, 1)


def another_mean(session: Session) -> None:
    """What the next version of the policy would have meant: a little to the side."""
    session["/policy_tick"]["action_mean"] += 0.01


def another_bundle(session: Session) -> None:
    session["/policy_tick"]["bundle_sha256"] = np.arange(32)


def swap_signals_and_actions_alike(session: Session) -> None:
    """Legs renamed throughout the log: it agrees with itself, but the policy would have done something else."""
    for topic, names in (
        ("/low_state", STATE_JOINTS),
        ("/policy_tick", ("joint_position", "joint_velocity", "joint_target", "action", "action_mean", "action_std")),
    ):
        for name in names:
            session[topic][name] = session[topic][name][:, FRONT_LEGS_SWAPPED]


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (no_steps, "policy steps in the logs .* found none"),
        (one_transition, "at least 50 steps .* found 1"),
        (one_episode, "at least 2 episodes"),
        (one_transition_each, "at least 50 steps .* found 6"),
        (another_mean, "others in 100% of the steps, by up to 0.01: another policy version acted"),
        (another_bundle, "logs of 000102030405 .* another policy version"),
        (swap_signals_and_actions_alike, "others in 100% of the steps.*swapped legs"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_poison_that_refinement_refuses(session, shipped, tmp_path, harm, reason):
    out = tmp_path / "out.go1policy"
    with pytest.raises(Go1Error, match=reason):
        ingest(written(tmp_path, session, harm), tmp_path / "dataset")
        refine(tmp_path / "dataset", shipped, out, tiny_refinement())
    assert not out.exists()


def test_a_round_of_finetuning_says_what_it_did_not_learn_from(session, shipped, tmp_path):
    logs = written(tmp_path, session, stick_gyroscope)
    (record,) = finetune(shipped, SameLogs(logs), tmp_path / "run", replace(SETTINGS, rounds=1, steps=600)).rounds
    assert (record["steps"], record["quarantined"]) == (500, 1)


# ---- Which policy made the logs --------------------------------------------------------------------------------------


def child(parent: Path, path: Path) -> Path:
    """A policy that came from another one, a little different."""
    graph = load_graph(read_bundle(parent))
    with np.errstate(all="ignore"):
        for parameter in graph.actor.mean_network.parameters():
            parameter.data.mul_(1.001)
    lineage = Lineage("refine", (read_bundle(parent).sha256,), (), "test", 0, "test")
    export_bundle(PolicyGraph(graph.contract, graph.actor), path, lineage, 2, ROBOT)
    return path


def test_the_policy_that_made_the_logs_is_replayed(dataset, shipped):
    report = require_logged_policy(Dataset.open(dataset), shipped)
    assert report == {"replayed": [read_bundle(shipped).sha256], "not_at_hand": [], "differing_share": 0.0}


def test_logs_of_the_parent_are_replayed_where_it_lies_beside(dataset, shipped, tmp_path):
    young = child(shipped, tmp_path / "child.go1policy")
    digest = read_bundle(shipped).sha256
    report = require_logged_policy(Dataset.open(dataset), young)
    assert (report["replayed"], report["not_at_hand"]) == ([], [digest])
    shutil.copy(shipped, tmp_path / "parent.go1policy")
    report = require_logged_policy(Dataset.open(dataset), young)
    assert (report["replayed"], report["not_at_hand"]) == ([digest], [])


def test_where_the_chain_breaks_off_logs_of_its_unseen_part_are_let_in_but_not_replayed(dataset, shipped, tmp_path):
    """A grandchild whose parent lies elsewhere: nothing says who that came from."""
    parent = child(shipped, tmp_path / "elsewhere" / "parent.go1policy")
    young = child(parent, tmp_path / "child.go1policy")
    digest = read_bundle(shipped).sha256
    report = require_logged_policy(Dataset.open(dataset), young)
    assert (report["replayed"], report["not_at_hand"]) == ([], [digest])
    shutil.copy(parent, tmp_path / "parent.go1policy")
    shutil.copy(BUNDLES / "go1_velocity_flat.go1policy", tmp_path / "flat.go1policy")
    assert require_logged_policy(Dataset.open(dataset), young)["not_at_hand"] == [digest]


def test_logs_of_a_child_or_a_stranger_are_refused(dataset):
    with pytest.raises(LoggedPolicyError, match="another policy version"):
        require_logged_policy(Dataset.open(dataset), BUNDLES / "go1_velocity_flat.go1policy")
