"""The contract of a policy: everything a program must know to feed it and to obey it, as data.

A contract is canonical JSON inside the sealed bundle. `policy.graph.PolicyGraph` is built from it, so that observation
terms, scales, history, gait clock, action scale and default pose live inside the exported ONNX graph and nowhere else.

Vectors at the graph's border are in the order of the robot's wire (`joint_names`). Inside, a policy may use the order
that it was trained in (`policy_joint_names`): that of `noise`, `action`, `action_mean`, `action_std` and `observation`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Dict, Mapping, Optional, Tuple

from policy.contract_terms import CONTRACT_VERSION, TERM_WIDTHS, CommandTerm, ContractError, GaitClock, ObservationTerm
from policy.contract_validation import validate_contract
from robot_configs.robot import RobotModel, canonical_json

__all__ = [
    "CONTRACT_VERSION",
    "OUTPUTS",
    "SIGNALS",
    "TERM_WIDTHS",
    "CommandTerm",
    "ContractError",
    "GaitClock",
    "ObservationTerm",
    "PolicyContract",
]


# Inputs of the exported graph, batch first, with their widths; `None` comes from the contract (`signal_widths`).
SIGNALS: Tuple[Tuple[str, Optional[int]], ...] = (
    ("orientation_trunk_in_world", 4),  # w x y z
    ("angular_velocity_trunk_in_trunk", 3),  # rad/s
    ("joint_position", 12),  # rad
    ("joint_velocity", 12),  # rad/s
    ("command", None),  # units in the contract's command terms
    ("noise", 12),  # standard normal; zeros mean deterministic
    ("memory", None),  # zeros mean just reset
)
# An ONNX graph can not have an input and an output of one name, hence `next_memory`.
OUTPUTS = ("joint_target", "action", "action_mean", "action_std", "log_prob", "observation", "next_memory")


@dataclass(frozen=True)
class PolicyContract:
    """What a policy is. Tuples of 12 are in the order of `joint_names`; angles in rad, gains in Nm/rad and Nm s/rad.

    Attributes:
        history_start: what stands for the moments before the first: copies of the first frame ("repeat"), or "zeros".
        action_clip: largest magnitude of an action that is carried out and remembered; None: any. `action` and
            `log_prob` are of the action before it is clipped.
        holds_commands: whether the graph clamps commands to their ranges and begins its slews at `CommandTerm.rest`.
    """

    robot: str
    joint_names: Tuple[str, ...]
    policy_joint_names: Tuple[str, ...]
    control_hz: int
    link_hz: int
    stiffness: Tuple[float, ...]
    damping: Tuple[float, ...]
    default_position: Tuple[float, ...]
    action_scale: Tuple[float, ...]
    target_lower: Tuple[float, ...]
    target_upper: Tuple[float, ...]
    commands: Tuple[CommandTerm, ...]
    terms: Tuple[ObservationTerm, ...]
    history_length: int
    gait_clock: Optional[GaitClock]
    observation_mean: Tuple[float, ...]
    observation_std: Tuple[float, ...]
    version: int = CONTRACT_VERSION
    history_start: str = "repeat"
    action_clip: Optional[float] = None
    holds_commands: bool = False

    def __post_init__(self) -> None:
        validate_contract(self)

    @property
    def command_dim(self) -> int:
        return len(self.commands)

    @property
    def command_names(self) -> Tuple[str, ...]:
        return tuple(term.name for term in self.commands)

    @property
    def slews_commands(self) -> bool:
        """Whether the memory holds the commands that the policy follows on the way to those given."""
        return any(term.slew_per_s is not None for term in self.commands)

    @property
    def remembers_two_actions(self) -> bool:
        """Whether the memory holds the action before the last as well."""
        return any(term.name == "action_before_last" for term in self.terms)

    @property
    def settle_steps(self) -> int:
        """Steps for which the gait clock goes on after the last command to walk; the memory counts them."""
        return 0 if self.gait_clock is None else round(self.gait_clock.settle_s * self.control_hz)

    def command_bounds(self) -> Dict[str, Tuple[float, ...]]:
        """What a graph that holds its commands needs to know of them, each (C,), by the names of its buffers."""
        return {
            "lowest_command": tuple(term.lower for term in self.commands),
            "highest_command": tuple(term.upper for term in self.commands),
            "command_at_rest": tuple(term.rest for term in self.commands),
        }

    def without_slew(self) -> "PolicyContract":
        """The same with commands that are followed at once."""
        return replace(self, commands=tuple(replace(term, slew_per_s=None) for term in self.commands))

    @property
    def action_dim(self) -> int:
        return len(self.joint_names)

    def term_width(self, name: str) -> int:
        """Number of values that an observation term contributes to a frame."""
        if name == "command":
            return self.command_dim
        if name == "gait_clock":
            return self.gait_clock.width if self.gait_clock else 0
        return TERM_WIDTHS[name]

    @property
    def frame_dim(self) -> int:
        """Width of the observation of one moment."""
        return sum(self.term_width(term.name) for term in self.terms)

    @property
    def observation_dim(self) -> int:
        """Width of the stacked observation, oldest frame first."""
        return self.frame_dim * self.history_length

    @property
    def memory_dim(self) -> int:
        """Width of the memory: started, gait phase, last action or two, commands followed, steps to go, frames."""
        actions = self.action_dim * (2 if self.remembers_two_actions else 1)
        followed = self.command_dim if self.slews_commands else 0
        return 2 + actions + followed + (self.settle_steps > 0) + self.frame_dim * (self.history_length - 1)

    def signal_widths(self) -> Dict[str, int]:
        """Width of every graph input by name."""
        own = {"command": self.command_dim, "memory": self.memory_dim}
        return {name: own[name] if width is None else width for name, width in SIGNALS}

    def output_widths(self) -> Dict[str, int]:
        """Width of every graph output by name; `log_prob` has none (shape (B,)) and is given as 0."""
        widths = dict.fromkeys(("joint_target", "action", "action_mean", "action_std"), self.action_dim)
        return {**widths, "log_prob": 0, "observation": self.observation_dim, "next_memory": self.memory_dim}

    def to_dict(self) -> Dict[str, Any]:
        """Its fields in the order of their definition, without later ones that change nothing."""
        content = asdict(self)
        _leave_out(PolicyContract, content)
        for command in content["commands"]:
            _leave_out(CommandTerm, command)
        if content["gait_clock"] is not None:
            _leave_out(GaitClock, content["gait_clock"])
        return content

    def to_json(self) -> str:
        """Canonical JSON: equal contracts give equal bytes."""
        return canonical_json(self.to_dict())

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @staticmethod
    def from_json(text: str) -> "PolicyContract":
        """Parse strictly: an unknown or missing field is an error that names it.

        Raises:
            ContractError
        """
        try:
            content = json.loads(text)
        except ValueError as error:
            raise ContractError("a contract in JSON", f"other text ({error})", "Export the policy anew.") from None
        content = dict(_exact_fields(PolicyContract, content, "contract"))
        content["commands"] = tuple(
            CommandTerm(**_exact_fields(CommandTerm, term, "command term")) for term in content["commands"]
        )
        terms = [_exact_fields(ObservationTerm, term, "observation term") for term in content["terms"]]
        content["terms"] = tuple(ObservationTerm(term["name"], tuple(term["scale"])) for term in terms)
        if content["gait_clock"] is not None:
            clock = dict(_exact_fields(GaitClock, content["gait_clock"], "gait clock"))
            clock["channels"] = tuple(tuple(channel) for channel in clock["channels"])
            content["gait_clock"] = GaitClock(**clock)
        values: Dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in content.items()}
        return PolicyContract(**values)

    def check_robot(self, robot: RobotModel) -> None:
        """Refuse a robot that this policy is not for.

        Raises:
            ContractError: names the field that differs.
        """
        facts = (
            ("robot", self.robot, robot.name),
            ("joint_names", self.joint_names, robot.joint_names),
            ("link_hz", self.link_hz, robot.link_hz),
            ("control_hz", self.control_hz, robot.control_hz),
        )
        for field, wanted, present in facts:
            if wanted != present:
                raise ContractError(
                    f"{field} = {wanted!r}, as the policy was trained for",
                    f"{present!r} on this robot",
                    "Flash a policy that was made for this robot; do not edit the contract.",
                )
        limits = (
            ("stiffness", max(self.stiffness), robot.max_stiffness),
            ("damping", max(self.damping), robot.max_damping),
        )
        for field, wanted_gain, limit in limits:
            if wanted_gain > limit:
                raise ContractError(
                    f"{field} of at most {limit}, the robot's limit",
                    f"{wanted_gain}",
                    "Train with softer gains, or raise the limit in the robot's description if that is safe.",
                )
        for field in ("default_position", "target_lower", "target_upper"):
            self._check_joint_range(field, robot)

    def _check_joint_range(self, field: str, robot: RobotModel) -> None:
        bounds = zip(robot.joint_names, getattr(self, field), robot.joint_lower, robot.joint_upper)
        for joint, angle, lower, upper in bounds:
            if not lower <= angle <= upper:
                raise ContractError(
                    f"{field} of {joint} within [{lower}, {upper}] rad, the robot's limits",
                    f"{angle} rad",
                    "Train within the robot's limits: elsewhere the gate holds the joint and the policy errs.",
                )


# Fields that came later: not in the JSON where they have this value, so that older contracts keep their bytes.
_LEFT_OUT_AT: Dict[type, Dict[str, Any]] = {
    PolicyContract: {"history_start": "repeat", "action_clip": None, "holds_commands": False},
    CommandTerm: {"neutral": None},
    GaitClock: {"settle_s": 0.0},
}


def _leave_out(kind: type, content: Dict[str, Any]) -> None:
    for name, value in _LEFT_OUT_AT[kind].items():
        if content[name] == value:
            del content[name]


def _exact_fields(kind: Any, content: Any, what: str) -> Mapping[str, Any]:
    expected = {field.name for field in fields(kind)}
    may_miss = _LEFT_OUT_AT.get(kind, {})
    found = set(content) if isinstance(content, dict) else set()
    missing, unknown = expected - found - set(may_miss), found - expected
    if missing or unknown:
        raise ContractError(
            f"a {what} with exactly the fields {', '.join(sorted(expected - set(may_miss)))}"
            + (f", and at most {', '.join(sorted(may_miss))}" if may_miss else ""),
            f"missing: {', '.join(sorted(missing)) or 'none'}; unknown: {', '.join(sorted(unknown)) or 'none'}",
            "Export the policy anew with this version of the project.",
        )
    idle = sorted(name for name, value in may_miss.items() if name in found and content[name] == value)
    if idle:
        # One contract must not have two spellings: its hash is its name.
        raise ContractError(
            f"a {what} without what changes nothing", f"{', '.join(idle)} at its default", "Leave it out."
        )
    return dict(content)
