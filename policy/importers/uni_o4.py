"""Policies of Uni-O4 for the Go1: state_dicts of its Gaussian policy and of the ActorCritic it starts from.

Read off the released code's go1_gym_deploy (scripts/net.py: `GaussPolicyMLP`; scripts/actor_critic.py: `ActorCritic`).
Their `std` means two things: in `ActorCritic` the deviation itself, in `GaussPolicyMLP` a number p in about [-1, 1]
that is mapped onto a range of log-deviations. On the robot both act with the mean.
"""

from __future__ import annotations

from pathlib import Path
from typing import Sequence

import numpy as np

from policy.contract import PolicyContract
from policy.importers.import_error import PolicyImportError
from policy.importers.imported_policy import ImportedPolicy, checked_std, require_files
from policy.importers.linear_layers import perceptron_from_state, require_widths
from policy.importers.torch_archive import read_checkpoint

LOG_STD_RANGE = (-10.0, 2.0)
"""log std = low + (high - low) (p + 1) / 2, by `soft_clamp` without its tanh; other branches of the code end at 1.5."""


def read_uni_o4(files: Sequence[Path], contract: PolicyContract) -> ImportedPolicy:
    """The policy network and its deviation.

    Raises:
        PolicyImportError: another kind of file, entries that are missing, other widths.
    """
    require_files(files, (1,), "the policy's state_dict, as pi_latest.pt or ac_weights_*.pt")
    file = files[0].name
    state = read_checkpoint(files[0]).content
    prefix = "actor_body." if any(str(name).startswith("actor_body.") for name in state) else "_net."
    body = perceptron_from_state(state, prefix, file)
    if body.outputs == 2 * contract.action_dim:
        raise PolicyImportError(
            f"one output for each of {contract.action_dim} joints of {body.place}",
            f"{body.outputs}: a deviation that depends on the state (para_std = False)",
            "A contract has a deviation of its own for each action: train with para_std.",
        )
    meaning = f"{contract.frame_dim} values x {contract.history_length} moments"
    require_widths(body, contract.observation_dim, contract.action_dim, meaning)
    if "std" not in state:
        return ImportedPolicy(body, None, None)
    std = checked_std(state["std"], contract.action_dim, f"std of {file}")
    if prefix == "_net.":
        low, high = LOG_STD_RANGE
        std = np.exp(low + 0.5 * (high - low) * (std + 1.0))
    return ImportedPolicy(body, None, std)
