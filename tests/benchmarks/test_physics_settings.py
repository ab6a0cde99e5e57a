"""What of a model decides how long a step takes, and a model of ours that has the same."""

import dataclasses

import mujoco
import pytest

from benchmarks.physics_settings import PhysicsSettings, PhysicsSettingsError, matched_model
from robot_configs.robot import MODEL_XML, load_robot
from sim.engines.mujoco import MujocoEngine
from sim.engines.mujoco_model import training_model
from tests.benchmarks import fake_envpool

THEIRS = PhysicsSettings(0.004, 5, "NEWTON", 1, 5, "PYRAMIDAL", "EULER", ("EULERDAMP",), 4, (3,))


def test_of_our_model_by_hand() -> None:
    """Four feet, four knees and the trunk, each with the floor alone; the rest is in go1.xml."""
    model = mujoco.MjModel.from_xml_path(str(MODEL_XML))
    assert PhysicsSettings.of(model, 5) == PhysicsSettings(
        0.004, 5, "PGS", 10, 50, "PYRAMIDAL", "IMPLICITFAST", (), 9, (3,)
    )


def test_of_another_model_by_hand(tmp_path) -> None:
    """The floor's dimensions decide, for it has the higher priority; its own time step is told by another."""
    fake_envpool.lay_assets(tmp_path)
    theirs = PhysicsSettings.of_scene(tmp_path / fake_envpool.SCENE, sim_dt_s=0.004, ctrl_dt_s=0.02)
    assert theirs == THEIRS
    assert str(theirs) == (
        "4 ms x 5, NEWTON with 1 iterations of 5 line searches, PYRAMIDAL, EULER without EULERDAMP, "
        "4 contact pairs of 3 dimensions"
    )


def test_geoms_of_one_body_are_no_pair() -> None:
    body = '<body><freejoint/><geom name="a" size="1"/><geom name="b" size="1"/>{}</body>'
    for inside, pairs in (("", 2), ('<body><joint/><geom size="1"/></body>', 3)):
        xml = f'<mujoco><worldbody><geom type="plane" size="1 1 1"/>{body.format(inside)}</worldbody></mujoco>'
        assert PhysicsSettings.of(mujoco.MjModel.from_xml_string(xml), 1).contact_pairs == pairs


def test_a_matched_model_has_their_settings_and_our_robot() -> None:
    ours, matched = training_model(), matched_model(THEIRS, load_robot())
    assert PhysicsSettings.of(matched, 5) == THEIRS != PhysicsSettings.of(ours, 5)
    assert matched.vis.global_.bvactive == 0
    assert (matched.body_mass == ours.body_mass).all() and (matched.actuator_gainprm == ours.actuator_gainprm).all()


def test_the_engine_steps_the_model_that_it_is_given() -> None:
    """Free fall at another time step: five steps of 2 ms."""
    robot = load_robot()
    theirs = dataclasses.replace(THEIRS, time_step_s=0.002, decimation=10)
    engine = MujocoEngine(robot, 1, 1, model=matched_model(theirs, robot))
    assert engine.physics_dt_s == 0.002


@pytest.mark.parametrize(
    ("changes", "named"), [({"contact_pairs": 5}, "contact_pairs"), ({"contact_dimensions": (1,)}, "contact_dim")]
)
def test_contacts_that_are_not_those_of_four_feet_can_not_be_matched(changes, named) -> None:
    with pytest.raises(PhysicsSettingsError, match=named):
        matched_model(dataclasses.replace(THEIRS, **changes), load_robot())
