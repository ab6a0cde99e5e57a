"""What a contract must not say: contradictions between its fields, found when it is made.

Whether a contract fits a robot is `PolicyContract.check_robot`; whether its JSON holds numbers at all is checked in
`policy.contract_types`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from policy.contract_terms import CONTRACT_VERSION, HISTORY_STARTS, LONGEST_SETTLING_S, TERM_WIDTHS, ContractError

if TYPE_CHECKING:
    from policy.contract import PolicyContract


def validate_contract(contract: PolicyContract) -> None:
    """Refuse a contract that contradicts itself.

    Raises:
        ContractError: names the field.
    """
    if contract.version != CONTRACT_VERSION:
        _refuse(f"contract version {CONTRACT_VERSION}", contract.version)
    joints = len(contract.joint_names)
    if sorted(contract.policy_joint_names) != sorted(contract.joint_names):
        _refuse("policy_joint_names to be a permutation of joint_names", contract.policy_joint_names)
    per_joint = ("stiffness", "damping", "default_position", "action_scale", "target_lower", "target_upper")
    for name in per_joint:
        values = getattr(contract, name)
        if len(values) != joints or not all(math.isfinite(value) for value in values):
            _refuse(f"{joints} finite numbers in {name}", values)
    if min(contract.stiffness) < 0 or min(contract.damping) < 0:
        _refuse("gains of at least zero", (contract.stiffness, contract.damping))
    if not all(contract.target_lower[joint] < contract.target_upper[joint] for joint in range(joints)):
        _refuse("target_lower below target_upper for every joint", (contract.target_lower, contract.target_upper))
    if contract.control_hz <= 0 or contract.link_hz % contract.control_hz:
        _refuse("link_hz divisible by control_hz", (contract.link_hz, contract.control_hz))
    if contract.history_length < 1:
        _refuse("a history of at least the current frame", contract.history_length)
    _validate_commands(contract)
    if contract.history_start not in HISTORY_STARTS:
        _refuse(f"history_start among {', '.join(HISTORY_STARTS)}", contract.history_start)
    if contract.history_start != HISTORY_STARTS[0] and contract.history_length == 1:
        _refuse(f"history_start {HISTORY_STARTS[0]} where there is no history", contract.history_start)
    if contract.action_clip is not None and not 0.0 < contract.action_clip < math.inf:
        _refuse("a positive action_clip, or none", contract.action_clip)
    _validate_terms(contract)
    for name in ("observation_mean", "observation_std"):
        if len(getattr(contract, name)) not in (0, contract.observation_dim):
            _refuse(f"no or {contract.observation_dim} values in {name}", len(getattr(contract, name)))
    if contract.observation_std and min(contract.observation_std) <= 0:
        _refuse("positive observation_std", min(contract.observation_std))


def _validate_terms(contract: PolicyContract) -> None:
    known = set(TERM_WIDTHS) | {"command", "gait_clock"}
    for term in contract.terms:
        if term.name not in known:
            _refuse(f"an observation term among {', '.join(sorted(known))}", term.name)
        if len(term.scale) not in (1, contract.term_width(term.name)):
            _refuse(f"one scale or {contract.term_width(term.name)} for the term {term.name}", term.scale)
    observed = [term.name for term in contract.terms]
    if len(set(observed)) < len(observed):
        _refuse("each observation term once", observed)
    clock = contract.gait_clock
    if (clock is not None) != any(term.name == "gait_clock" for term in contract.terms):
        _refuse("a gait clock exactly if the term gait_clock is used", clock)
    if clock is not None:
        if clock.waveform not in ("sin", "sin_cos"):
            _refuse("waveform sin or sin_cos", clock.waveform)
        names = {name for channel in clock.channels for name in channel}
        names |= {clock.frequency} if isinstance(clock.frequency, str) else set()
        if not names <= set(contract.command_names):
            _refuse(f"gait clock inputs among the commands {', '.join(contract.command_names)}", sorted(names))
        if not 0.0 <= clock.settle_s <= LONGEST_SETTLING_S:
            _refuse(f"a gait clock's settle_s from 0 to {LONGEST_SETTLING_S:g}", clock.settle_s)


def _validate_commands(contract: PolicyContract) -> None:
    for command in contract.commands:
        if not command.lower <= command.upper:
            _refuse(f"a range with lower <= upper for the command {command.name}", (command.lower, command.upper))
        if command.slew_per_s is not None and not 0.0 < command.slew_per_s < math.inf:
            _refuse(f"a positive slew_per_s, or none, for the command {command.name}", command.slew_per_s)
        if command.neutral is not None and not command.lower <= command.neutral <= command.upper:
            _refuse(f"a neutral value inside the range of the command {command.name}, or none", command.neutral)


def _refuse(expected: str, found: object) -> None:
    raise ContractError(expected, repr(found), "Correct the contract.")
