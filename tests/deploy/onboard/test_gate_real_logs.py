"""The state checks on forty minutes of a real Go1: no fault while it is upright, and every fall is one.

The recordings are those that the authors of Uni-O4 published (HDF5, 50 Hz); GO1_REAL_LOGS names their folder. They hold
joint angles and speeds and the direction of gravity of the robot's own sensors. Gyroscope, accelerometer, torques,
temperatures, battery and tick are not in them and are filled in as a healthy robot would send them: this says nothing
about the checks of those. At 50 Hz the comparison of angles with speeds is out of reach too: the gate leaves steps of
more than 6 ms out.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deploy.onboard.gate import Gate
from deploy.onboard.reasons import Reason, reason_names
from deploy.onboard.wire import RobotState
from offline_data.uni_o4_recording import read_recording
from policy.presets import walk_these_ways_contract
from robot_configs.robot import RobotModel

StateMaker = Callable[..., RobotState]
VARIABLE = "GO1_REAL_LOGS"
PERIOD_MS = 20
GRAVITY_M_S2 = 9.81


@pytest.fixture(scope="module")
def recordings() -> list[Path]:
    folder = os.environ.get(VARIABLE)
    if not folder:
        pytest.skip(f"{VARIABLE} does not name a folder of real recordings")
    paths = sorted(Path(folder).rglob("*.hdf5"))
    assert paths, f"no *.hdf5 below {folder}"
    return paths


def replay(path: Path, robot: RobotModel, make_state: StateMaker) -> tuple[np.ndarray, np.ndarray]:
    """The gate's faults (N,) at every row of a recording, and the trunk's recorded tilt (N,) [rad]."""
    recording = read_recording(path, walk_these_ways_contract(robot), robot)
    gravity = recording.projected_gravity_in_trunk
    gate = Gate(robot)
    faults = np.zeros(len(gravity), dtype=np.int64)
    for row, down in enumerate(gravity):
        state = make_state(
            tick_ms=row * PERIOD_MS,
            orientation_trunk_in_world=recording.orientation_trunk_in_world[row].astype(np.float32),
            angular_velocity_trunk_in_trunk=np.array([1e-5 * (row % 5), 0.0, 0.0], np.float32),
            accelerometer_trunk_in_trunk=(-GRAVITY_M_S2 * down).astype(np.float32),
            joint_position=recording.joint_position[row].astype(np.float32),
            joint_velocity=recording.joint_velocity[row].astype(np.float32),
        )
        faults[row] = gate.inspect(state, 1e-3 * PERIOD_MS * row)
    cosine = np.clip(-gravity[:, 2] / np.linalg.norm(gravity, axis=1), -1.0, 1.0)
    return faults, np.arccos(cosine)


@pytest.mark.slow
def test_a_real_robot_is_believed_while_it_is_up(
    recordings: list[Path], robot: RobotModel, make_state: StateMaker
) -> None:
    limit_rad, slack_rad = robot.safety.tilt_limit_rad, 1e-3
    rows: Counter[str] = Counter()
    alarms: Counter[str] = Counter()
    for path in recordings:
        faults, tilt_rad = replay(path, robot, make_state)
        tilted = (faults & int(Reason.TILT)) != 0
        rows["all"] += len(faults)
        rows["upright"] += int((tilt_rad < limit_rad).sum())
        rows["files"] += 1
        rows["files with a fall"] += bool((tilt_rad > limit_rad).any())
        # float32 on the wire: within a milliradian of the limit either answer is right.
        assert tilted[tilt_rad > limit_rad + slack_rad].all(), path.name
        assert not tilted[tilt_rad < limit_rad - slack_rad].any(), path.name
        for bits in faults[(tilt_rad < limit_rad - slack_rad) & (faults != 0)]:
            alarms.update(reason_names(int(bits)))
    print(dict(rows), dict(alarms))
    assert not alarms


@pytest.mark.slow
def test_what_the_checks_take_a_live_joint_for(recordings: list[Path], robot: RobotModel) -> None:
    """Why zero is an open wire and 40 ms are a death: over 20 ms no real velocity repeats itself alone, or is zero.

    Rows that repeat in all joints at once are the recorder's, which had no newer state.
    """
    counts: Counter[str] = Counter()
    for path in recordings:
        recording = read_recording(path, walk_these_ways_contract(robot), robot)
        counts["velocities"] += recording.joint_velocity.size
        counts["zero"] += int((recording.joint_velocity == 0.0).sum())
        same_velocity = np.diff(recording.joint_velocity, axis=0) == 0.0
        same_position = np.diff(recording.joint_position, axis=0) == 0.0
        alone = ~same_velocity.all(axis=1)[:, None]
        counts["velocity repeats alone"] += int((same_velocity & alone).sum())
        held = same_position & alone
        counts["position repeats alone"] += int(held.sum())
        counts["position repeats three times"] += int((held[2:] & held[1:-1] & held[:-2]).sum())
    print(dict(counts))
    assert counts["velocities"] > 1_000_000
    assert (counts["zero"], counts["velocity repeats alone"], counts["position repeats three times"]) == (0, 0, 0)
