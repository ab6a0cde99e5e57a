"""The contract of a policy: everything a program must know to feed it and to obey it, as data.

A contract is canonical JSON inside the sealed bundle. `policy.graph.PolicyGraph` is built from it, so that observation
terms, scales, history, gait clock, action scale and default pose live inside the exported ONNX graph and nowhere else.

Vectors at the graph's border are in the order of the robot's wire (`joint_names`). Inside, a policy may use the order
that it was trained in (`policy_joint_names`): that of `noise`, `action`, `action_mean`, `action_std` and `observation`.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Dict, Mapping, Optional, Tuple, Union

from robot_configs.errors import Go1Error
from robot_configs.robot import RobotModel, canonical_json

CONTRACT_VERSION = 1

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

TERM_WIDTHS = {  # command and gait_clock take theirs from the contract
    "projected_gravity": 3,  # gravity direction in the trunk frame, unit length
    "angular_velocity": 3,
    "joint_position": 12,  # minus the default position
    "joint_velocity": 12,
    "last_action": 12,
}


class ContractError(Go1Error):
    """A contract that contradicts itself, or does not fit the robot or the runner."""


@dataclass(frozen=True)
class CommandTerm:
    """One command input: its unit and the range that the policy was trained for.

    Attributes:
        slew_per_s: how fast the value that the policy follows moves to the one commanded [unit/s]; None: at once. It
            starts at zero, for a robot that begins to walk stands.
    """

    name: str
    unit: str
    lower: float
    upper: float
    slew_per_s: Optional[float] = None


@dataclass(frozen=True)
class ObservationTerm:
    """One block of an observation frame: `scale` times the quantity, elementwise where several scales are given."""

    name: str
    scale: Tuple[float, ...]


@dataclass(frozen=True)
class GaitClock:
    """A phase in [0, 1) that the graph advances by frequency / control_hz each step, seen through sines.

    Attributes:
        frequency: Hz, or the name of the command term that holds it.
        channels: for each channel the names of the command terms that are added to its phase.
        waveform: `sin` gives one value a channel, `sin_cos` two.
        stand_below: the clock shows zeros while the first three commands' norm is below this; 0 keeps it always on.
    """

    frequency: Union[float, str]
    channels: Tuple[Tuple[str, ...], ...]
    waveform: str
    stand_below: float

    @property
    def width(self) -> int:
        return len(self.channels) * (2 if self.waveform == "sin_cos" else 1)


@dataclass(frozen=True)
class PolicyContract:
    """What a policy is. Tuples of 12 are in the order of `joint_names`; angles in rad, gains in Nm/rad and Nm s/rad."""

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

    def __post_init__(self) -> None:
        _validate(self)

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
        """Width of the memory: started flag, gait phase, last action, commands followed, frames before this one."""
        followed = self.command_dim if self.slews_commands else 0
        return 2 + self.action_dim + followed + self.frame_dim * (self.history_length - 1)

    def signal_widths(self) -> Dict[str, int]:
        """Width of every graph input by name."""
        own = {"command": self.command_dim, "memory": self.memory_dim}
        return {name: own[name] if width is None else width for name, width in SIGNALS}

    def output_widths(self) -> Dict[str, int]:
        """Width of every graph output by name; `log_prob` has none (shape (B,)) and is given as 0."""
        widths = dict.fromkeys(("joint_target", "action", "action_mean", "action_std"), self.action_dim)
        return {**widths, "log_prob": 0, "observation": self.observation_dim, "next_memory": self.memory_dim}

    def to_json(self) -> str:
        """Canonical JSON: equal contracts give equal bytes."""
        return canonical_json(asdict(self))

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


def _exact_fields(kind: Any, content: Any, what: str) -> Mapping[str, Any]:
    expected = {field.name for field in fields(kind)}
    found = set(content) if isinstance(content, dict) else set()
    if expected != found:
        raise ContractError(
            f"a {what} with exactly the fields {', '.join(sorted(expected))}",
            f"missing: {', '.join(sorted(expected - found)) or 'none'}; "
            f"unknown: {', '.join(sorted(found - expected)) or 'none'}",
            "Export the policy anew with this version of the project.",
        )
    return dict(content)


def _validate(contract: PolicyContract) -> None:
    def refuse(expected: str, found: object) -> None:
        raise ContractError(expected, repr(found), "Correct the contract.")

    if contract.version != CONTRACT_VERSION:
        refuse(f"contract version {CONTRACT_VERSION}", contract.version)
    joints = len(contract.joint_names)
    if sorted(contract.policy_joint_names) != sorted(contract.joint_names):
        refuse("policy_joint_names to be a permutation of joint_names", contract.policy_joint_names)
    per_joint = ("stiffness", "damping", "default_position", "action_scale", "target_lower", "target_upper")
    for name in per_joint:
        values = getattr(contract, name)
        if len(values) != joints or not all(math.isfinite(value) for value in values):
            refuse(f"{joints} finite numbers in {name}", values)
    if min(contract.stiffness) < 0 or min(contract.damping) < 0:
        refuse("gains of at least zero", (contract.stiffness, contract.damping))
    if not all(lower < upper for lower, upper in zip(contract.target_lower, contract.target_upper)):
        refuse("target_lower below target_upper for every joint", (contract.target_lower, contract.target_upper))
    if contract.control_hz <= 0 or contract.link_hz % contract.control_hz:
        refuse("link_hz divisible by control_hz", (contract.link_hz, contract.control_hz))
    if contract.history_length < 1:
        refuse("a history of at least the current frame", contract.history_length)
    for command in contract.commands:
        if not command.lower <= command.upper:
            refuse(f"a range with lower <= upper for the command {command.name}", (command.lower, command.upper))
        if command.slew_per_s is not None and not 0.0 < command.slew_per_s < math.inf:
            refuse(f"a positive slew_per_s, or none, for the command {command.name}", command.slew_per_s)
    _validate_terms(contract, refuse)
    for name in ("observation_mean", "observation_std"):
        if len(getattr(contract, name)) not in (0, contract.observation_dim):
            refuse(f"no or {contract.observation_dim} values in {name}", len(getattr(contract, name)))
    if contract.observation_std and min(contract.observation_std) <= 0:
        refuse("positive observation_std", min(contract.observation_std))


def _validate_terms(contract: PolicyContract, refuse: Any) -> None:
    known = set(TERM_WIDTHS) | {"command", "gait_clock"}
    for term in contract.terms:
        if term.name not in known:
            refuse(f"an observation term among {', '.join(sorted(known))}", term.name)
        if len(term.scale) not in (1, contract.term_width(term.name)):
            refuse(f"one scale or {contract.term_width(term.name)} for the term {term.name}", term.scale)
    clock = contract.gait_clock
    if (clock is not None) != any(term.name == "gait_clock" for term in contract.terms):
        refuse("a gait clock exactly if the term gait_clock is used", clock)
    if clock is not None:
        if clock.waveform not in ("sin", "sin_cos"):
            refuse("waveform sin or sin_cos", clock.waveform)
        names = {name for channel in clock.channels for name in channel}
        names |= {clock.frequency} if isinstance(clock.frequency, str) else set()
        if not names <= set(contract.command_names):
            refuse(f"gait clock inputs among the commands {', '.join(contract.command_names)}", sorted(names))
