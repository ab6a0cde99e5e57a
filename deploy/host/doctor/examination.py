"""An examination: listen, check everything that can be checked, and, if asked, move each joint a little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

from deploy.host.doctor import body_checks, network_checks
from deploy.host.doctor.findings import Finding, Verdict, not_checked
from deploy.host.doctor.probe import probe
from deploy.host.doctor.sample import Sample, read_sample
from deploy.host.doctor.wiggle import check_wiggle, wiggle
from deploy.onboard.clock import MonotonicClock
from deploy.onboard.lease import Lease
from deploy.onboard.runner import open_link
from robot_configs.robot import RobotModel

LISTEN_S = 3.0
"""Long enough for 1,500 states: a loss of one in a thousand shows."""


@dataclass(frozen=True)
class Examination:
    """All findings, in the order in which to put things right."""

    address: str
    findings: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """Whether no fault was found."""
        return all(finding.verdict is not Verdict.FAULT for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        findings = [finding.to_dict() for finding in self.findings]
        return {"address": self.address, "healthy": self.healthy, "findings": findings}

    def __str__(self) -> str:
        """One line a check, faults followed by what to do."""
        lines = []
        for finding in self.findings:
            word = finding.verdict.value.upper() if finding.verdict is Verdict.FAULT else finding.verdict.value
            lines.append(f"{word:11}  {finding.check:12} {finding.detail}")
            if finding.remedy:
                lines.append(f"{'':11}  {'':12} {finding.diagnosis}: {finding.remedy}")
        return "\n".join(lines)


def check_sample(sample: Sample, robot: RobotModel) -> tuple[Finding, ...]:
    """Every check that needs nothing but listening."""
    reading = read_sample(sample)
    network = network_checks.check_network(sample, robot)
    port = network_checks.check_port(reading, network)
    computer = network_checks.check_computer(sample, robot)
    return (
        network,
        port,
        network_checks.check_packets(reading, port, network),
        network_checks.check_form(reading),
        network_checks.check_firmware(reading),
        network_checks.check_checksum(reading),
        network_checks.check_sport_mode(reading, robot),
        computer,
        network_checks.blame(network_checks.check_rate(reading), computer),
        network_checks.blame(network_checks.check_loss(reading, robot), computer),
        network_checks.check_order(reading, robot),
        network_checks.blame(network_checks.check_gaps(reading, robot), computer),
        network_checks.blame(network_checks.check_controller(reading, robot), computer),
        network_checks.check_clock(sample),
        body_checks.check_battery(reading, robot),
        body_checks.check_temperature(reading, robot),
        body_checks.check_imu(reading, robot),
        body_checks.check_attitude(reading),
        body_checks.check_gyroscope(reading),
        body_checks.check_joints(reading, robot),
    )


def examine(
    robot: RobotModel,
    host: str,
    port: Optional[int] = None,
    listen_s: float = LISTEN_S,
    move_joints: bool = False,
) -> Examination:
    """Examine whatever answers at `host`:`port` (without a port: the motor controller's).

    Args:
        move_joints: wiggle every joint by 0.05 rad, if nothing else is wrong. The robot must hang, feet off the ground.

    Raises:
        LeaseTakenError: another program of this machine drives the robot.
        LeaseError: the lease's file cannot be used.
        ProbeError: the host is unknown.
        LinkError: the link cannot be opened a second time.
    """
    port = robot.network.port if port is None else port
    address = f"{host}:{port}"
    # Also for listening: it sends damping, under which a robot that somebody drives falls.
    lease = Lease(address)
    try:
        findings = check_sample(probe(robot, host, port, listen_s), robot)
        return Examination(address, (*findings, _moved(robot, (host, port), findings, move_joints)))
    finally:
        lease.release()


def _moved(robot: RobotModel, address: tuple[str, int], findings: tuple[Finding, ...], move_joints: bool) -> Finding:
    """What moving the joints shows, or why they were not moved."""
    if not move_joints:
        return not_checked("wiggle", "ask for it with --wiggle, while the robot hangs")
    if any(finding.verdict is Verdict.FAULT for finding in findings):
        return not_checked("wiggle", "a robot with a fault is not moved: put the others right first")
    link = open_link(address, "codec", robot)
    try:
        return check_wiggle(wiggle(robot, link, MonotonicClock()), robot)
    finally:
        link.close()
