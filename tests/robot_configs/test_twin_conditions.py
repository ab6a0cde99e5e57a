"""Conditions: what is shipped, how files extend each other, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Callable, Dict

import pytest
import yaml

from robot_configs.robot import load_robot
from robot_configs.twin_conditions import TWINS_DIR, condition_names, load_condition
from robot_configs.twin_ground import TwinConditionError


def _write(tmp_path: Path, document: Any, name: str = "mine.yaml") -> Path:
    path = tmp_path / name
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document), encoding="utf-8")
    return path


@pytest.fixture
def complete() -> Dict[str, Any]:
    """The content of the one file that holds every key."""
    return yaml.safe_load((TWINS_DIR / "nominal.yaml").read_text(encoding="utf-8"))


def test_the_promised_conditions_are_there() -> None:
    names = (
        "delay",
        "ice",
        "latex",
        "low_friction",
        "mattress",
        "nominal",
        "one_weak_motor",
        "payload",
        "payload_3kg",
        "pushes",
    )
    assert condition_names() == (*names, "rough", "rough_3cm", "slope", "weak_motor")


@pytest.mark.parametrize("name", condition_names())
def test_every_shipped_condition_loads_under_its_own_name(name: str) -> None:
    condition = load_condition(name)
    assert condition.name == name
    assert condition.description


def test_nominal_is_healthy_and_level() -> None:
    nominal = load_condition("nominal")
    assert nominal.motors.strength == (1.0,) * 12
    assert nominal.payload.mass_kg == nominal.ground.slope_rad == nominal.ground.roughness_height_m == 0.0
    assert nominal.disturbance.push_interval_s == 0.0


def test_mattress_differs_from_nominal_in_nothing_but_the_ground() -> None:
    nominal, mattress = load_condition("nominal"), load_condition("mattress")
    assert mattress.ground.friction < nominal.ground.friction
    assert mattress.ground.contact_time_constant_s > 5.0 * nominal.ground.contact_time_constant_s
    same = dataclasses.replace(mattress, ground=nominal.ground, name=nominal.name, description=nominal.description)
    assert same == nominal


def test_latex_differs_from_nominal_in_nothing_but_ground_that_drags() -> None:
    nominal, latex = load_condition("nominal"), load_condition("latex")
    assert nominal.ground.foot_drag_n_s_m2 == load_condition("mattress").ground.foot_drag_n_s_m2 == 0.0
    assert latex.ground.foot_drag_n_s_m2 > 0.0
    same = dataclasses.replace(latex, ground=nominal.ground, name=nominal.name, description=nominal.description)
    assert same == nominal


def test_records_say_of_drag_only_where_there_is_some() -> None:
    """Results from before there was drag are of the same conditions still."""
    mattress, latex = load_condition("mattress"), load_condition("latex")
    as_before = dataclasses.asdict(mattress)
    assert as_before["ground"].pop("foot_drag_n_s_m2") == 0.0
    assert mattress.to_dict() == as_before
    assert latex.to_dict() == dataclasses.asdict(latex)


def test_strength_is_in_the_order_of_the_wire_and_only_the_named_joints_change() -> None:
    strength = dict(zip(load_robot().joint_names, load_condition("weak_motor").motors.strength, strict=True))
    weakened = {name: factor for name, factor in strength.items() if factor != 1.0}
    assert weakened == {"RR_hip": 0.7, "RR_thigh": 0.55, "RR_calf": 0.55}


def test_a_file_may_extend_another_file_that_extends_nominal(tmp_path: Path) -> None:
    base = _write(tmp_path, {"extends": "mattress", "ground": {"friction": 0.2}}, "base.yaml")
    mine = _write(tmp_path, {"extends": str(base), "ground": {"slope_rad": 0.1}})
    ground = load_condition(mine).ground
    assert (ground.friction, ground.slope_rad) == (0.2, 0.1)
    assert ground.contact_time_constant_s == load_condition("mattress").ground.contact_time_constant_s


def test_a_complete_file_needs_no_base(tmp_path: Path, complete: Dict[str, Any]) -> None:
    assert load_condition(_write(tmp_path, complete)).ground == load_condition("nominal").ground


Edit = Callable[[Dict[str, Any]], None]


def _edit(*keys: str, value: Any) -> Edit:
    def apply(document: Dict[str, Any]) -> None:
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = value

    return apply


@pytest.mark.parametrize(
    ("edit", "place", "found"),
    [
        (_edit("ground", "frictoin", value=0.5), "ground", "unknown: frictoin"),
        (_edit("weather", value={}), "mine.yaml", "unknown: weather"),
        (lambda document: document["ground"].pop("friction"), "ground", "missing: friction"),
        (lambda document: document.pop("imu"), "mine.yaml", "missing: imu"),
        (lambda document: document["motors"]["strength"].pop("RL_calf"), "strength", "missing: RL_calf"),
        (_edit("motors", "strength", "RL_wing", value=1.0), "strength", "unknown: RL_wing"),
        (_edit("motors", "strength", value=0.5), "strength", "0.5"),
        (_edit("motors", "strength", "RL_calf", value=-0.1), "strength", "-0.1"),
        (_edit("ground", "friction", value=-0.5), "ground", "-0.5"),
        (_edit("ground", "friction", value="high"), "ground: friction", "'high'"),
        (_edit("ground", "friction", value=True), "ground: friction", "True"),
        (_edit("ground", "friction", value=float("nan")), "friction", "nan"),
        (_edit("ground", "contact_time_constant_s", value=0.0019), "contact_time_constant_s", "0.0019"),
        (_edit("ground", value=[1, 2]), "ground", "[1, 2]"),
        (_edit("payload", "offset_in_trunk_m", value=[0.0, 0.1]), "offset_in_trunk_m", "[0.0, 0.1]"),
        (_edit("motors", "command_delay_ms", value=2.5), "command_delay_ms", "2.5"),
        (_edit("power", "start_soc_percent", value=101), "start_soc_percent", "101"),
        (_edit("description", value=""), "description", "''"),
    ],
)
def test_a_wrong_file_is_refused_by_place_and_finding(
    tmp_path: Path, complete: Dict[str, Any], edit: Edit, place: str, found: str
) -> None:
    edit(complete)
    with pytest.raises(TwinConditionError) as caught:
        load_condition(_write(tmp_path, complete))
    assert "mine.yaml" in caught.value.expected
    assert place in caught.value.expected
    assert found in caught.value.found


def test_a_key_that_the_base_lacks_is_blamed_on_the_file_that_says_it(tmp_path: Path) -> None:
    mine = _write(tmp_path, {"extends": "nominal", "ground": {"sofness": 1.0}})
    with pytest.raises(TwinConditionError, match="sofness") as caught:
        load_condition(mine)
    assert "mine.yaml: ground" in caught.value.expected
    assert "friction" in caught.value.expected


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(TwinConditionError, match="latex, low_friction, mattress, nominal") as caught:
        load_condition("matress")
    assert caught.value.found == "'matress'"


def test_a_missing_file_is_no_condition(tmp_path: Path) -> None:
    with pytest.raises(TwinConditionError, match=r"nowhere\.yaml"):
        load_condition(tmp_path / "nowhere.yaml")


def test_conditions_that_extend_each_other_in_a_ring_are_refused(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    _write(tmp_path, {"extends": str(two)}, "one.yaml")
    _write(tmp_path, {"extends": str(one)}, "two.yaml")
    with pytest.raises(TwinConditionError, match="extends itself"):
        load_condition(one)


@pytest.mark.parametrize("text", ["ground: [", "just a sentence"])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(TwinConditionError, match=r"mine\.yaml"):
        load_condition(_write(tmp_path, text))


def test_soft_bumps_are_refused() -> None:
    mattress = load_condition("mattress").ground
    with pytest.raises(TwinConditionError, match="bumps of firm ground"):
        dataclasses.replace(mattress, roughness_height_m=0.02)
    firm = dataclasses.replace(mattress, roughness_height_m=0.02, contact_time_constant_s=0.2)
    assert firm.contact_time_constant_s * firm.contact_damping_ratio < 0.03


def test_bumps_that_drag_are_refused() -> None:
    rough = load_condition("rough").ground
    with pytest.raises(TwinConditionError, match="even ground where it drags"):
        dataclasses.replace(rough, foot_drag_n_s_m2=1.0)


def test_bounds_hold_for_conditions_made_in_code_and_include_their_ends() -> None:
    ground = load_condition("nominal").ground
    assert dataclasses.replace(ground, friction=2.0).friction == 2.0
    with pytest.raises(TwinConditionError, match=r"Ground\.friction within \[0.01, 2\]"):
        dataclasses.replace(ground, friction=2.0000001)
