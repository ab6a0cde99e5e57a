"""Policies of walk-these-ways: two TorchScript modules, or one checkpoint with both networks and the deviation.

`body_latest.jit` and `adaptation_module_latest.jit` are what the repository ships and deploys; `ac_weights_*.pt` is the
state_dict of its `ActorCritic` (go1_gym_learn/ppo_cse/actor_critic.py). Which file is which is seen by their widths.
"""

from __future__ import annotations

from pathlib import Path
from typing import List, Sequence

from policy.contract import PolicyContract
from policy.importers.import_error import PolicyImportError
from policy.importers.imported_policy import ImportedPolicy, checked_std, require_files
from policy.importers.linear_layers import (
    Perceptron,
    perceptron_from_script,
    perceptron_from_state,
    require_widths,
)
from policy.importers.torch_archive import read_checkpoint, read_script

ESTIMATE_DIM = 2
"""Friction and restitution: `num_privileged_obs` of the shipped training script."""


def read_walk_these_ways(files: Sequence[Path], contract: PolicyContract) -> ImportedPolicy:
    """Body and adaptation module; their deviation only from a checkpoint.

    Raises:
        PolicyImportError: another kind of file or module, one of the two missing, other widths.
    """
    require_files(files, (1, 2), "body_latest.jit and adaptation_module_latest.jit, or ac_weights_*.pt")
    if len(files) == 1:
        return _read_checkpoint(files[0], contract)
    networks = [perceptron_from_script(read_script(file).content, file.name) for file in files]
    body = _only(networks, contract.observation_dim + ESTIMATE_DIM, "the body")
    adaptation = _only(networks, contract.observation_dim, "the adaptation module")
    _require_both(body, adaptation, contract)
    return ImportedPolicy(body, adaptation, None)


def _read_checkpoint(file: Path, contract: PolicyContract) -> ImportedPolicy:
    state = read_checkpoint(file).content
    body = perceptron_from_state(state, "actor_body.", file.name)
    adaptation = perceptron_from_state(state, "adaptation_module.", file.name)
    _require_both(body, adaptation, contract)
    std = checked_std(state["std"], contract.action_dim, f"std of {file.name}") if "std" in state else None
    return ImportedPolicy(body, adaptation, std)


def _only(networks: List[Perceptron], inputs: int, what: str) -> Perceptron:
    fitting = [network for network in networks if network.inputs == inputs]
    if len(fitting) != 1:
        raise PolicyImportError(
            f"{what} in one of the files: a network of {inputs} inputs",
            f"{', '.join(f'{network.place}: {network.widths}' for network in networks)}",
            "Give body and adaptation module of one run, and the preset that it was trained with.",
        )
    return fitting[0]


def _require_both(body: Perceptron, adaptation: Perceptron, contract: PolicyContract) -> None:
    observed = f"{contract.frame_dim} values x {contract.history_length} moments"
    require_widths(adaptation, contract.observation_dim, ESTIMATE_DIM, f"{observed}; friction and restitution")
    inputs = contract.observation_dim + ESTIMATE_DIM
    require_widths(body, inputs, contract.action_dim, f"{observed} and the estimate of {ESTIMATE_DIM}")
