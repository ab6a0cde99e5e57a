"""Imports the real Go1 recordings that the authors of Uni-O4 published, under the contract of their policy.

Their files know no terminations, rewards or times. Here a file becomes episodes: it is cut where a joint or the
attitude jumps further than anything can move in a step (the first row of a file is often a leftover of the fall
before), an episode that tips over ends as `terminated` at the first tipped row, and one that the recording ends is
`truncated`.

An episode begins at a row where the gait clock passes zero, so that the policy's graph, replayed from a memory of
zeros, gives the recorded clocks; the first `history_length` rows, whose history reaches back before the start, are
masked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from offline_data.dataset import Dataset, QuarantinedEpisode
from offline_data.dataset_writer import DatasetHeader, DatasetWriter
from offline_data.leg_order import swapped_legs
from offline_data.log_reader import LogFailure
from offline_data.log_schema import Ending
from offline_data.reward_columns import reward_columns
from offline_data.sensor_checks import stuck_findings
from offline_data.uni_o4_recording import UPRIGHT_GRAVITY_Z, Recording, RecordingError, read_recording
from offline_data.velocity import (
    Motion,
    VelocityEstimate,
    VelocitySettings,
    estimate_velocity,
)
from offline_data.velocity_error import VelocityErrorReport, velocity_error_report
from policy.contract import PolicyContract
from policy.presets import walk_these_ways_contract
from policy.rewards import REWARD_TERMS, RewardWeights
from robot_configs.robot import RobotModel, load_robot

FALLEN_GRAVITY_Z = -0.3
"""Above it the trunk lies on its side (72 degrees and more)."""
_ATTITUDE_JUMP = 0.4
"""Change of the gravity direction in one step: 20 rad/s, several times what a fall reaches."""
_JOINT_JUMP = 1.5
"""Times the published speed limit: no joint moves that far in a step; 1.4 was seen once, in a fall."""
_SHORTEST_EPISODE_S = 0.5
_OFFSET_CHANNEL = 1
"""Of the four clocks the one that is sin(2 pi phase) of the gait alone, as offset and bound are zero in these files."""
_LEG_ODOMETRY = VelocitySettings(
    acceleration_noise_without_imu=1.0, foot_noise_m_s=0.3, foot_noise_correlation_s=0.02, degrees_of_freedom=3.0
)
"""For 50 Hz samples without accelerometer and foot force: the least error against the T265 of the settings tried."""


@dataclass(frozen=True)
class UniO4ImportReport:
    """What became of the recordings."""

    dataset: Path
    info: dict[str, int]
    files: int
    recorded_steps: int
    masked_by: dict[str, int]
    """Steps by cause; one step may have several."""
    left_out: dict[str, int]
    """Rows that are in no episode, by cause."""
    quarantined: tuple[QuarantinedEpisode, ...]
    """Episodes that are not to be learnt from, and why."""
    largest_clock_error: float
    """Between recorded and replayed gait clocks, over all rows; a clock runs from -1 to 1."""
    failures: tuple[LogFailure, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "dataset": str(self.dataset),
            **self.info,
            "files": self.files,
            "recorded_steps": self.recorded_steps,
            "masked_by": self.masked_by,
            "left_out": self.left_out,
            "quarantine": [asdict(episode) for episode in self.quarantined],
            "largest_clock_error": self.largest_clock_error,
            "failures": {str(failure.path): str(failure.error) for failure in self.failures},
        }

    def __str__(self) -> str:
        def listed(counts: dict[str, int]) -> str:
            return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"

        lines = [
            f"{self.dataset}: {listed(self.info)}, from {self.recorded_steps} steps in {self.files} files",
            f"masked steps by cause: {listed(self.masked_by)}",
            f"rows left out: {listed(self.left_out)}",
            f"largest error of the replayed gait clock: {self.largest_clock_error:.3f}",
        ]
        lines += [f"quarantined {episode}" for episode in self.quarantined]
        return "\n".join(lines + [f"skipped {failure.path}: {failure.error}" for failure in self.failures])


def import_uni_o4(
    recordings: Path,
    out: Path,
    robot: RobotModel | None = None,
    weights: RewardWeights | None = None,
    on_file: Callable[[Path, int, int], None] = lambda path, index, count: None,
) -> UniO4ImportReport:
    """Makes the dataset `out` of every `.hdf5` file below `recordings`.

    Raises:
        RecordingError: no such file, or none that can be read (the first one's reason).
        DatasetError: `out` exists, or every episode is in quarantine.
    """
    robot, weights = robot or load_robot(), weights or RewardWeights()
    contract = walk_these_ways_contract(robot)
    paths = sorted(recordings.rglob("*.hdf5"))
    if not paths:
        raise RecordingError(f"*.hdf5 files below {recordings}", "none", "Give the folder of the sessions.")
    writer = DatasetWriter(out, _header(contract, robot, weights))
    failures: list[LogFailure] = []
    masked_by: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    clock_error, recorded_steps = 0.0, 0
    for index, path in enumerate(paths):
        on_file(path, index, len(paths))
        try:
            recording = read_recording(path, contract, robot)
        except RecordingError as error:
            failures.append(LogFailure(path, error))
            continue
        recorded_steps += len(recording.action)
        source = str(path.relative_to(recordings))
        for number, piece in enumerate(_pieces(recording, robot, left_out)):
            start = _clock_start(recording.gait_clock[piece.rows])
            rows = piece.rows[start:]
            if start is None or len(rows) < _SHORTEST_EPISODE_S * robot.control_hz:
                left_out["too short"] += len(piece.rows)
                continue
            left_out["before the gait clock's zero"] += start
            clock_error = max(clock_error, _clock_error(recording, rows, contract))
            reasons = _faults(recording, rows, robot)
            if reasons:
                writer.quarantine(QuarantinedEpisode(source, number, len(rows) - 1, reasons))
                continue
            columns = _columns(recording, rows, contract, masked_by)
            reward, terms = reward_columns(columns, piece.ending is Ending.TERMINATED, robot, weights)
            writer.append({**columns, "reward": reward, "reward_terms": terms}, piece.ending, source, set())
    if not writer.episodes and not writer.quarantined and failures:
        raise failures[0].error
    dataset = writer.finish()
    return UniO4ImportReport(
        dataset=out,
        info=dataset.info().to_dict(),
        files=len(paths) - len(failures),
        recorded_steps=recorded_steps,
        masked_by=dict(masked_by),
        left_out=dict(left_out),
        quarantined=dataset.quarantined,
        largest_clock_error=clock_error,
        failures=tuple(failures),
    )


def leg_odometry_against_tracker(dataset: Dataset, robot: RobotModel | None = None) -> VelocityErrorReport:
    """Error of leg odometry (there is no accelerometer) against the T265, over upright steps it did not lose."""
    known_robot = robot or load_robot()
    estimates = []
    for episode in dataset.episodes:
        rows = slice(episode.start, episode.stop)
        motion = Motion(
            time_s=np.arange(episode.stop - episode.start) / dataset.contract.control_hz,
            orientation_trunk_in_world=dataset["orientation_trunk_in_world"][rows],
            angular_velocity_trunk_in_trunk=dataset["angular_velocity_trunk_in_trunk"][rows],
            joint_position=dataset["joint_position"][rows],
            joint_velocity=dataset["joint_velocity"][rows],
        )
        estimates.append(estimate_velocity(known_robot, motion, _LEG_ODOMETRY))
    tracked = (dataset["velocity_confidence"] > 0.5) & (dataset["projected_gravity_in_trunk"][:, 2] < UPRIGHT_GRAVITY_Z)
    joined = VelocityEstimate(
        velocity_trunk_in_trunk=np.concatenate([part.velocity_trunk_in_trunk for part in estimates])[tracked],
        deviation_m_s=np.concatenate([part.deviation_m_s for part in estimates])[tracked],
        confidence=np.concatenate([part.confidence for part in estimates])[tracked],
        accelerometer_bias=np.zeros(3),
    )
    return velocity_error_report(joined, dataset["velocity_trunk_in_trunk"][tracked], settings=_LEG_ODOMETRY)


def _header(contract: PolicyContract, robot: RobotModel, weights: RewardWeights) -> DatasetHeader:
    return DatasetHeader(
        contract=contract,
        robot_sha256=robot.sha256,
        reward_terms=REWARD_TERMS,
        reward_weights=weights.to_dict(),
        provenance={
            "importer": "uni_o4",
            "velocity": "Intel RealSense T265, turned into the trunk frame and moved to the trunk's origin",
            "joint_torque": "PD law on the previous step's target",
            "licence": "MIT, Copyright (c) 2024 Leo",
        },
    )


@dataclass(frozen=True)
class _Piece:
    """Rows of a recording that form one episode, the last one being its final row."""

    rows: np.ndarray
    ending: Ending


def _pieces(recording: Recording, robot: RobotModel, left_out: Counter[str]) -> Iterator[_Piece]:
    """Unbroken stretches from upright to a fall, a jump, or the end of the file."""
    gravity = recording.projected_gravity_in_trunk
    reachable = _JOINT_JUMP * robot.velocity_limit / robot.control_hz
    jumps = (np.abs(np.diff(recording.joint_position, axis=0)) > reachable).any(axis=1) | (
        np.linalg.norm(np.diff(gravity, axis=0), axis=1) > _ATTITUDE_JUMP
    )
    stretches = np.split(np.arange(len(gravity)), np.nonzero(jumps)[0] + 1)
    for index, stretch in enumerate(stretches):
        rows = stretch
        while len(rows):
            upright = gravity[rows, 2] < UPRIGHT_GRAVITY_Z
            start = int(np.argmax(upright)) if upright.any() else len(rows)
            left_out["tipped over"] += start
            rows = rows[start:]
            fallen = np.nonzero(gravity[rows, 2] > FALLEN_GRAVITY_Z)[0]
            end = int(fallen[0]) + 1 if len(fallen) else len(rows)
            if end > 1:
                last_stretch = index == len(stretches) - 1
                open_end = Ending.TRUNCATED if last_stretch else Ending.STOPPED
                yield _Piece(rows[:end], Ending.TERMINATED if len(fallen) else open_end)
            else:
                left_out["alone between jumps"] += end
            rows = rows[end:]


def _faults(recording: Recording, rows: np.ndarray, robot: RobotModel) -> tuple[str, ...]:
    """Why these rows must not be learnt from; the attitude's yaw and the angular velocity are the tracker's."""
    names = ("joint_position", "joint_velocity", "angular_velocity_trunk_in_trunk", "orientation_trunk_in_world")
    signals = {name: getattr(recording, name)[rows] for name in names}
    reasons = [str(finding) for finding in stuck_findings(signals, robot, robot.control_hz)]
    swapped = swapped_legs(recording.joint_target[rows[:-1]], recording.joint_position[rows[1:]], robot.foot_names)
    return tuple(reasons if swapped is None else [*reasons, swapped])


def _clock_start(clock: np.ndarray) -> int | None:
    """The row in the first second at which the gait's phase is nearest to zero; None if no clock runs there."""
    wave = clock[:, _OFFSET_CHANNEL]
    rising = np.nonzero((np.diff(wave) > 0.1) & (np.abs(wave[:-1]) < 0.2))[0]
    rising = rising[rising < 50]
    return int(rising[np.argmin(np.abs(wave[rising]))]) if len(rising) else None


def _clock_error(recording: Recording, rows: np.ndarray, contract: PolicyContract) -> float:
    """Largest difference of the recorded clock from sin(2 pi phase), the phase advancing by the commanded frequency."""
    frequency = recording.command[rows, contract.command_names.index("gait_frequency")]
    phase = np.concatenate([[0.0], np.cumsum(frequency[:-1]) / contract.control_hz])
    return float(np.abs(np.sin(2.0 * np.pi * phase) - recording.gait_clock[rows, _OFFSET_CHANNEL]).max())


def _columns(
    recording: Recording, rows: np.ndarray, contract: PolicyContract, masked_by: Counter[str]
) -> dict[str, np.ndarray]:
    """Columns of one episode without the reward."""
    final = len(rows) - 1
    lost = np.zeros(len(rows), dtype=bool)
    for cause, where in recording.losses.items():
        masked_by[cause] += int(where[rows[:-1]].sum())
        lost |= where[rows]
    valid = ~lost & np.append(~lost[1:], False)
    valid[: contract.history_length] = False
    masked_by["history before the start"] += min(contract.history_length, final)
    columns = {name: getattr(recording, name)[rows].copy() for name in _COPIED}
    for name in ("action", "joint_target", "joint_torque"):
        columns[name][final] = 0.0
    columns["velocity_confidence"] = np.where(lost, 0.0, 1.0)
    columns["valid"] = valid
    return columns


_COPIED = (
    "orientation_trunk_in_world",
    "angular_velocity_trunk_in_trunk",
    "joint_position",
    "joint_velocity",
    "command",
    "projected_gravity_in_trunk",
    "velocity_trunk_in_trunk",
    "action",
    "joint_target",
    "joint_torque",
)
