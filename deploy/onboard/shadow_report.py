"""What is reported of a policy in the shadow, and the thresholds that decide whether it may drive.

    ShadowFindings   what the shadow itself saw: plain statistics
    ShadowReport     the same with who was compared, how many steps it missed, how its process ended, and the verdict

The verdict is never stored by itself: it follows from the figures and the thresholds, also after reading a file.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Tuple

from robot_configs.errors import Go1Error

MAX_REPORT_BYTES = 1 << 20
"""A report is a few kilobytes; nothing longer is read."""


class ShadowError(Go1Error):
    """Two policies cannot be compared, the shadow could not be started, or a report does not say what is needed."""


@dataclass(frozen=True)
class ShadowThresholds:
    """What a policy may differ by before it may drive; our choice, to be tightened with experience."""

    median_rad: float = 0.10
    """Of all joints and steps [rad]: a tenth is what two seeds of one training differ by."""
    p95_rad: float = 0.30
    """95 % quantile [rad]: policies step their targets by this much at 50 Hz anyway."""
    worst_rad: float = 0.80
    """Largest [rad]: beyond it one of the two does something else."""
    gate_changed_share: float = 0.01
    """How much more of its targets than of the driver's the gate would have moved [-]."""
    step_p99_s: float = 0.010
    """Half of a policy period [s of processor time]."""
    missed_share: float = 0.01
    """Of the driver's steps that the shadow did not see [-]: what it missed may have been the interesting part."""
    minimum_steps: int = 500
    """Ten seconds of walking; less says nothing."""


@dataclass(frozen=True)
class Divergence:
    """How far the shadow's targets were from the driver's. Lists of 12 are in wire order; quantiles over steps."""

    joint_names: Tuple[str, ...]
    joint_rms_rad: Tuple[float, ...]
    joint_median_rad: Tuple[float, ...]
    joint_p95_rad: Tuple[float, ...]
    joint_worst_rad: Tuple[float, ...]
    median_rad: float
    p95_rad: float
    worst_rad: float
    gate_changed_share: float
    """Of the shadow's joint targets: what the gate would have moved in the tick after the step [-]."""
    driver_gate_changed_share: float
    """Of the driver's, judged in the same way [-]."""
    log_likelihood_median: float
    """Of the shadow's mean action under the driver's distribution."""
    driver_log_likelihood_median: float
    """Of the driver's own mean action, for comparison: the highest possible."""
    step_median_s: float
    """Processor time of a step [s]: what it would take if nothing else wanted the core."""
    step_p99_s: float
    step_worst_s: float


@dataclass(frozen=True)
class ShadowFindings:
    """What a shadow saw up to some moment."""

    steps: int = 0
    """Compared."""
    non_finite_steps: int = 0
    """Steps in which the shadow's targets were no numbers; left out of everything else."""
    starts: int = 0
    """How often the shadow began with an empty memory: once an episode, and again after every hole."""
    divergence: Optional[Divergence] = None
    """None where no step was compared."""


@dataclass(frozen=True)
class ShadowReport:
    """One comparison of a candidate with the policy that drove."""

    candidate_sha256: str
    driver_sha256: str
    driver_steps: int
    """What the driver made."""
    findings: ShadowFindings
    failure: str = ""
    """How the shadow's process ended, if it was not in order."""
    thresholds: ShadowThresholds = ShadowThresholds()

    @property
    def missed_steps(self) -> int:
        """The driver's steps that the shadow did not answer: it was busy, or not there any more."""
        return self.driver_steps - self.findings.steps - self.findings.non_finite_steps

    @property
    def objections(self) -> Tuple[str, ...]:
        """Thresholds that were passed; empty: it may drive."""
        limits, findings = self.thresholds, self.findings
        found = [f"the shadow {self.failure}"] if self.failure else []
        if findings.non_finite_steps:
            found.append(f"{findings.non_finite_steps} steps without a finite target")
        if findings.steps < limits.minimum_steps:
            found.append(f"{findings.steps} steps compared, at least {limits.minimum_steps} needed")
        if self.missed_steps > limits.missed_share * self.driver_steps:
            limit = f"limit {limits.missed_share:.0%}"
            found.append(f"{self.missed_steps} of {self.driver_steps} steps were missed, {limit}")
        if findings.divergence is not None:
            found += _divergence_objections(findings.divergence, limits)
        return tuple(found)

    @property
    def may_drive(self) -> bool:
        """The verdict."""
        return not self.objections

    def to_dict(self) -> Dict[str, Any]:
        """Plain values, the verdict first, ready for JSON."""
        verdict = {"may_drive": self.may_drive, "objections": self.objections, "missed_steps": self.missed_steps}
        return {**verdict, **asdict(self)}


