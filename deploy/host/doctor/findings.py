"""What the doctor can say: one finding a check, one remedy a diagnosis.

docs/troubleshooting.md has a row for every key of `REMEDIES` (tests/deploy/host/doctor/test_findings.py).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Dict, Union


class Verdict(enum.Enum):
    """Outcome of a check."""

    OK = "ok"
    FAULT = "fault"
    NOT_CHECKED = "not checked"
    """What the check needs is missing: an earlier fault, a moving robot, an option that was not given."""


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    check: str
    """Name of the check, as printed."""
    verdict: Verdict
    detail: str
    """What was measured, with units."""
    diagnosis: str = ""
    """Key of `REMEDIES`; empty unless the verdict is a fault."""

    @property
    def remedy(self) -> str:
        """What to do; empty unless the verdict is a fault."""
        return REMEDIES[self.diagnosis] if self.diagnosis else ""

    def to_dict(self) -> Dict[str, Union[str, None]]:
        """Plain values for JSON."""
        return {
            "check": self.check,
            "verdict": self.verdict.value,
            "detail": self.detail,
            "diagnosis": self.diagnosis or None,
            "remedy": self.remedy or None,
        }


def ok(check: str, detail: str) -> Finding:
    """Nothing wrong there."""
    return Finding(check, Verdict.OK, detail)


def fault(check: str, diagnosis: str, detail: str) -> Finding:
    """Something is wrong, and it has a name."""
    if diagnosis not in REMEDIES:
        raise KeyError(f"no remedy for the diagnosis {diagnosis!r}")
    return Finding(check, Verdict.FAULT, detail, diagnosis)


def not_checked(check: str, why: str) -> Finding:
    """The check could not be made."""
    return Finding(check, Verdict.NOT_CHECKED, why)


REMEDIES: Dict[str, str] = {
    # The way to the robot.
    "no-route": "Plug the cable in and give this machine an address in the robot's network.",
    "subnet-missing": "Give the cable's interface an address of the robot's network that nobody has, such as "
    "192.168.123.162/24; switch off a second interface that claims the same network.",
    "local-port-taken": "Another low-level client runs on this machine: stop it. Only one may talk to the robot.",
    "port-closed": "The machine is there, but nobody listens at that port: low level is UDP 8007 of the motor "
    "controller (.10), not of the onboard computers; or start the twin there.",
    "no-packets": "Switch the robot on and wait a minute; switch sport mode off (remote: L2+A, L2+A, L2+B, then "
    "L1+L2+START); check address and cable; stop every other low-level client.",
    # The packets.
    "packet-length": "Robot and this program speak different versions of the protocol: update the motor controller to "
    "the firmware of the Go1's SDK 3.8, and check that the port is the low-level one.",
    "packet-header": "What answers is no Go1 motor controller: check address and port.",
    "zero-states": "Empty states are what a firmware of another version sends: update the motor controller to the "
    "firmware of the Go1's SDK 3.8. If it is right, restart the robot and ask again.",
    "checksum-all": "Every packet fails: the firmware uses another checksum than SDK 3.8; update the motor controller.",
    "checksum-some": "Packets are damaged on the way: replace cable or switch, keep Wi-Fi out of the way.",
    "sport-mode": "High-level states arrive: sport mode is on. Remote: L2+A, L2+A, L2+B, then L1+L2+START.",
    "other-controller": "The motors follow somebody else: switch sport mode off (remote: L2+A, L2+A, L2+B, then "
    "L1+L2+START) and stop every other low-level client.",
    # Timing.
    "computer-late": "This computer is too busy to judge the packets' timing, and to drive a robot: stop its other "
    "programs and ask again. Beside a twin on one computer: run the twin in real time, alone.",
    "rate-low": "Below 200 states a second motion gets rough: use the cable, not Wi-Fi, and free this machine's CPU.",
    "packets-lost": "Use the cable, not Wi-Fi; replace cable and switch; free this machine's CPU.",
    "packets-reordered": "Something between repeats or reorders packets: one cable, no bridge, no second route.",
    "state-gaps": "The gate would have damped the robot: use the cable, not Wi-Fi, and free this machine's CPU.",
    "controller-restart": "The motor controller has restarted while it was listened to: charge the battery, check the "
    "power connectors, and look for a motor that stalls.",
    "robot-clock": "The motor controller's milliseconds do not last a millisecond: restart the robot; if it stays so, "
    "its logs and its ramps are not to be trusted.",
    "host-clock": "Set this machine's date (`timedatectl set-time`): logs would be dated wrongly.",
    # The body.
    "battery-empty": "Charge the battery: the runner refuses to stand up.",
    "battery-low": "Charge the battery before a session: it ends, and the boards may restart under load.",
    "motor-hot": "Let the motors cool; the reading lags behind the windings.",
    "motor-overheated": "The motor has switched itself off: let it cool for ten minutes, then look for what it strains "
    "against.",
    "imu-not-finite": "The IMU's numbers are none: restart the robot; if they stay so, the IMU board is broken.",
    "imu-frozen": "The IMU repeats one measurement: restart the robot; if it stays so, the IMU board is broken.",
    "quaternion-norm": "The orientation is no rotation: restart the robot, check the firmware's version.",
    "accelerometer-scale": "At rest the accelerometer must show 9.81 m/s^2: let the robot lie still and ask again; if "
    "it stays so, the IMU needs calibration.",
    "attitude-disagrees": "Orientation and accelerometer point to different downs: restart the robot while it lies "
    "level and still; check that the IMU board sits tight.",
    "gyroscope-bias": "The gyroscope turns while the robot lies still: restart the robot and do not touch it for a "
    "minute.",
    "joint-not-finite": "An encoder's numbers are none: restart the robot; else the motor's board is broken.",
    "joint-silent": "The motor does not report: check its cable, restart the robot.",
    "joint-out-of-range": "The joint cannot be there: its zero or its sign is wrong. Restart the robot folded as the "
    "vendor's manual shows; if it stays so, the motor needs calibration.",
    # The wiggle.
    "joint-dead": "The joint did not follow its command: check the motor's cable, and that the leg hangs free.",
    "joint-sign": "The joint moved against its command: its encoder or its wiring is reversed. Do not walk.",
    "joint-order": "Another joint moved than the one that was asked: motor cables are swapped. Do not walk.",
    "wiggle-stopped": "The gate or the doctor damped the robot while it was moved: see the reason, put it right, ask "
    "again.",
}
"""What to do about each diagnosis."""
