"""Settings of a pretraining run, without its trainer: legged_gym's registration trains by the same ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from policy.contract import PolicyContract
from policy.gait_contract import gait_contract
from policy.uni_o4.settings import require
from policy.velocity_contract import velocity_contract
from robot_configs.errors import Go1Error
from robot_configs.robot import RobotModel
from sim.engines.choice import EngineChoice
from sim.velocity_settings import VelocityTaskSettings

_RANGES = (
    ("initial_std", 1e-3, 10.0),
    ("deployed_std", 1e-3, 10.0),
    ("entropy_weight", 0.0, 1.0),
    ("learning_rate", 1e-12, 1.0),
    ("desired_kl", 1e-6, 1.0),
    ("clip", 1e-3, 1.0),
    ("gamma", 0.0, 0.9999),
    ("gae_lambda", 0.0, 1.0),
)
"""Field, smallest and largest value; beyond them PPO means nothing."""


class PretrainSettingsError(Go1Error):
    """Settings that no run can have."""


@dataclass(frozen=True)
class PretrainSettings:
    """Settings of one pretraining run.

    Raises:
        PretrainSettingsError, SettingsError: no run can have them.

    Attributes:
        steps: environment steps in all.
        steps_per_iteration: control steps each robot takes between two updates.
        actor_hidden, critic_hidden: widths of the hidden layers.
        initial_std: of the actions, before learning.
        deployed_std: mean std of the actions in the bundle, whatever training ended with: what a log explores
            with. The mean action, which is what walks, does not depend on it.
        threads: torch threads; the engine uses every core on its own.
        engine: what simulates.
        policy: what it is commanded: a velocity, or a velocity and a gait.
        save_every: iterations between two checkpoints: what a killed run loses at most.
        begin_with_trot: whether the actor imitates a scripted trot before PPO begins, instead of moving at random.
        begin_with_run: SHA-256 of the bundle of the earlier run whose actor and critic this one begins with
            (`sim.earlier_run`); empty for none. What they are is then not up to `initial_std`.
        mirror: whether every update learns from each sample twice, as it is and with left and right exchanged.
    """

    steps: int = 17_203_200
    steps_per_iteration: int = 24
    actor_hidden: tuple[int, ...] = (128, 128)
    critic_hidden: tuple[int, ...] = (256, 128)
    initial_std: float = 0.8
    deployed_std: float = 0.2
    entropy_weight: float = 0.008
    learning_rate: float = 1e-3
    desired_kl: float = 0.01
    clip: float = 0.2
    epochs: int = 5
    minibatches: int = 4
    gamma: float = 0.99
    gae_lambda: float = 0.95
    save_every: int = 50
    threads: int = 2
    policy: Literal["velocity", "gait"] = "velocity"
    begin_with_trot: bool = False
    begin_with_run: str = ""
    mirror: bool = False
    engine: EngineChoice = field(default_factory=EngineChoice)
    task: VelocityTaskSettings = field(default_factory=VelocityTaskSettings)

    def __post_init__(self) -> None:
        for name in ("steps_per_iteration", "epochs", "minibatches", "save_every", "threads"):
            require(self, name, 1)
        for name, lower, upper in _RANGES:
            require(self, name, lower, upper)
        for name in ("actor_hidden", "critic_hidden"):
            widths = getattr(self, name)
            if not widths or not min(widths) >= 1:
                raise PretrainSettingsError(f"{name} of at least one width of at least 1", f"{widths}", "Correct it.")
        an_iteration = self.steps_per_iteration * self.task.num_envs
        if self.minibatches > an_iteration:
            expected = f"minibatches of at most {an_iteration}, a sample each"
            raise PretrainSettingsError(expected, f"{self.minibatches}", "Ask for fewer, or for more robots.")
        if not self.iterations >= 1:
            remedy = "Train for more steps, or with fewer robots."
            raise PretrainSettingsError(f"at least {an_iteration} steps, one iteration", f"{self.steps}", remedy)

    def contract(self, robot: RobotModel) -> PolicyContract:
        """Of the policy that comes out."""
        return {"velocity": velocity_contract, "gait": gait_contract}[self.policy](robot)

    @property
    def iterations(self) -> int:
        return self.steps // (self.steps_per_iteration * self.task.num_envs)
