"""Point by point, every field of contract and robot binding altered under a right seal: refused by name, nothing sent.

What is not refused is listed in `POLICYS_OWN` with the reason why it may differ between sound policies.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from deploy.onboard.clock import VirtualClock
from deploy.onboard.link import LinkStatistics
from deploy.onboard.runner import RunSettings, run_session
from deploy.onboard.schedule import SessionSettings
from policy.bundle import Bundle, parse_bundle, verify_bundle
from policy.contract import ContractError
from policy.contract_types import MAX_ENTRIES, MAX_HISTORY
from policy.sealed_file import unseal
from robot_configs.errors import Go1Error
from robot_configs.robot import RobotModel, load_robot
from tests.policy.resealed import SECTIONS, SHIPPED, resealed

Contract = dict[str, Any]
Change = Callable[[Contract], object]
HEADER = unseal(SHIPPED, SECTIONS).header
FIELDS = sorted(HEADER["contract"])
JOINT_FIELDS = ("stiffness", "damping", "default_position", "action_scale", "target_lower", "target_upper")


@pytest.fixture(scope="module")
def robot() -> RobotModel:
    return load_robot()


class SilentLink:
    """Keeps what is sent; nobody answers."""

    def __init__(self) -> None:
        self.sent: list[object] = []

    def send(self, command: object) -> None:
        self.sent.append(command)

    def receive(self, timeout_s: float) -> None:
        raise AssertionError("the robot was listened to before the policy was accepted")

    def close(self) -> None:
        pass

    @property
    def statistics(self) -> LinkStatistics:
        raise AssertionError("a session that was refused has no statistics")


def run(content: bytes, robot: RobotModel) -> SilentLink:
    """A session with these bytes as its bundle; raises what refuses it."""
    link = SilentLink()
    settings = RunSettings("vx=0,vy=0,yaw=0", SessionSettings(episode_s=0.1, episodes=1), lockstep=True)
    try:
        bundle: Bundle = parse_bundle(content)
        run_session(bundle, robot, link, VirtualClock(), settings)
    finally:
        assert link.sent == [], "a packet left for the robot"
    return link


def refused(change: Change, robot: RobotModel, name: str) -> None:
    """By an error that names the field."""
    with pytest.raises(Go1Error) as caught:
        run(resealed(lambda header: change(header["contract"])), robot)
    assert name in f"{caught.value.expected} {caught.value.found}", str(caught.value)


def swap(values: list, first: int, second: int) -> list:
    swapped = list(values)
    swapped[first], swapped[second] = swapped[second], swapped[first]
    return swapped


def at(values: list, index: int, value: Any) -> list:
    return [*values[:index], value, *values[index + 1 :]]


def wrong_units(contract: Contract) -> None:
    contract["commands"][0]["unit"] = "km/h"


# Other robots, joints, rates, gains, units, layouts.
ALTERED: dict[str, tuple[Change, str]] = {
    "another robot": (lambda c: c.update(robot="unitree_aliengo"), "robot = 'unitree_aliengo'"),
    "robot's other name": (lambda c: c.update(robot="Unitree_Go1"), "robot"),
    "permuted joints": (
        lambda c: c.update(joint_names=swap(c["joint_names"], 0, 3)),
        "joint_names",
    ),
    "joints of Isaac Gym's order": (
        lambda c: c.update(joint_names=c["joint_names"][3:6] + c["joint_names"][:3] + c["joint_names"][6:]),
        "joint_names",
    ),
    "joints of another robot": (
        lambda c: c.update(
            joint_names=[name.lower() for name in c["joint_names"]],
            policy_joint_names=[name.lower() for name in c["policy_joint_names"]],
        ),
        "joint_names",
    ),
    "a joint fewer": (lambda c: c.update(joint_names=c["joint_names"][:-1]), "joint_names"),
    "permuted policy joints": (
        lambda c: c.update(policy_joint_names=swap(c["policy_joint_names"], 1, 4)),
        "policy_joint_names",
    ),
    "a policy joint twice": (
        lambda c: c.update(policy_joint_names=at(c["policy_joint_names"], 0, c["policy_joint_names"][1])),
        "policy_joint_names",
    ),
    "twice the control rate": (lambda c: c.update(control_hz=100), "control_hz = 100"),
    "half the control rate": (lambda c: c.update(control_hz=25), "control_hz = 25"),
    "another link rate": (lambda c: c.update(link_hz=1000), "link_hz = 1000"),
    "rates that do not divide": (lambda c: c.update(control_hz=60), "control_hz"),
    "gains above the robot's": (lambda c: c.update(stiffness=at(c["stiffness"], 5, 100.1)), "stiffness of at most"),
    "damping above the robot's": (lambda c: c.update(damping=at(c["damping"], 5, 10.1)), "damping of at most"),
    "negative gains": (lambda c: c.update(stiffness=at(c["stiffness"], 0, -1.0)), "gains of at least zero"),
    "limits outside the robot's": (
        lambda c: c.update(target_upper=at(c["target_upper"], 0, 0.9)),
        "target_upper",
    ),
    "lower limits outside": (
        lambda c: c.update(target_lower=at(c["target_lower"], 2, -2.8)),
        "target_lower",
    ),
    "limits in degrees": (lambda c: c.update(target_lower=[57.3 * v for v in c["target_lower"]]), "target_lower"),
    "limits the wrong way round": (
        lambda c: c.update(target_lower=c["target_upper"], target_upper=c["target_lower"]),
        "target_lower below target_upper",
    ),
    "narrower limits": (lambda c: c.update(target_upper=at(c["target_upper"], 0, 0.05)), "target_upper"),
    "a pose outside the limits": (
        lambda c: c.update(default_position=at(c["default_position"], 2, -2.8)),
        "default_position",
    ),
    "the other hip convention": (
        lambda c: c.update(default_position=at(c["default_position"], 0, 0.1)),
        "default_position",
    ),
    "another action scale": (lambda c: c.update(action_scale=[0.25] * 12), "action_scale"),
    "degrees instead of radians": (
        lambda c: c.update(action_scale=[57.3 * v for v in c["action_scale"]]),
        "action_scale",
    ),
    "a unit that is not ours": (wrong_units, "contract.commands[0].unit"),
    "terms in another order": (lambda c: c.update(terms=swap(c["terms"], 0, 1)), "terms"),
    "a term fewer": (lambda c: c.update(terms=c["terms"][1:]), "observation"),
    "a term twice": (lambda c: c.update(terms=[*c["terms"], c["terms"][0]]), "observation"),
    "an unknown term": (lambda c: c["terms"][0].update(name="base_velocity"), "base_velocity"),
    "no clock": (lambda c: c.update(gait_clock=None), "gait_clock"),
    "a longer history": (lambda c: c.update(history_length=2), "memory"),
    "an absurd history": (lambda c: c.update(history_length=MAX_HISTORY + 1), "contract.history_length"),
    "a normaliser": (
        lambda c: c.update(observation_mean=[0.1] * 47, observation_std=[1.0] * 47),
        "observation_mean",
    ),
    "a scaling normaliser": (
        lambda c: c.update(observation_mean=[0.0] * 47, observation_std=[2.0] * 47),
        "observation_std",
    ),
    "half a normaliser": (lambda c: c.update(observation_mean=[0.0] * 46), "observation_mean"),
    "a command fewer": (lambda c: c["commands"].pop(), "command"),
    "yaw before velocity": (lambda c: c.update(commands=swap(c["commands"], 0, 2)), "contract.commands"),
    "sideways before forward": (lambda c: c.update(commands=swap(c["commands"], 0, 1)), "in commands"),
    "a wider command": (lambda c: c["commands"][0].update(lower=-6.0, upper=6.0), "in commands"),
    "a narrower command": (lambda c: c["commands"][0].update(lower=-0.5, upper=0.5), "in commands"),
    "a slower command": (lambda c: c["commands"][0].update(slew_per_s=0.5), "terms"),
    "another clock": (lambda c: c["gait_clock"].update(frequency=3.0), "gait_clock"),
    "another waveform": (lambda c: c["gait_clock"].update(waveform="sin"), "observation"),
    "an unknown waveform": (lambda c: c["gait_clock"].update(waveform="square"), "waveform"),
    "a clock that never stands": (lambda c: c["gait_clock"].update(stand_below=0.0), "gait_clock"),
    "a clock driven by a command": (lambda c: c["gait_clock"].update(channels=[["vx"]]), "gait_clock"),
    "another version": (lambda c: c.update(version=2), "version"),
    "very many entries": (lambda c: c.update(stiffness=[1.0] * (MAX_ENTRIES + 1)), "contract.stiffness"),
}


@pytest.mark.parametrize("name", ALTERED)
def test_another_robot_or_layout_is_refused_by_name(name: str, robot: RobotModel) -> None:
    change, message = ALTERED[name]
    refused(change, robot, message)


@pytest.mark.parametrize("field", ["joint_lower", "joint_upper"])
def test_a_robot_with_narrower_joints_is_refused_by_joint(field: str, robot: RobotModel) -> None:
    limits = getattr(robot, field).copy()
    limits[4] *= 0.9
    name = field.replace("joint", "target")
    with pytest.raises(ContractError, match=f"{name} of FL_thigh within"):
        run(SHIPPED, replace(robot, **{field: limits}))


@pytest.mark.parametrize("scale", [term["name"] for term in HEADER["contract"]["terms"]])
def test_another_scale_of_any_term_is_refused(scale: str, robot: RobotModel) -> None:
    def change(contract: Contract) -> None:
        term = next(term for term in contract["terms"] if term["name"] == scale)
        term["scale"] = [1.5 * value for value in term["scale"]]

    refused(change, robot, f"terms ({scale})")


@pytest.mark.parametrize("joint", range(12))
@pytest.mark.parametrize("field", ["default_position", "action_scale", "target_lower", "target_upper"])
def test_one_joints_value_is_refused(field: str, joint: int, robot: RobotModel) -> None:
    """Narrower limits rather than wider ones: those are refused already for leaving the robot's."""

    def change(contract: Contract) -> None:
        toward = {"target_lower": 0.6, "target_upper": -0.6}.get(field, 0.05)
        contract[field] = at(contract[field], joint, contract[field][joint] + toward)

    refused(change, robot, field)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [None, "x", -1, 1.5, True, [], {}, [None], [[]], 1e300], ids=repr)
