"""Every field of both packets against the vendor's SDK: set on one side, found on the other, nothing else touched.

Both tables are held complete against our layout and against the SDK's own classes: a field that either side gains
makes a test fail here.
"""

from __future__ import annotations

import socket
import time
from typing import Any, Dict, Iterator

import numpy as np
import pytest

from deploy.onboard.packet_layout import (
    CELL_QUANTUM_MV,
    HEAD,
    LEVEL_LOW,
    LOW_CMD,
    LOW_STATE,
    TORQUE_QUANTUM,
    crc32_mpeg2,
    seal,
)
from robot_configs.robot import DAMPING_QUANTUM, STIFFNESS_QUANTUM

sdk = pytest.importorskip(
    "unitree_legged_sdk.robot_interface", reason="needs the vendor's SDK: pip install '.[go1sdk]'", exc_type=ImportError
)
ARRIVAL_S = 5.0
COMMAND_CRC_COVERS = 608  # bytes

HEADER = {
    "header.head": "head",
    "header.level": "levelFlag",
    "header.frame_reserve": "frameReserve",
    "header.serial_number": "SN",
    "header.version": "version",
    "header.bandwidth": "bandWidth",
}
TAIL = {"remote": "wirelessRemote", "reserve": "reserve", "crc": "crc"}
COMMAND_FIELDS = {
    **HEADER,
    "motors.mode": "motorCmd.mode",
    "motors.position": "motorCmd.q",
    "motors.velocity": "motorCmd.dq",
    "motors.torque": "motorCmd.tau",
    "motors.stiffness": "motorCmd.Kp",
    "motors.damping": "motorCmd.Kd",
    "motors.reserve": "motorCmd.reserve",
    "battery_off": "bms.off",
    "battery_reserve": "bms.reserve",
    **TAIL,
}
STATE_FIELDS = {
    **HEADER,
    "imu.quaternion": "imu.quaternion",
    "imu.gyroscope": "imu.gyroscope",
    "imu.accelerometer": "imu.accelerometer",
    "imu.roll_pitch_yaw": "imu.rpy",
    "imu.temperature": "imu.temperature",
    "motors.mode": "motorState.mode",
    "motors.position": "motorState.q",
    "motors.velocity": "motorState.dq",
    "motors.acceleration": "motorState.ddq",
    "motors.torque": "motorState.tauEst",
    "motors.raw_position": "motorState.q_raw",
    "motors.raw_velocity": "motorState.dq_raw",
    "motors.raw_acceleration": "motorState.ddq_raw",
    "motors.temperature": "motorState.temperature",
    "motors.reserve": "motorState.reserve",
    # The SDK splits the version into two names.
    "battery.version": "bms.version_h bms.version_l",
    "battery.status": "bms.bms_status",
    "battery.soc": "bms.SOC",
    "battery.current": "bms.current",
    "battery.cycles": "bms.cycle",
    "battery.pack_temperature": "bms.BQ_NTC",
    "battery.board_temperature": "bms.MCU_NTC",
    "battery.cells": "bms.cell_vol",
    "foot_force": "footForce",
    "foot_force_estimate": "footForceEst",
    "tick": "tick",
    **TAIL,
}
UNIT_OF_ONE_COUNT = {
    "motors.torque": TORQUE_QUANTUM,
    "motors.stiffness": STIFFNESS_QUANTUM,
    "motors.damping": DAMPING_QUANTUM,
    "battery.cells": float(CELL_QUANTUM_MV),
}
# A state with another head or level is refused, and the CRC follows from the rest.
FIXED_IN_STATES = {"header.head", "header.level", "crc"}


def leaves(layout: np.dtype, prefix: str = "") -> Iterator[str]:
    """Dotted names of all plain fields of a structured type."""
    for name in layout.names or ():
        field = layout[name].base
        if field.names:
            yield from leaves(field, f"{prefix}{name}.")
        else:
            yield prefix + name


def attributes(thing: Any, prefix: str = "") -> Iterator[str]:
    """Dotted names of all plain attributes of one of the SDK's objects; a list of objects counts as its first."""
    for name in dir(thing):
        if name.startswith("_"):
            continue
        value = getattr(thing, name)
        value = value[0] if isinstance(value, list) else value
        if isinstance(value, (int, float)):
            yield prefix + name
        else:
            yield from attributes(value, f"{prefix}{name}.")


def field_of(record: Any, path: str) -> np.ndarray:
    """The field of a record; of all 20 motors, where it is theirs."""
    for name in path.split("."):
        record = record[name]
    return np.asarray(record)


def physical(path: str, record: Any) -> np.ndarray:
    """The field in the SDK's units."""
    return field_of(record, path) * UNIT_OF_ONE_COUNT.get(path, 1)


def different_counts(path: str, layout: np.dtype) -> np.ndarray:
    """Different numbers for every element, over the whole range of the field's type."""
    blank = field_of(np.zeros((), layout), path)
    size = max(blank.size, 2)
    if blank.dtype.kind == "f":
        values = np.geomspace(1e-3, 1e3, size) * np.where(np.arange(size) % 2, 1, -1)
    else:
        limits = np.iinfo(blank.dtype)
        values = np.linspace(limits.min, limits.max, size)
    return values.astype(blank.dtype)[-blank.size :].reshape(blank.shape)


