"""Every fault by itself: the diagnosis that it must get, and that no other check takes offence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deploy.host.doctor.examination import check_sample
from deploy.host.doctor.findings import REMEDIES, Finding, Verdict
from deploy.host.doctor.network_checks import EARLIEST_DATE
from deploy.host.doctor.sample import Datagram
from deploy.onboard.packet_layout import LEVEL_HIGH, MOTORS

FR_CALF, RL_HIP = 2, 9


def faults(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.diagnosis for finding in findings if finding.verdict is Verdict.FAULT]


def by_check(findings: tuple[Finding, ...], check: str) -> Finding:
    return next(finding for finding in findings if finding.check == check)


def test_a_healthy_robot_passes_every_check(heard: Any, robot: Any) -> None:
    findings = check_sample(heard.sample(), robot)
    assert [finding.check for finding in findings if finding.verdict is not Verdict.OK] == []
    assert len(findings) == 20
    assert len({finding.check for finding in findings}) == len(findings)


# ---- One field of the states at a time -------------------------------------------------------------------------------


def motors(states: np.ndarray) -> np.ndarray:
    return states["motors"][:, :MOTORS]


def tilt(states: np.ndarray, radians: float) -> None:
    """The orientation says that the robot rolls by `radians`; the accelerometer does not know of it."""
    states["imu"]["quaternion"] += np.array([np.cos(radians / 2) - 1.0, np.sin(radians / 2), 0.0, 0.0], np.float32)


ILLNESSES = {
    "battery-empty": lambda s: s["battery"]["soc"].fill(4),
    "battery-low": lambda s: s["battery"]["soc"].fill(19),
    "motor-hot": lambda s: motors(s)["temperature"][-1:].__setitem__((0, FR_CALF), 81),
    "motor-overheated": lambda s: motors(s)["mode"][-1:].__setitem__((0, RL_HIP), 0x08),
    "imu-not-finite": lambda s: s["imu"]["gyroscope"].__setitem__((200, 1), np.nan),
    "imu-frozen": lambda s: s["imu"]["gyroscope"].__setitem__(slice(None), s["imu"]["gyroscope"][0].copy()),
    "quaternion-norm": lambda s: s["imu"]["quaternion"].__setitem__(200, [1.06, 0.0, 0.0, 0.0]),
    "accelerometer-scale": lambda s: s["imu"]["accelerometer"].__imul__(np.float32(1.07)),
    "attitude-disagrees": lambda s: tilt(s, 0.16),
    "gyroscope-bias": lambda s: s["imu"]["gyroscope"].__iadd__(np.array([0.0, 0.0, 0.11], np.float32)),
    "joint-not-finite": lambda s: motors(s)["velocity"].__setitem__((7, FR_CALF), np.inf),
    "joint-silent": lambda s: motors(s).__setitem__((slice(None), RL_HIP), np.zeros((), motors(s).dtype)),
    "joint-out-of-range": lambda s: motors(s)["position"].__setitem__((slice(None), FR_CALF), 2.65),
    "other-controller": lambda s: motors(s)["torque"].__setitem__((slice(None), FR_CALF), round(5.0 * 256)),
    "zero-states": lambda s: s.fill(0),
}


@pytest.mark.parametrize("diagnosis", sorted(ILLNESSES))
def test_an_illness_of_the_body_is_named_and_nothing_else(heard: Any, robot: Any, diagnosis: str) -> None:
    ILLNESSES[diagnosis](heard.states)
    assert faults(check_sample(heard.sample(), robot)) == [diagnosis]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda s: s["battery"]["soc"].fill(20), "a fifth is enough"),
        (lambda s: motors(s)["temperature"].fill(80), "the limit itself is allowed"),
        (lambda s: tilt(s, 0.14), "a degree less than the limit"),
        (lambda s: motors(s)["position"].__setitem__((slice(None), FR_CALF), -2.78), "a folded robot's calf"),
        (lambda s: s["imu"]["gyroscope"].__iadd__(np.array([0.09, 0.0, 0.0], np.float32)), "a small bias"),
        (lambda s: s["imu"]["quaternion"].__imul__(np.float32(-1.0)), "minus q is the same rotation"),
    ],
)
def test_what_is_within_its_limits_is_no_fault(heard: Any, robot: Any, change: Any, why: str) -> None:
    change(heard.states)
    assert faults(check_sample(heard.sample(), robot)) == [], why


def test_a_tilted_robot_whose_sensors_agree_is_well(heard: Any, robot: Any) -> None:
    """Rolled by 0.4 rad: the specific force in the trunk frame is g (0, sin, cos)."""
    tilt(heard.states, 0.4)
    heard.states["imu"]["accelerometer"] = 9.81 * np.array([0.0, np.sin(0.4), np.cos(0.4)])
    heard.states["imu"]["accelerometer"][::2] += np.float32(0.01)
    assert faults(check_sample(heard.sample(), robot)) == []


def test_a_mirrored_accelerometer_is_not_taken_for_a_tilted_robot(heard: Any, robot: Any) -> None:
    tilt(heard.states, 0.4)
    heard.states["imu"]["accelerometer"] = 9.81 * np.array([0.0, -np.sin(0.4), np.cos(0.4)])
    heard.states["imu"]["accelerometer"][::2] += np.float32(0.01)
    assert faults(check_sample(heard.sample(), robot)) == ["attitude-disagrees"]


def test_the_imu_of_a_robot_that_is_carried_about_is_not_judged(heard: Any, robot: Any) -> None:
    heard.states["imu"]["gyroscope"][:, 0] = np.sin(np.arange(len(heard.states)) / 50.0)
    findings = check_sample(heard.sample(), robot)
    assert by_check(findings, "attitude").verdict is Verdict.NOT_CHECKED
    assert by_check(findings, "gyroscope").verdict is Verdict.NOT_CHECKED
    assert faults(findings) == []


def test_a_joint_is_named(heard: Any, robot: Any) -> None:
    ILLNESSES["joint-out-of-range"](heard.states)
    assert "FR_calf +2.65" in by_check(check_sample(heard.sample(), robot), "joints").detail


# ---- The network and the packets -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "diagnosis"),
    [
        ({"network_errors": {"EADDRINUSE": 1}, "source_address": None}, "local-port-taken"),
        ({"network_errors": {"ENETUNREACH": 9}, "source_address": None}, "no-route"),
        ({"network_errors": {"EHOSTUNREACH": 9}}, "no-route"),
        ({"source_address": "192.168.1.20"}, "subnet-missing"),
        ({"source_address": "192.168.124.10"}, "subnet-missing"),
        ({"network_errors": {"ECONNREFUSED": 3}}, "port-closed"),
        ({}, "no-packets"),
    ],
)
def test_silence_has_one_reason_only(heard: Any, robot: Any, changes: dict[str, Any], diagnosis: str) -> None:
    heard.states = heard.states[:0]
    heard.changes = changes
    assert faults(check_sample(heard.sample(), robot)) == [diagnosis]


def test_a_twin_needs_no_subnet(heard: Any, robot: Any) -> None:
    heard.changes = {"host": "127.0.0.1", "source_address": "127.0.0.1"}
    findings = check_sample(heard.sample(), robot)
    assert by_check(findings, "network").verdict is Verdict.NOT_CHECKED
    assert faults(findings) == []


def test_a_date_that_was_never_set(heard: Any, robot: Any) -> None:
    heard.changes = {"wall_time_s": EARLIEST_DATE.timestamp() - 1.0}
    assert faults(check_sample(heard.sample(), robot)) == ["host-clock"]
    heard.changes = {"wall_time_s": EARLIEST_DATE.timestamp()}
    assert faults(check_sample(heard.sample(), robot)) == []


def edit(which: slice, change: Any) -> Any:
    """Changes the payload of some datagrams."""

    def apply(datagrams: list[Datagram]) -> list[Datagram]:
        chosen = {id(datagram) for datagram in datagrams[which]}
        return [replace(d, payload=change(d.payload)) if id(d) in chosen else d for d in datagrams]

    return apply


def flip_a_bit(payload: bytes) -> bytes:
    return payload[:100] + bytes([payload[100] ^ 1]) + payload[101:]


EVERY, FIRST = slice(None), slice(0, 1)


@pytest.mark.parametrize(
    ("change", "diagnosis"),
    [
        (edit(EVERY, lambda payload: payload + b"\0"), "packet-length"),
        (edit(EVERY, lambda payload: payload[:771]), "packet-length"),
        (edit(EVERY, lambda payload: b"\xff\xff" + payload[2:]), "packet-header"),
        (edit(EVERY, lambda payload: bytes(len(payload))), "zero-states"),
        (edit(EVERY, flip_a_bit), "checksum-all"),
        (edit(FIRST, flip_a_bit), "checksum-some"),
        (edit(EVERY, lambda payload: payload[:2] + bytes([LEVEL_HIGH]) + payload[3:]), "sport-mode"),
    ],
)
def test_packets_of_another_kind(heard: Any, robot: Any, change: Any, diagnosis: str) -> None:
    assert faults(check_sample(heard.sample(change), robot)) == [diagnosis]


# ---- Timing ----------------------------------------------------------------------------------------------------------


def test_three_percent_of_loss(heard: Any, robot: Any) -> None:
    kept = np.arange(400) % 33 != 5
    findings = check_sample(heard.sample(lambda d: [d[index] for index in np.flatnonzero(kept)]), robot)
    assert faults(findings) == ["packets-lost"]
    assert "12 of 400" in by_check(findings, "loss").detail


def test_one_percent_of_loss_is_reported_and_tolerated(heard: Any, robot: Any) -> None:
    kept = np.arange(400) % 100 != 5
    findings = check_sample(heard.sample(lambda d: [d[index] for index in np.flatnonzero(kept)]), robot)
    assert faults(findings) == []
    assert "4 of 400 states lost (1.0%), at most 4 ms in a row" in by_check(findings, "loss").detail


def test_the_controllers_counter_wraps(heard: Any, robot: Any) -> None:
    heard.states["tick"] = (2**32 - 400 + 2 * np.arange(400)) % 2**32
    findings = check_sample(heard.sample(), robot)
    assert faults(findings) == []


def test_a_repeated_and_a_late_packet(heard: Any, robot: Any) -> None:
    repeated = check_sample(heard.sample(lambda d: [*d[:200], d[199], *d[200:]]), robot)
    assert faults(repeated) == ["packets-reordered"]
    assert "1 repeated, 0 out of order" in by_check(repeated, "order").detail

    def swap(datagrams: list[Datagram]) -> list[Datagram]:
        first, second = datagrams[10], datagrams[11]
        swapped = [replace(first, payload=second.payload), replace(second, payload=first.payload)]
        return [*datagrams[:10], *swapped, *datagrams[12:]]

    assert faults(check_sample(heard.sample(swap), robot)) == ["packets-reordered"]


def shift_from(index: int, by_s: float) -> Any:
    return lambda datagrams: [
        replace(datagram, arrival_s=datagram.arrival_s + (by_s if number >= index else 0.0))
        for number, datagram in enumerate(datagrams)
    ]


def test_a_gap_that_the_gate_would_not_have_suffered(heard: Any, robot: Any) -> None:
    assert faults(check_sample(heard.sample(shift_from(200, 0.0181)), robot)) == ["state-gaps"]
    assert faults(check_sample(heard.sample(shift_from(200, 0.0179)), robot)) == []


def test_a_controller_that_restarted(heard: Any, robot: Any) -> None:
    heard.states["tick"][200:] -= np.uint32(6000)
    assert faults(check_sample(heard.sample(), robot)) == ["controller-restart"]


def test_a_controller_whose_milliseconds_are_too_long(heard: Any, robot: Any) -> None:
    def stretch(by: float) -> Any:
        return lambda ds: [replace(d, arrival_s=100.0 + by * (d.arrival_s - 100.0)) for d in ds]

    assert faults(check_sample(heard.sample(stretch(1.05)), robot)) == ["robot-clock"]
    assert faults(check_sample(heard.sample(stretch(1.01)), robot)) == []


def test_states_too_seldom(heard: Any, robot: Any) -> None:
    """Every 6 ms by both clocks: none is lost, and yet it is too little."""
    heard.states = heard.states[::3]

    def slower(datagrams: list[Datagram]) -> list[Datagram]:
        return [replace(d, arrival_s=100.0 + 3.0 * (d.arrival_s - 100.0)) for d in datagrams]

    assert faults(check_sample(heard.sample(slower), robot)) == ["rate-low"]


def test_a_late_computer_is_named_and_neither_robot_nor_cable(heard: Any, robot: Any) -> None:
    """The same samples as above, heard by a program that was not given its time."""
    late = shift_from(200, 0.030)
    assert faults(check_sample(heard.sample(late), robot)) == ["state-gaps"]
    heard.changes["worst_late_s"] = 0.0161
    findings = check_sample(heard.sample(late), robot)
    assert faults(findings) == ["computer-late"]
    assert "but this computer was late itself" in by_check(findings, "jitter").detail
    assert by_check(findings, "jitter").verdict is Verdict.NOT_CHECKED
    heard.changes["worst_late_s"] = 0.0159
    assert faults(check_sample(heard.sample(late), robot)) == ["state-gaps"]


def test_what_is_not_a_matter_of_time_is_found_by_a_late_computer_as_well(heard: Any, robot: Any) -> None:
    heard.changes["worst_late_s"] = 0.5
    heard.states["battery"]["soc"].fill(4)
    assert faults(check_sample(heard.sample(), robot)) == ["computer-late", "battery-empty"]


def test_every_diagnosis_of_a_sample_has_been_seen_here() -> None:
    """A new diagnosis needs a test that produces it: those of the wiggle are in test_wiggle.py."""
    wiggle = {"joint-dead", "joint-sign", "joint-order", "wiggle-stopped"}
    network = {
        "local-port-taken", "no-route", "subnet-missing", "port-closed", "no-packets", "host-clock", "packet-length",
        "packet-header", "zero-states", "checksum-all", "checksum-some", "sport-mode", "packets-lost",
        "packets-reordered", "state-gaps", "controller-restart", "robot-clock", "rate-low",
        "computer-late",
    }  # fmt: skip
    assert set(REMEDIES) == wiggle | network | set(ILLNESSES)