def test_a_value_of_another_kind_is_refused_by_name(field: str, value: Any, robot: RobotModel) -> None:
    """No type error, no silent conversion: ours, with the field's name; where the value is a sound one, as below."""
    if (field, value) in [("observation_mean", []), ("observation_std", [])]:
        return  # no normaliser, as it is
    with pytest.raises(Go1Error) as caught:
        run(resealed(lambda header: header["contract"].update({field: value})), robot)
    said = f"{caught.value.expected} {caught.value.found}"
    # Without terms there is no observation and no use for a clock; missing fields are said of the object.
    names = [field, field.replace("_", " "), *(["observation", "term gait_clock"] if field == "terms" else [])]
    assert any(name in said for name in names), said


@pytest.mark.parametrize("field", FIELDS)
def test_a_missing_field_is_named(field: str, robot: RobotModel) -> None:
    refused(lambda contract: contract.pop(field), robot, f"missing: {field}")


def test_an_unknown_field_is_named(robot: RobotModel) -> None:
    refused(lambda contract: contract.update(torque_mode=True), robot, "unknown: torque_mode")


# Why these may differ: nothing in the graph or on the robot contradicts them. A signature vouches for them.
POLICYS_OWN: dict[str, Change] = {
    # Within the robot's limits the gains are the policy's choice: every published stack has its own.
    "stiffness": lambda c: c.update(stiffness=[20.0] * 12),
    "damping": lambda c: c.update(damping=[0.5] * 12),
    # A name is what command sources look the input up by; unit, place and range are held to the graph.
    "commands.name": lambda c: c["commands"][0].update(name="forward"),
}


