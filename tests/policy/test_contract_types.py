"""The bounds of a contract's JSON, each met exactly: the last value that passes, the first that does not."""

from typing import Any

import pytest

from policy.bundle_error import BundleError
from policy.contract_types import check_contract_types

VELOCITIES: list[dict[str, Any]] = [{"unit": "m/s"}, {"unit": "m/s"}, {"unit": "rad/s"}]


def refused(place: str, *contents: Any) -> None:
    """Each of them, for what is at this place."""
    for content in contents:
        with pytest.raises(BundleError, match=f" at {place}; found "):
            check_contract_types(content)


def test_missing_and_unknown_fields_are_left_to_the_contract() -> None:
    check_contract_types({})
    check_contract_types({"torque_mode": object()})
    check_contract_types({"gait_clock": {}, "terms": [{}]})


@pytest.mark.parametrize("value", [None, [], "robot", 1, [("robot", "x")]])
def test_a_contract_is_an_object(value: Any) -> None:
    refused("contract", value)
    refused(r"contract.terms\[0\]", {"terms": [value]})


@pytest.mark.parametrize(
    ("field", "highest"), [("control_hz", 1000), ("link_hz", 1000), ("version", 1000), ("history_length", 64)]
)
def test_whole_numbers_have_both_their_bounds(field: str, highest: int) -> None:
    for value in (1, 2, highest - 1, highest):
        check_contract_types({field: value})
    refused(f"contract.{field}", *({field: odd} for odd in (-1, 0, highest + 1, 1.0, True, "1", None, [1])))


def test_a_flag_is_true_or_false_and_no_number() -> None:
    for value in (True, False):
        check_contract_types({"holds_commands": value})
    refused("contract.holds_commands", *({"holds_commands": odd} for odd in (0, 1, "true", None, [True])))


def test_numbers_reach_a_million_either_way() -> None:
    for value in (0, 1, -1, 0.5, 10**6, 1e6, -1e6):
        check_contract_types({"stiffness": [value]})
    beyond = (1000000.5, -1000000.5, 10**6 + 1, float("inf"), float("-inf"), float("nan"), True, "1", None, [1.0])
    refused(r"contract.stiffness\[1\]", *({"stiffness": [2.0, odd]} for odd in beyond))


def test_names_have_one_to_sixty_four_printable_characters() -> None:
    for value in ("x", "xy", "unitree_go1", "x" * 64):
        check_contract_types({"robot": value, "joint_names": [value]})
    nameless = ("", "x" * 65, "a\nb", "a\x00", 7, None, ["x"], b"x")
    refused("contract.robot", *({"robot": odd} for odd in nameless))
    refused(r"contract.joint_names\[1\]", *({"joint_names": ["x", odd]} for odd in nameless))


def test_lists_have_at_most_16384_entries() -> None:
    check_contract_types({"observation_mean": []})
    check_contract_types({"observation_mean": [0.0] * 16384})
    listless: list[Any] = [[0.0] * 16385, (0.0,), {}, "0.0", None, 0.0]
    refused("contract.observation_mean", *({"observation_mean": odd} for odd in listless))


@pytest.mark.parametrize("unit", ["m/s", "rad/s", "m", "rad", "Hz", "cycle", "1"])
def test_a_further_command_may_have_any_unit_that_we_calculate_in(unit: str) -> None:
    check_contract_types({"commands": VELOCITIES})
    check_contract_types({"commands": [*VELOCITIES, {"unit": unit}]})


@pytest.mark.parametrize("unit", ["deg", "deg/s", "km/h", "", "M", None, 1, ["m"]])
def test_no_command_has_another_unit(unit: Any) -> None:
    refused(r"contract.commands\[3\].unit", {"commands": [*VELOCITIES, {"unit": unit}]})


@pytest.mark.parametrize(
    "units",
    [
        [],
        ["m/s", "m/s"],
        ["rad/s", "m/s", "m/s"],
        ["m/s", "rad/s", "m/s"],
        ["1", "m/s", "rad/s"],
        ["m/s", "m/s", "m/s"],
        ["m/s", "m/s", "rad"],
        ["m", "m/s", "m/s", "rad/s"],
    ],
)
def test_the_first_three_commands_are_a_velocity_in_the_plane(units: list[str]) -> None:
    refused("contract.commands", {"commands": [{"unit": unit} for unit in units]})


def test_what_may_be_left_out_may_be_nothing_and_no_other_thing() -> None:
    check_contract_types({"gait_clock": None, "action_clip": None})
    check_contract_types({"commands": [{"slew_per_s": None, "neutral": None, **VELOCITIES[0]}, *VELOCITIES[1:]]})
    refused("contract.action_clip", {"action_clip": False})
    for field in ("slew_per_s", "neutral"):
        refused(rf"contract.commands\[0\].{field}", {"commands": [{**VELOCITIES[0], field: "fast"}]})


def test_a_clocks_frequency_is_a_number_or_the_name_of_a_command() -> None:
    for value in (2.5, 3, "gait_frequency"):
        check_contract_types({"gait_clock": {"frequency": value}})
    nonsense = ("", "x" * 65, 2e6, None, [2.5])
    refused("contract.gait_clock.frequency", *({"gait_clock": {"frequency": odd}} for odd in nonsense))


def test_every_entry_of_a_nested_list_is_looked_at() -> None:
    check_contract_types({"gait_clock": {"channels": [[], ["a", "b"]]}})
    refused(r"contract.gait_clock.channels\[1\]\[1\]", {"gait_clock": {"channels": [[], ["a", 7]]}})
    refused(r"contract.terms\[1\].scale\[1\]", {"terms": [{"scale": [1.0]}, {"scale": [1.0, None]}]})
