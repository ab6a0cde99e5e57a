"""What logs are worth: gaps, drops, jitter, saturation, frozen or implausible sensors, coverage of the commands.

A report measures; a `Finding` says that a measure is bad enough for a person to look at. Nothing is repaired here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from offline_data.log_reader import Log, LogFailure, read_logs
from offline_data.log_schema import Ending, EventKind
from offline_data.sensor_checks import Finding, impossible_findings, not_finite_findings
from policy.contract import PolicyContract
from robot_configs.robot import RobotModel, load_robot

_GAP_INTERVALS = 2.5
"""A pause of more than this many nominal intervals is a gap."""
_RATE_TOLERANCE = 0.02
_SATURATED_TORQUE = 0.95
"""Share of the torque limit from which on a motor counts as saturated."""
_SATURATED_SHARE = 0.05
"""More saturated samples than this are a finding."""
_COVERAGE_BINS = 5


@dataclass(frozen=True)
class ChannelQuality:
    """Timing of one topic."""

    topic: str
    messages: int
    rate_hz: float
    """Messages over the span, gaps included."""
    nominal_hz: int
    interval_p99_ms: float
    longest_gap_ms: float
    gaps: int
    lost: int
    """Numbers missing in the sequence: dropped between the robot and the file."""
    backward: int
    """Stamps that do not increase."""


@dataclass(frozen=True)
class QualityReport:
    """Everything measured in one log."""

    path: Path
    duration_s: float
    complete: bool
    channels: tuple[ChannelQuality, ...]
    endings: dict[str, int]
    """Episodes by how they ended."""
    lateness_p99_ms: dict[str, float]
    inference_p99_ms: float
    saturated: dict[str, float]
    """Share of samples at the torque limit, by joint; joints that never were are left out."""
    commanded: dict[str, tuple[float, float]]
    """Smallest and largest command by name."""
    coverage: float
    """Share of the cells of the command space (5 per velocity command) that were visited for at least one step."""
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {**asdict(self), "path": str(self.path)}

    def __str__(self) -> str:
        header = f"{'topic':<14}{'messages':>10}{'Hz':>8}{'p99 ms':>9}{'longest ms':>12}{'gaps':>6}{'lost':>6}"
        lines = [f"{self.path}: {self.duration_s:.1f} s, {'complete' if self.complete else 'not closed'}", header]
        lines += [
            f"{channel.topic:<14}{channel.messages:>10}{channel.rate_hz:>8.1f}{channel.interval_p99_ms:>9.2f}"
            f"{channel.longest_gap_ms:>12.1f}{channel.gaps:>6}{channel.lost:>6}"
            for channel in self.channels
        ]
        endings = ", ".join(f"{count} {name}" for name, count in self.endings.items()) or "none closed"
        commands = ", ".join(f"{name} {low:+.2f}..{high:+.2f}" for name, (low, high) in self.commanded.items())
        lines += [f"episodes: {endings}", f"commands: {commands}; {self.coverage:.0%} of the space visited"]
        lines += [f"look at {finding.where}: {finding.what}" for finding in self.findings] or ["nothing to look at"]
        return "\n".join(lines)


@dataclass(frozen=True)
class FolderReport:
    """The reports on every log of a folder, and the files that are none."""

    reports: tuple[QualityReport, ...]
    failures: tuple[LogFailure, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "logs": [report.to_dict() for report in self.reports],
            "failures": {str(failure.path): str(failure.error) for failure in self.failures},
        }

    def __str__(self) -> str:
        unread = [f"{failure.path}: {failure.error}" for failure in self.failures]
        return "\n\n".join([str(report) for report in self.reports] + unread)


def check_logs(path: Path, robot: RobotModel | None = None) -> FolderReport:
    """Reports on every log below `path`.

    Raises:
        LogError: there is none.
    """
    logs, failures = read_logs(path)
    known_robot = robot or load_robot()
    return FolderReport(tuple(check_log(log, known_robot) for log in logs), tuple(failures))


def check_log(log: Log, robot: RobotModel) -> QualityReport:
    """Measures one log."""
    contract = PolicyContract.from_json(log.metadata.contract_json)
    channels = (
        _timing("/low_state", log.low_state, robot.link_hz, "sequence"),
        _timing("/low_cmd", log.low_cmd, robot.link_hz, "sequence"),
        _timing("/policy_tick", _within_episodes(log.policy_tick), robot.control_hz, None),
    )
    saturated = _saturated(log.low_state, robot)
    commanded = _commanded(log.policy_tick, contract)
    findings = [Finding(log.path.name, f"{damage.what} (at byte {damage.offset})") for damage in log.damages]
    if log.metadata.robot_sha256 != robot.sha256:
        findings.append(Finding(log.path.name, "recorded with another robot configuration"))
    for channel in channels:
        findings += _timing_findings(channel)
    findings += [
        Finding(joint, f"at its torque limit in {share:.0%} of the samples")
        for joint, share in saturated.items()
        if share > _SATURATED_SHARE
    ]
    findings += not_finite_findings(log.low_state)
    findings += impossible_findings(log.low_state, robot)
    findings += _health_findings(log.low_state, robot)
    stamps = log.low_state["monotonic_ns"]
    return QualityReport(
        path=log.path,
        duration_s=float(stamps[-1] - stamps[0]) * 1e-9 if len(stamps) else 0.0,
        complete=log.complete,
        channels=channels,
        endings=_endings(log.event),
        lateness_p99_ms={
            "/low_cmd": _p99_ms(log.low_cmd["lateness_s"]),
            "/policy_tick": _p99_ms(log.policy_tick["lateness_s"]),
        },
        inference_p99_ms=_p99_ms(log.policy_tick["inference_s"]),
        saturated=saturated,
        commanded=commanded,
        coverage=_coverage(log.policy_tick, contract),
        findings=tuple(findings),
    )


def _within_episodes(ticks: np.ndarray) -> np.ndarray:
    """Ticks with the pauses between episodes taken out of their stamps, as if each followed the last at once."""
    joined = ticks.copy()
    for start in np.nonzero(np.diff(ticks["episode"].astype(np.int64)))[0] + 1:
        pause = joined["monotonic_ns"][start] - joined["monotonic_ns"][start - 1]
        typical = np.median(np.diff(ticks["monotonic_ns"])).astype(np.int64)
        joined["monotonic_ns"][start:] -= pause - typical
    return joined


def _timing(topic: str, messages: np.ndarray, nominal_hz: int, sequence: str | None) -> ChannelQuality:
    interval_ms = np.diff(messages["monotonic_ns"]) * 1e-6
    span_s = float(interval_ms.sum()) * 1e-3
    steps = np.diff(messages[sequence].astype(np.int64)) if sequence and len(messages) else np.ones(0, np.int64)
    return ChannelQuality(
        topic=topic,
        messages=len(messages),
        rate_hz=len(interval_ms) / span_s if span_s > 0 else 0.0,
        nominal_hz=nominal_hz,
        interval_p99_ms=float(np.percentile(interval_ms, 99)) if len(interval_ms) else 0.0,
        longest_gap_ms=float(interval_ms.max(initial=0.0)),
        gaps=int((interval_ms > _GAP_INTERVALS * 1000.0 / nominal_hz).sum()),
        lost=int(np.maximum(steps - 1, 0).sum()),
        backward=int((interval_ms <= 0).sum()),
    )


def _timing_findings(channel: ChannelQuality) -> Iterator[Finding]:
    if channel.messages == 0:
        yield Finding(channel.topic, "no messages")
        return
    if channel.gaps:
        yield Finding(channel.topic, f"{channel.gaps} gaps, the longest of {channel.longest_gap_ms:.0f} ms")
    if channel.lost:
        yield Finding(channel.topic, f"{channel.lost} messages lost before they reached the file")
    if channel.backward:
        yield Finding(channel.topic, f"{channel.backward} stamps do not increase")
    if channel.messages > 1 and abs(channel.rate_hz / channel.nominal_hz - 1.0) > _RATE_TOLERANCE:
        yield Finding(channel.topic, f"{channel.rate_hz:.1f} Hz, expected {channel.nominal_hz}")


def _saturated(states: np.ndarray, robot: RobotModel) -> dict[str, float]:
    if len(states) == 0:
        return {}
    share = (np.abs(states["joint_torque"]) >= _SATURATED_TORQUE * robot.torque_limit).mean(axis=0)
    return {name: float(value) for name, value in zip(robot.joint_names, share, strict=True) if value > 0}


def _health_findings(states: np.ndarray, robot: RobotModel) -> Iterator[Finding]:
    """Hot motors and an empty battery: true readings that a person should know of."""
    if len(states) == 0:
        return
    hottest = int(states["motor_temperature"].max())
    if hottest >= robot.safety.motor_temperature_limit_c:
        yield Finding("motor_temperature", f"{hottest} degC, the limit is {robot.safety.motor_temperature_limit_c:g}")
    lowest = int(states["battery_soc"].min())
    if lowest <= robot.safety.battery_soc_minimum_percent:
        yield Finding("battery_soc", f"down to {lowest} %")


def _endings(events: np.ndarray) -> dict[str, int]:
    ends = events["ending"][events["kind"] == EventKind.EPISODE_END]
    return {ending.name.lower(): int((ends == ending).sum()) for ending in Ending if (ends == ending).any()}


def _commanded(ticks: np.ndarray, contract: PolicyContract) -> dict[str, tuple[float, float]]:
    if len(ticks) == 0:
        return {}
    commands = ticks["command"]
    return {
        name: (float(commands[:, index].min()), float(commands[:, index].max()))
        for index, name in enumerate(contract.command_names)
    }


def _coverage(ticks: np.ndarray, contract: PolicyContract) -> float:
    """Share of visited cells, `_COVERAGE_BINS` along each of the first three commands' ranges in the contract."""
    if len(ticks) == 0:
        return 0.0
    terms = contract.commands[:3]
    lower, upper = np.array([term.lower for term in terms]), np.array([term.upper for term in terms])
    share = (ticks["command"][:, : len(terms)] - lower) / np.maximum(upper - lower, 1e-9)
    cells = np.clip(np.floor(share * _COVERAGE_BINS), 0, _COVERAGE_BINS - 1).astype(np.int64)
    return len(np.unique(cells, axis=0)) / float(_COVERAGE_BINS ** len(terms))


def _p99_ms(seconds: np.ndarray) -> float:
    return float(np.percentile(seconds, 99)) * 1e3 if len(seconds) else 0.0
