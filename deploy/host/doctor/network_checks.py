"""Checks of the way to the robot, of its packets and of their timing: pure functions of a sample."""

from __future__ import annotations

import ipaddress
from datetime import datetime, timezone

import numpy as np

from deploy.host.doctor.findings import Finding, Verdict, fault, not_checked, ok
from deploy.host.doctor.sample import Reading, Sample
from deploy.onboard.packet_layout import LOW_STATE, TORQUE_QUANTUM
from robot_configs.robot import RobotModel

SUBNET_PREFIX = 24
"""The robot's network is 192.168.123.0/24: its four computers differ in the last number only (published)."""

SLOWEST_USEFUL_HZ = 200.0
"""Motion is rough below (published)."""

MAXIMUM_LOSS = 0.02
"""Of the states: a cable loses none; walking survives more (docs/safety.md), but something is broken."""

MAXIMUM_CLOCK_RATIO_ERROR = 0.02
"""Of the controller's milliseconds against ours: a quartz is a thousand times better."""

SETTLED_S = 0.5
"""So long after the first damping command the motors have let go, unless somebody else commands them [s]."""

UNEXPLAINED_TORQUE_NM = 2.0
"""A standing robot's knees hold 5 or more; the estimate of an idle motor is within some tenths."""

EARLIEST_DATE = datetime(2024, 1, 1, tzinfo=timezone.utc)
"""An earlier date is a clock that has never been set; the onboard computers start in 2018 or 1970."""

_NO_ROUTE = ("ENETUNREACH", "EHOSTUNREACH", "ENETDOWN", "EHOSTDOWN")


def check_network(sample: Sample, robot: RobotModel) -> Finding:
    """Whether this machine is in the robot's network at all."""
    check = "network"
    if "EADDRINUSE" in sample.network_errors:
        return fault(check, "local-port-taken", f"UDP port {robot.network.local_port} of this machine is in use")
    unreachable = [name for name in _NO_ROUTE if name in sample.network_errors]
    if sample.source_address is None or (unreachable and not sample.datagrams):
        return fault(check, "no-route", f"no way from this machine to {sample.host} ({', '.join(unreachable) or '-'})")
    subnet = ipaddress.ip_network(f"{robot.network.host}/{SUBNET_PREFIX}", strict=False)
    if not _is_inside(sample.host, subnet):
        return not_checked(check, f"{sample.host} lies outside the robot's network {subnet}: taken for a twin")
    if not _is_inside(sample.source_address, subnet):
        return fault(check, "subnet-missing", f"packets leave from {sample.source_address}, not from {subnet}")
    return ok(check, f"{sample.source_address} to {sample.host}, both in {subnet}")