def read_report(path: Path) -> ShadowReport:
    """The report in a file, judged anew by the thresholds that this program has now.

    Raises:
        ShadowError: no report.
        OSError: no file.
    """
    with open(path, "rb") as stream:
        content = stream.read(MAX_REPORT_BYTES + 1)
    try:
        if len(content) > MAX_REPORT_BYTES:
            raise ValueError(f"more than {MAX_REPORT_BYTES} bytes")
        values = json.loads(content)
        findings = values["findings"]
        divergence = findings["divergence"]
        return ShadowReport(
            candidate_sha256=str(values["candidate_sha256"]),
            driver_sha256=str(values["driver_sha256"]),
            driver_steps=int(values["driver_steps"]),
            findings=ShadowFindings(
                int(findings["steps"]),
                int(findings["non_finite_steps"]),
                int(findings["starts"]),
                None if divergence is None else _divergence(divergence),
            ),
            failure=str(values["failure"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ShadowError(
            f"a shadow report in {path}",
            f"something else ({type(error).__name__}: {error})",
            "Give the file that `go1 robot run --shadow` wrote beside its log, or `go1 robot shadow --json` printed.",
        ) from None


def require_passed(path: Path, candidate_sha256: str) -> ShadowReport:
    """The report in a file, if it speaks of this candidate and lets it drive.

    Raises:
        ShadowError: no report, another's, or one with objections.
    """
    report = read_report(path)
    if report.candidate_sha256 != candidate_sha256:
        raise ShadowError(
            f"a shadow report of the bundle {candidate_sha256[:12]}",
            f"one of {report.candidate_sha256[:12]} in {path}",
            "Run it in the shadow of the policy that drives: go1 robot run --shadow BUNDLE ...",
        )
    if not report.may_drive:
        raise ShadowError(
            "a shadow report without objections",
            "; ".join(report.objections),
            "Find out why it differs, on the twin first; without --after-shadow nothing asks for the report.",
        )
    return report


def _divergence(values: Mapping[str, Any]) -> Divergence:
    """From JSON; what JSON has no number for (null) stays no number, and keeps to no threshold."""

    def restored(value: Any) -> Any:
        if isinstance(value, list):
            return tuple(restored(entry) for entry in value)
        return value if isinstance(value, str) else float("nan" if value is None else value)

    return Divergence(**{field.name: restored(values[field.name]) for field in fields(Divergence)})


def _divergence_objections(divergence: Divergence, limits: ShadowThresholds) -> List[str]:
    # Every comparison is written so that NaN objects.
    found = []
    for name, value, limit in (
        ("median", divergence.median_rad, limits.median_rad),
        ("95 % quantile", divergence.p95_rad, limits.p95_rad),
        ("largest", divergence.worst_rad, limits.worst_rad),
    ):
        if not value <= limit:
            found.append(f"{name} divergence {value:.3f} rad, limit {limit:.3f}")
    most = divergence.driver_gate_changed_share + limits.gate_changed_share
    if not divergence.gate_changed_share <= most:
        share = divergence.gate_changed_share
        found.append(f"the gate would have moved {share:.1%} of its targets, limit {most:.1%}")
    if not divergence.step_p99_s <= limits.step_p99_s:
        taken_ms, limit_ms = 1e3 * divergence.step_p99_s, 1e3 * limits.step_p99_s
        found.append(f"1 % of its steps take {taken_ms:.1f} ms or more, limit {limit_ms:.1f}")
    return found
