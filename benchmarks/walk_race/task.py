"""What one part of the race trains: a method, a seed, and the settings that both methods share."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Optional

from safetensors.torch import load_file

from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from robot_configs.robot import load_robot
from sim.engines.choice import EngineChoice
from sim.presets import preset
from sim.pretrain import policy_from_checkpoint
from sim.pretrain_settings import PretrainSettings
from sim.settings_paths import with_value

Method = Literal["ours", "stable-baselines3"]
METHODS: tuple[Method, ...] = ("ours", "stable-baselines3")
PRESET = "quick"


@dataclass(frozen=True)
class StableBaselinesSettings:
    """What SB3 can be tuned by beyond what the two share.

    Attributes:
        learning_rate: of Adam, to begin with.
        desired_kl: the rate is divided by 1.5 after an iteration whose divergence was more than twice this, and
            multiplied by it below half of this; None keeps the rate.
        target_kl: SB3's own: an iteration's epochs end early past 1.5 times this; None never.
        begin_with_trot: its actor imitates the scripted trot before PPO, as ours does; else random weights.
    """

    learning_rate: float = 1e-3
    desired_kl: Optional[float] = 0.01
    target_kl: Optional[float] = None
    begin_with_trot: bool = False


@dataclass(frozen=True)
class RaceTask:
    """One part: a method and a seed.

    Attributes:
        assignments: settings of the preset that are changed, by path.
        every: iterations between two policies that are kept.
        turn_s: length of a turn [s].
    """

    method: Method
    seed: int
    every: int
    turn_s: float
    steps: Optional[int] = None
    assignments: tuple[tuple[str, Any], ...] = ()
    tuned: StableBaselinesSettings = field(default_factory=StableBaselinesSettings)

    def settings(self) -> PretrainSettings:
        """Those of `go1 sim train --preset quick --seed`, with the changes."""
        settings = preset(PRESET, self.seed, EngineChoice())
        for path, value in (*self.assignments, *(() if self.steps is None else (("steps", self.steps),))):
            settings = with_value(settings, path, value)
        return settings

    def to_json(self) -> dict[str, Any]:
        """Everything that two parts must have in common to be one; SB3's own settings only where they matter."""
        content = {**asdict(self), "resolved": asdict(self.settings())}
        if not self.tuned.begin_with_trot:
            del content["tuned"]["begin_with_trot"]  # parts from before there was a choice are those without
        if self.method == "ours":
            del content["tuned"]
        copied: dict[str, Any] = json.loads(json.dumps(content))
        return copied

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> RaceTask:
        """Of what `to_json` wrote."""
        fields = {name: value for name, value in content.items() if name != "resolved"}
        fields["assignments"] = tuple((path, value) for path, value in fields["assignments"])
        if "tuned" in fields:
            fields["tuned"] = StableBaselinesSettings(**fields["tuned"])
        return cls(**fields)

    def policy(self, checkpoint: Path) -> PolicyGraph:
        """The policy in one of its checkpoints, as it would be deployed; needs no SB3."""
        settings = self.settings()
        if self.method == "ours":
            return policy_from_checkpoint(checkpoint, settings).requires_grad_(False)
        contract = settings.contract(load_robot())
        widths = contract.observation_dim, contract.action_dim
        actor = GaussianActor(*widths, settings.actor_hidden, settings.initial_std)
        actor.load_state_dict(load_file(str(checkpoint)))
        return PolicyGraph(contract, actor).requires_grad_(False)