def _is_inside(host: str, subnet: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(host) in subnet
    except ValueError:
        return False  # a name: the robot has none


def check_port(reading: Reading, network: Finding) -> Finding:
    """Whether anybody listens at the port; `network` is what `check_network` found."""
    sample, check = reading.sample, "port"
    if sample.datagrams:
        return ok(check, f"{sample.host}:{sample.port} answers")
    if network.verdict is Verdict.FAULT:
        return not_checked(check, "no way to it")
    refused = sample.network_errors.get("ECONNREFUSED", 0)
    if refused:
        return fault(check, "port-closed", f"{sample.host} refused port {sample.port} {refused} times")
    return not_checked(check, "nothing came back, not even a refusal")


def check_packets(reading: Reading, port: Finding, network: Finding) -> Finding:
    """Whether anything arrives, where nothing that is known already keeps it from arriving."""
    sample, check = reading.sample, "packets"
    counts = f"{len(sample.datagrams)} packets for {sample.commands_sent} commands in {sample.duration_s:.1f} s"
    if sample.datagrams:
        return ok(check, counts)
    if Verdict.FAULT in (port.verdict, network.verdict):
        return not_checked(check, "nobody to send them")
    return fault(check, "no-packets", counts)


def check_form(reading: Reading) -> Finding:
    """Whether the packets have the length and the head of a LowState."""
    check = "packet form"
    if not reading.sample.datagrams:
        return not_checked(check, "no packets")
    if reading.lengths:
        found = ", ".join(f"{count} of {length} bytes" for length, count in sorted(reading.lengths.items()))
        return fault(check, "packet-length", f"expected {LOW_STATE.itemsize} bytes; found {found}")
    if reading.foreign:
        return fault(check, "packet-header", f"{reading.foreign} packets do not begin with fe ef")
    return ok(check, f"{LOW_STATE.itemsize} bytes each")


def check_firmware(reading: Reading) -> Finding:
    """Whether the states say anything."""
    check = "firmware"
    if reading.empty:
        return fault(check, "zero-states", f"{reading.empty} of {len(reading.sample.datagrams)} states are all zero")
    if len(reading.states) == 0:
        return not_checked(check, "no intact state")
    versions = np.unique(reading.states["header"]["version"], axis=0)
    shown = ", ".join(".".join(f"{part:#x}" for part in version) for version in versions)
    return ok(check, f"states have content; version field {shown}")


def check_checksum(reading: Reading) -> Finding:
    """Whether packets arrive undamaged."""
    check, whole = "checksum", reading.damaged + len(reading.states)
    if whole == 0:
        return not_checked(check, "no packet with a checksum to check")
    found = f"{reading.damaged} of {whole} wrong"
    if reading.damaged == whole:
        return fault(check, "checksum-all", found)
    return fault(check, "checksum-some", found) if reading.damaged else ok(check, found)


def check_sport_mode(reading: Reading, robot: RobotModel) -> Finding:
    """Whether the motors obey us alone: commanded to damp and at rest, none of them has a reason for torque."""
    check = "sport mode"
    if reading.high_level:
        return fault(check, "sport-mode", f"{reading.high_level} high-level packets")
    if len(reading.states) == 0:
        return not_checked(check, "no intact state")
    motors = reading.motors[reading.arrival_s - reading.arrival_s[0] > SETTLED_S]
    if len(motors) == 0:
        return not_checked(check, f"listened for less than {SETTLED_S} s")
    damping_torque = -robot.damp.damping * motors["velocity"].mean(axis=0)
    torque = motors["torque"].mean(axis=0) * TORQUE_QUANTUM - damping_torque
    strongest = int(np.abs(torque).argmax())
    found = f"{abs(torque[strongest]):.1f} Nm at {robot.joint_names[strongest]} beyond the damping that was commanded"
    if not abs(torque[strongest]) <= UNEXPLAINED_TORQUE_NM:
        return fault(check, "other-controller", found)
    return ok(check, f"off: at most {found}")


def check_computer(sample: Sample, robot: RobotModel) -> Finding:
    """Whether this computer gave this program its time: who looks late sees everything late."""
    check = "computer"
    if sample.source_address is None:
        return not_checked(check, "nothing was sent")
    # A pause may begin right after one arrival and end right before the next: two periods shorter than their gap.
    limit_s = robot.safety.state_age_limit_s - 2.0 / robot.link_hz
    found = f"this program came {sample.worst_late_s * 1e3:.1f} ms late to its latest turn"
    return fault(check, "computer-late", found) if sample.worst_late_s > limit_s else ok(check, found)


def blame(finding: Finding, computer: Finding) -> Finding:
    """A fault of the packets' timing, unless `check_computer` found this computer late: then nothing is known of it."""
    if not (finding.verdict is computer.verdict is Verdict.FAULT):
        return finding
    return not_checked(finding.check, f"{finding.detail}; but this computer was late itself")


def check_rate(reading: Reading) -> Finding:
    """Whether states come often enough."""
    check = "rate"
    if len(reading.states) < 2:
        return not_checked(check, "fewer than two intact states")
    rate_hz = (len(reading.states) - 1) / max(float(reading.arrival_s[-1] - reading.arrival_s[0]), 1e-6)
    found = f"{rate_hz:.0f} states a second"
    return fault(check, "rate-low", found) if rate_hz < SLOWEST_USEFUL_HZ else ok(check, found)


def check_loss(reading: Reading, robot: RobotModel) -> Finding:
    """Whether states get lost, by the controller's own count of milliseconds."""
    check = "loss"
    ticks = np.unique(reading.states["tick"].astype(np.int64))
    steps = np.diff(ticks)
    if len(ticks) < 10 or steps.max() > robot.safety.max_tick_gap_ms:
        return not_checked(check, "too few states, or a restarted controller")
    expected = int(round((ticks[-1] - ticks[0]) / float(np.median(steps)))) + 1
    lost = max(expected - len(ticks), 0)
    found = f"{lost} of {expected} states lost ({lost / expected:.1%}), at most {int(steps.max())} ms in a row"
    return fault(check, "packets-lost", found) if lost > MAXIMUM_LOSS * expected else ok(check, found)


def check_order(reading: Reading, robot: RobotModel) -> Finding:
    """Whether states come once, and in order."""
    check = "order"
    if len(reading.states) < 2:
        return not_checked(check, "fewer than two intact states")
    steps = reading.tick_steps_ms
    small = np.abs(steps) <= robot.safety.max_tick_gap_ms
    repeated, late = int(np.count_nonzero(steps == 0)), int(np.count_nonzero(small & (steps < 0)))
    found = f"{repeated} repeated, {late} out of order"
    return fault(check, "packets-reordered", found) if repeated or late else ok(check, found)


def check_gaps(reading: Reading, robot: RobotModel) -> Finding:
    """Whether the gate would have had fresh states all the time."""
    check, limit_s = "jitter", robot.safety.state_age_limit_s
    if len(reading.states) < 2:
        return not_checked(check, "fewer than two intact states")
    gaps_s = np.diff(reading.arrival_s)
    over = int(np.count_nonzero(gaps_s > limit_s))
    median, tail, worst = (float(np.quantile(gaps_s, q)) * 1e3 for q in (0.5, 0.99, 1.0))
    found = f"between states median {median:.1f}, 99 % {tail:.1f}, worst {worst:.1f} ms; {over} over {limit_s * 1e3:g}"
    return fault(check, "state-gaps", found) if over else ok(check, found)


def check_controller(reading: Reading, robot: RobotModel) -> Finding:
    """Whether the motor controller ran through, and its milliseconds are milliseconds."""
    check = "controller"
    if len(reading.states) < 10:
        return not_checked(check, "fewer than ten intact states")
    steps = reading.tick_steps_ms
    jumps = int(np.count_nonzero(np.abs(steps) > robot.safety.max_tick_gap_ms))
    if jumps:
        return fault(check, "controller-restart", f"its tick jumped {jumps} times, by up to {np.abs(steps).max()} ms")
    elapsed_s = float(reading.arrival_s[-1] - reading.arrival_s[0])
    # A packet may be late by the longest gap at either end: a short sample says little about the clock's rate.
    doubt = 2.0 * float(np.diff(reading.arrival_s).max()) / max(elapsed_s, 1e-6)
    ratio = float(steps.sum()) * 1e-3 / max(elapsed_s, 1e-6)
    found = f"its clock runs at {ratio:.3f} of ours"
    if abs(ratio - 1.0) > MAXIMUM_CLOCK_RATIO_ERROR + doubt:
        return fault(check, "robot-clock", found)
    return ok(check, found)


def check_clock(sample: Sample) -> Finding:
    """Whether this machine knows the date."""
    date = datetime.fromtimestamp(sample.wall_time_s, tz=timezone.utc)
    found = f"this machine's date is {date:%Y-%m-%d %H:%M} UTC"
    return fault("clock", "host-clock", found) if date < EARLIEST_DATE else ok("clock", found)