def read(thing: Any, path: str) -> np.ndarray:
    """What the SDK's object holds at `path`, two names joined to one array."""
    if " " in path:
        return np.array([read(thing, part) for part in path.split()])
    first, _, rest = path.partition(".")
    value = getattr(thing, first)
    if rest and isinstance(value, list):
        return np.array([getattr(entry, rest) for entry in value])
    return read(value, rest) if rest else np.array(value)


def write(thing: Any, path: str, values: Any) -> None:
    """Put `values`, plain numbers, into the SDK's object at `path`."""
    first, _, rest = path.partition(".")
    inner = getattr(thing, first)
    if not rest:
        setattr(thing, first, values)
    elif isinstance(inner, list):
        for entry, value in zip(inner, values, strict=True):
            setattr(entry, rest, value)
    else:
        write(inner, rest, values)


class Wire:
    """The SDK at one end, a bare socket at the other."""

    def __init__(self, robot: socket.socket) -> None:
        self._robot = robot
        robot.bind(("127.0.0.1", 0))
        robot.settimeout(ARRIVAL_S)
        self._udp = sdk.UDP(LEVEL_LOW, 0, *robot.getsockname())
        self.command = sdk.LowCmd()
        self._udp.InitCmdData(self.command)

    def sent(self) -> Any:
        """The SDK's command as it crosses the wire, as a record of LOW_CMD."""
        self._udp.SetSend(self.command)
        self._udp.Send()
        packet, self._client = self._robot.recvfrom(2048)
        return np.frombuffer(packet, dtype=LOW_CMD)[0]

    def received(self, record: Any) -> Any:
        """The SDK's LowState after `record` of LOW_STATE, sealed, was sent to it."""
        self.sent()
        self._robot.sendto(seal(bytearray(record.tobytes())), self._client)
        deadline_s = time.monotonic() + ARRIVAL_S
        while self._udp.Recv() != 0:
            assert time.monotonic() < deadline_s, "the SDK did not accept the state"
            time.sleep(1e-4)
        state = sdk.LowState()
        self._udp.GetRecv(state)
        return state


@pytest.fixture
def wire() -> Iterator[Wire]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as robot:
        yield Wire(robot)


def blank_state() -> Any:
    record = np.zeros(1, dtype=LOW_STATE)[0]
    record["header"]["head"], record["header"]["level"] = tuple(HEAD), LEVEL_LOW
    return record


@pytest.mark.parametrize(
    ("table", "layout", "vendor_class"),
    [(COMMAND_FIELDS, LOW_CMD, sdk.LowCmd), (STATE_FIELDS, LOW_STATE, sdk.LowState)],
    ids=["LowCmd", "LowState"],
)
def test_the_tables_name_every_field_of_both_sides(table: Dict[str, str], layout: np.dtype, vendor_class: Any) -> None:
    assert sorted(table) == sorted(leaves(layout))
    assert sorted(" ".join(table.values()).split()) == sorted(attributes(vendor_class()))


@pytest.mark.parametrize("path", sorted(set(COMMAND_FIELDS) - {"crc"}))
def test_a_field_set_in_the_sdk_arrives_in_our_layout_and_alone(wire: Wire, path: str) -> None:
    untouched = wire.sent()
    expected = different_counts(path, LOW_CMD)
    in_units = expected * UNIT_OF_ONE_COUNT.get(path, 1)
    write(wire.command, COMMAND_FIELDS[path], in_units.tolist())
    changed = wire.sent()
    np.testing.assert_array_equal(field_of(changed, path), expected)
    for other in set(COMMAND_FIELDS) - {path, "crc"}:
        np.testing.assert_array_equal(field_of(changed, other), field_of(untouched, other), err_msg=other)


@pytest.mark.parametrize("path", sorted(set(STATE_FIELDS) - FIXED_IN_STATES))
def test_a_field_of_our_layout_arrives_in_the_sdk_and_alone(wire: Wire, path: str) -> None:
    record = blank_state()
    group, _, name = path.rpartition(".")
    (record[group] if group else record)[name] = different_counts(path, LOW_STATE)
    assert physical(path, record).any(), "nothing was set"
    state = wire.received(record)
    for ours, theirs in STATE_FIELDS.items():
        if ours != "crc":
            np.testing.assert_array_equal(read(state, theirs), physical(ours, record), err_msg=ours)


def test_checksums_are_the_wires_business(wire: Wire) -> None:
    """The SDK writes its own into every command, whatever the caller put there, and hands none out."""
    wire.command.crc = 77
    command = wire.sent()
    assert int(command["crc"]) == crc32_mpeg2(command.tobytes()[:COMMAND_CRC_COVERS])
    record = blank_state()
    record["tick"] = 77
    state = wire.received(record)
    assert (state.tick, state.crc) == (77, 0)


@pytest.mark.parametrize("layout", [LOW_CMD, LOW_STATE], ids=["LowCmd", "LowState"])
def test_no_two_elements_get_the_same_number(layout: np.dtype) -> None:
    """Guards the tests above: equal numbers would not show two elements that changed places."""
    for path in leaves(layout):
        values = different_counts(path, layout).ravel().tolist()
        assert len(set(values)) == len(values), path