@pytest.mark.parametrize("field", POLICYS_OWN)
def test_what_is_the_policys_own_is_accepted_as_another_policy(field: str, robot: RobotModel) -> None:
    changed = parse_bundle(resealed(lambda header: POLICYS_OWN[field](header["contract"])))
    assert verify_bundle(changed, robot).sequences >= 64
    assert changed.sha256 != parse_bundle(SHIPPED).sha256


def test_the_robot_it_was_made_with_is_kept_for_the_record(robot: RobotModel) -> None:
    """Not compared: a threshold of the gate that is changed later must not retire every policy."""
    changed = parse_bundle(resealed(lambda header: header.update(robot_sha256="0" * 64)))
    assert verify_bundle(changed, robot).sequences >= 64


def test_every_field_is_dealt_with_here() -> None:
    """A new field of the contract has to be added above, to one list or the other."""
    altered = set()
    for change, _ in ALTERED.values():
        contract = unseal(SHIPPED, SECTIONS).header["contract"]
        before = repr({name: contract[name] for name in FIELDS})
        change(contract)
        after = {name: contract.get(name) for name in FIELDS}
        assert repr(after) != before
        original = HEADER["contract"]
        altered |= {name for name in FIELDS if after[name] != original[name]}
    assert altered == set(FIELDS)
