"""From logs to a dataset: cut into episodes, line up with the 500 Hz states, estimate the velocity, score.

    log ──► stretches of unbroken policy ticks ──► rows + final row ──► velocity, torque ──► reward, mask ──► dataset

Nothing is invented. A hole in the ticks ends an episode as `stopped`; what follows it is used again from the first tick
at which the policy's memory can be known (see `_restart_row`). Steps whose velocity estimate is not trusted are masked.
Episodes that contradict themselves or what a robot can do go to quarantine: named with their reasons, not learnt from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from offline_data.dataset import QuarantinedEpisode
from offline_data.dataset_writer import DatasetHeader, DatasetWriter
from offline_data.episode_checks import episode_faults
from offline_data.log_reader import Log, LogError, LogFailure, log_paths, read_log
from offline_data.log_schema import Ending, EventKind, SchemaError
from offline_data.reward_columns import check_velocity_commands, reward_columns
from offline_data.sensor_checks import not_finite_findings
from offline_data.state_timeline import SIGNALS, StateTimeline, ordered_states
from offline_data.velocity import VelocitySettings, rotation_trunk_to_world
from policy.contract import ContractError, PolicyContract
from policy.rewards import REWARD_TERMS, RewardWeights
from robot_configs.robot import RobotModel, load_robot

_LATEST_END_STEPS = 3
"""An ending reported later than this after the last tick does not belong to it: ticks are missing in between."""
_TICK_OUTPUTS = ("noise", "action", "action_mean", "action_std", "log_prob", "joint_target")


@dataclass(frozen=True)
class IngestSettings:
    """Choices that shape a dataset; they are written into its provenance."""

    minimum_confidence: float = 0.5
    """Of the velocity at both ends of a transition; below it the transition is masked."""
    velocity: VelocitySettings = field(default_factory=VelocitySettings)
    reward: RewardWeights = field(default_factory=RewardWeights)


@dataclass(frozen=True)
class IngestReport:
    """What became of every file."""

    dataset: Path
    info: dict[str, int]
    files: tuple[str, ...]
    """Files that were used."""
    failures: tuple[LogFailure, ...]
    """Files that were not, and why."""
    quarantined: tuple[QuarantinedEpisode, ...]
    """Episodes that are not to be learnt from, and why."""
    notes: tuple[str, ...]
    """Damage and dropped rows, one line each."""

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "dataset": str(self.dataset),
            **self.info,
            "files": list(self.files),
            "failures": {str(failure.path): str(failure.error) for failure in self.failures},
            "quarantine": [asdict(episode) for episode in self.quarantined],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        counts = ", ".join(f"{value} {name}" for name, value in self.info.items())
        lines = [f"{self.dataset}: {counts}, from {len(self.files)} files", *self.notes]
        lines += [f"quarantined {episode}" for episode in self.quarantined]
        lines += [f"skipped {failure.path}: {failure.error}" for failure in self.failures]
        return "\n".join(lines)


def ingest(
    logs: Path,
    out: Path,
    settings: IngestSettings | None = None,
    robot: RobotModel | None = None,
    on_file: Callable[[Path, int, int], None] = lambda path, index, count: None,
) -> IngestReport:
    """Makes the dataset `out` of every log below `logs`.

    Args:
        on_file: told each file before it is read, its index, and how many there are.

    Raises:
        LogError: no log below `logs`, or none of them usable (the first one's reason).
        DatasetError: `out` exists, or every episode is in quarantine (the first one's reasons).
    """
    settings, robot = settings or IngestSettings(), robot or load_robot()
    paths = log_paths(logs)
    writer: DatasetWriter | None = None
    failures: list[LogFailure] = []
    used: list[str] = []
    notes: list[str] = []
    for index, path in enumerate(paths):
        on_file(path, index, len(paths))
        try:
            log = read_log(path)
            contract = _contract_of(log, writer.header.contract if writer else None)
        except (LogError, SchemaError, ContractError) as error:
            failures.append(LogFailure(path, error))
            continue
        if writer is None:
            check_velocity_commands(contract)
            writer = DatasetWriter(out, _header(contract, robot, settings))
        notes += [f"{path.name}: {damage.what} (at byte {damage.offset})" for damage in log.damages]
        notes += _append_log(writer, log, robot, settings)
        used.append(path.name)
    if writer is None or not (writer.episodes or writer.quarantined):
        if failures:
            raise failures[0].error
        raise LogError(f"policy steps in the logs below {logs}", "none", "Let the policy walk while the recorder runs.")
    dataset = writer.finish()
    info = dataset.info().to_dict()
    return IngestReport(out, info, tuple(used), tuple(failures), dataset.quarantined, tuple(notes))


def _contract_of(log: Log, first: PolicyContract | None) -> PolicyContract:
    """The log's contract; all logs of a dataset share it up to the observation's normaliser, which rows do not hold."""
    contract = PolicyContract.from_json(log.metadata.contract_json)
    if first is not None and _without_normaliser(contract) != _without_normaliser(first):
        raise ContractError(
            "the same contract in all logs of a dataset",
            f"another one in {log.path}",
            "Ingest the logs of each kind of policy into a dataset of its own.",
        )
    return contract


def _without_normaliser(contract: PolicyContract) -> PolicyContract:
    return replace(contract, observation_mean=(), observation_std=())


def _header(contract: PolicyContract, robot: RobotModel, settings: IngestSettings) -> DatasetHeader:
    return DatasetHeader(
        contract=contract,
        robot_sha256=robot.sha256,
        reward_terms=REWARD_TERMS,
        reward_weights=settings.reward.to_dict(),
        provenance={
            "importer": "ingest",
            "velocity": "leg odometry and IMU, smoothed over the log",
            "minimum_confidence": settings.minimum_confidence,
            "velocity_settings": asdict(settings.velocity),
        },
    )


def _append_log(writer: DatasetWriter, log: Log, robot: RobotModel, settings: IngestSettings) -> list[str]:
    """Adds a log's episodes; returns notes on what was left out."""
    contract = writer.header.contract
    states = ordered_states(log.low_state)
    if len(states) == 0:
        return [f"{log.path.name}: {len(log.policy_tick)} policy steps without any /low_state left out"]
    timeline = StateTimeline(states, robot, settings.velocity)
    notes = []
    for stretch in _stretches(log, contract):
        place = f"{log.path.name}, episode {stretch.episode}"
        rows = _rows(stretch, timeline, contract)
        if stretch.not_finite:
            notes.append(f"{place}: {stretch.not_finite} policy steps left out that are not finite (NaN or infinity)")
        if stretch.left_out:
            notes.append(f"{place}: {stretch.left_out} steps after a hole left out, their memory is unknown")
        if rows is None:
            notes.append(f"{place}: {len(stretch.ticks)} steps without states left out")
            continue
        began, ended = np.searchsorted(states["monotonic_ns"], rows.pop("stamps_ns")[[0, -1]])
        own = states[began : ended + 1]
        notes += [f"{place}: {finding}; steps that need them are masked" for finding in not_finite_findings(own)]
        reasons = episode_faults(rows, stretch.ticks[: len(rows["action"]) - 1], own, contract, robot)
        if reasons:
            writer.quarantine(QuarantinedEpisode(log.path.name, stretch.episode, len(rows["action"]) - 1, reasons))
            continue
        confident = rows["velocity_confidence"] >= settings.minimum_confidence
        rows["valid"] &= confident & np.append(confident[1:], False)
        rows["valid"][: stretch.unknown_memory_rows] = False
        reward, terms = reward_columns(rows, stretch.ending is Ending.TERMINATED, robot, settings.reward)
        rows.update(reward=reward, reward_terms=terms)
        bundles = {bytes(digest).hex() for digest in np.unique(stretch.ticks["bundle_sha256"], axis=0)}
        writer.append(rows, stretch.ending, log.path.name, bundles)
    return notes


@dataclass(frozen=True)
class _Stretch:
    """Consecutive policy ticks of one episode, in which no signal is missing."""

    episode: int
    ticks: np.ndarray
    ending: Ending
    end_ns: int | None
    """Stamp of the event that ended it; None where none was logged."""
    unknown_memory_rows: int
    """Leading rows whose history or last action lies in a hole."""
    left_out: int
    """Ticks between the hole and this stretch that could not be used."""
    not_finite: int
    """Ticks of the whole episode that hold NaN or infinity; told once, by its first stretch."""


def _stretches(log: Log, contract: PolicyContract) -> Iterator[_Stretch]:
    """Episodes of a log, split at holes."""
    ticks = log.policy_tick
    patience_ns = round(_LATEST_END_STEPS * 1e9 / contract.control_hz)
    forgotten = max(contract.history_length, contract.settle_steps)
    ends = log.event[log.event["kind"] == EventKind.EPISODE_END]
    for episode in np.unique(ticks["episode"]):
        rows = ticks[ticks["episode"] == episode]
        rows = rows[np.unique(rows["tick"], return_index=True)[1]]
        end = ends[ends["episode"] == episode]
        finite = np.logical_and.reduce([_finite(rows[name]) for name in SIGNALS + _TICK_OUTPUTS + ("command",)])
        last_tick = rows["tick"][-1]
        broken = int((~finite).sum())
        rows = rows[finite]
        breaks = np.nonzero(np.diff(rows["tick"].astype(np.int64)) != 1)[0] + 1
        pieces = np.split(rows, breaks)
        for index, piece in enumerate(pieces):
            reaches_end = len(piece) > 0 and piece["tick"][-1] == last_tick and len(end) > 0
            known = reaches_end and end["monotonic_ns"][-1] - piece["state_monotonic_ns"][-1] <= patience_ns
            start = _restart_row(piece, contract)
            yield _Stretch(
                episode=int(episode),
                ticks=piece[start:],
                ending=Ending(int(end["ending"][-1])) if known and end["ending"][-1] else Ending.STOPPED,
                end_ns=int(end["monotonic_ns"][-1]) if known else None,
                unknown_memory_rows=forgotten if start or piece["tick"][:1].any() else 0,
                left_out=start,
                not_finite=broken if index == 0 else 0,
            )


def _restart_row(piece: np.ndarray, contract: PolicyContract) -> int:
    """First row of a stretch at which a memory of zeros is right again, or becomes so by masking a history's length.

    At tick zero it is. After a hole it is wherever the gait phase is zero: rows before it are left out. A phase whose
    frequency is commanded is lost with the commands, and the whole stretch with it.
    """
    if len(piece) == 0 or piece["tick"][0] == 0 or contract.gait_clock is None:
        return 0
    if isinstance(contract.gait_clock.frequency, str):
        return len(piece)
    cycles = piece["tick"] * contract.gait_clock.frequency / contract.control_hz
    at_zero = np.abs(cycles - np.round(cycles)) < 1e-6
    return int(np.argmax(at_zero)) if at_zero.any() else len(piece)


def _rows(stretch: _Stretch, timeline: StateTimeline, contract: PolicyContract) -> dict[str, np.ndarray] | None:
    """Columns of one episode without the reward, and its stamps; None where too few states were logged to close it."""
    ticks, step_ns = stretch.ticks, round(1e9 / contract.control_hz)
    if len(ticks) == 0:
        return None
    final = timeline.final_state(int(ticks["state_monotonic_ns"][-1]), step_ns, stretch.end_ns)
    if final is None:
        # The log breaks off within the last step: its tick becomes the final row, and its action is unknown.
        ticks, final = ticks[:-1], ticks[-1]
        final_ns = int(final["state_monotonic_ns"])
    else:
        final_ns = int(final["monotonic_ns"])
    if len(ticks) == 0:
        return None
    stamps = np.append(ticks["state_monotonic_ns"], final_ns)
    rows = {name: np.concatenate([ticks[name], final[name][None]]) for name in SIGNALS}
    for name in _TICK_OUTPUTS:
        rows[name] = np.concatenate([ticks[name], np.zeros_like(ticks[name][:1])])
    command = ticks["command"][:, : contract.command_dim]
    rows["command"] = np.concatenate([command, command[-1:]])
    rotation = rotation_trunk_to_world(rows["orientation_trunk_in_world"].astype(np.float64))
    rows["projected_gravity_in_trunk"] = -rotation[:, 2, :]
    rows["velocity_trunk_in_trunk"], rows["velocity_confidence"] = timeline.velocity(stamps)
    known = np.ones(len(stamps), dtype=bool)
    for name in ("joint_torque", "foot_force"):
        mean = timeline.mean(name, stamps)
        known[:-1] &= np.isfinite(mean).all(axis=1)
        rows[name] = np.concatenate([np.nan_to_num(mean), np.zeros_like(mean[:1])])
    rows["valid"] = known
    rows["stamps_ns"] = stamps
    return rows


def _finite(values: np.ndarray) -> np.ndarray:
    return np.isfinite(values).reshape(len(values), -1).all(axis=1)
