"""Named settings of pretraining runs: every choice of a preset is in this file and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import Callable, Dict, Optional

from policy.rewards import RewardWeights
from robot_configs.errors import Go1Error
from sim.engines.choice import EngineChoice
from sim.pretrain_settings import PretrainSettings
from sim.randomization import FIRM_GROUND, Randomization
from sim.shaping import ShapingWeights
from sim.terrain.settings import TerrainSettings
from sim.velocity_settings import VelocityTaskSettings

# Who has to stand shall step where that saves him: ten centimetres off with every foot cost 0.4 of the 1.5 of a perfect
# step, moving joints 0.1 at most (`standing_motion` charged a quick step with more than 1, and robots fell rather).
_STEPPING = ShapingWeights(stance=-10.0, stillness=-0.1)
_REWARD = RewardWeights(standing_motion=0.0)


class PresetError(Go1Error):
    """A preset that does not exist."""


def _standard() -> PretrainSettings:
    """A plain run from random actions: a flat floor, moderate variation."""
    return PretrainSettings()


def _quick() -> PretrainSettings:
    """A walk on firm ground within minutes on two cores: half the robots, so that twice the updates fit into a step.

    What hardly shows on the nominal twin is left out: pushes that throw robots over, and long delays.
    """
    randomization = Randomization(
        friction=(0.5, 1.25),
        payload_kg=(-0.5, 1.0),
        delay_substeps=(0, 2),
        push_speed_m_s=0.3,
        standing_fraction=0.2,
        gravity_noise=0.03,
        joint_velocity_noise_rad_s=0.7,
    )
    return PretrainSettings(
        steps=2_211_840,
        entropy_weight=0.005,
        initial_std=0.6,
        gamma=0.95,
        begin_with_trot=True,
        mirror=True,
        task=VelocityTaskSettings(num_envs=512, randomization=randomization, reward=_REWARD, shaping=_STEPPING),
    )


def _robust() -> PretrainSettings:
    """Ground and robots that nobody has seen yet: all kinds of terrain with a curriculum, and every parameter varied.

    The ranges were chosen knowing the conditions that a policy is measured in (`benchmarks.transfer`), and go beyond
    each of them: friction 0.3, 3 kg 0.1 m above the trunk's centre, a motor at 70 %, 12 ms of delay, pushes of 0.5 m/s.

    Meant to begin with a finished run of `quick`, whose networks it has for that.
    """
    randomization = Randomization(
        friction=(0.25, 1.5),
        payload_kg=(-1.0, 4.0),
        payload_offset_m=0.12,
        center_of_mass_shift_m=0.04,
        link_mass_scale=(0.9, 1.1),
        gain_scale=(0.8, 1.2),
        motor_strength=(0.6, 1.1),
        joint_friction_nm=(0.0, 0.6),
        armature_scale=(0.8, 1.5),
        ground_time_constant_s=(0.01, 0.05),
        delay_substeps=(0, 8),
        nominal_share=0.4,
        encoder_offset_rad=0.03,
        gravity_bias=0.02,
        angular_velocity_bias_rad_s=0.05,
        push_speed_m_s=1.0,
        standing_fraction=0.2,
    )
    shaping = replace(_STEPPING, far=-1.0)
    # A fourth of the robots on level ground, which alone may be soft.
    terrain = TerrainSettings(kinds=("flat", *TerrainSettings().kinds))
    return PretrainSettings(
        steps=24_576_000,
        entropy_weight=0.002,
        initial_std=0.6,
        gamma=0.95,
        begin_with_trot=True,
        mirror=True,
        task=VelocityTaskSettings(
            num_envs=1024, randomization=randomization, reward=_REWARD, shaping=shaping, terrain=terrain
        ),
    )


def _gait() -> PretrainSettings:
    """The gait as commands, on robots of `robust`: more to learn, half as many steps again.

    Meant to begin with a finished run of `quick`, as `robust` is.

    Ground is flat, rough or sloping: a step of 10 cm needs a swing of its own choice, not one of 4 cm that was told.
    Heights weigh more than where there is one for everybody: a trunk 3 cm off costs 0.27 of a step, not 0.007, and
    two feet 4 cm off at their apex leave exp(-2 x 0.04^2 / 0.003) = 0.34 of the swing's reward, not 0.73.
    """
    robust = _robust()
    shaping = replace(_STEPPING, swing=1.5, swing_width_m2=0.003, height=-300.0)
    terrain = TerrainSettings(kinds=("flat", "rough", "slope_up", "slope_down"), rough_height_m=0.04)
    task = replace(robust.task, shaping=shaping, terrain=terrain)
    return replace(robust, policy="gait", steps=36_864_000, task=task)


PRESETS: Dict[str, Callable[[], PretrainSettings]] = {
    "standard": _standard,
    "quick": _quick,
    "robust": _robust,
    "gait": _gait,
}


def preset(
    name: str, seed: int, engine: EngineChoice, steps: Optional[int] = None, firm_ground: bool = False
) -> PretrainSettings:
    """The settings of that name, with a seed, an engine and, if given, another number of environment steps.

    Args:
        firm_ground: the ground is firm under every robot, whatever the preset says; nothing else changes.

    Raises:
        PresetError: there is none of that name.
    """
    if name not in PRESETS:
        raise PresetError(f"one of {', '.join(PRESETS)}", name, "Choose one of them.")
    settings = PRESETS[name]()
    task = replace(settings.task, seed=seed)
    if firm_ground:
        task = replace(task, randomization=replace(task.randomization, ground_time_constant_s=FIRM_GROUND))
    return replace(settings, task=task, engine=engine, steps=settings.steps if steps is None else steps)
