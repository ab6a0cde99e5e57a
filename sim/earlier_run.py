"""A run that goes on from where an earlier one has come: who can walk on a floor learns rough ground in a fraction.

Actor and critic come over, weights and standard deviations; the optimiser, the robots and their ground begin anew. Who
is to be told its gait may begin with a run that was told velocities only, and heeds no other command at first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Optional

from rsl_rl.algorithms import PPO

from policy.bundle import read_bundle
from policy.trainer_state import TrainerState, load_trainer_state, unpack_module
from policy.velocity_contract import velocity_contract
from robot_configs.errors import Go1Error
from robot_configs.robot import load_robot
from sim.blind_gait import with_unseen_gait
from sim.pretrain_checkpoint import BUNDLE_FILE, CHECKPOINT_FILE, iterations_done
from sim.pretrain_settings import PretrainSettings

_SHARED = ("actor_hidden", "critic_hidden")
_TRANSITIONS = (("velocity", "velocity"), ("gait", "gait"), ("velocity", "gait"))
_FIRST_LAYER = "mlp.0.weight"


class EarlierRunError(Go1Error):
    """A run that another one can not begin with."""


@dataclass(frozen=True)
class EarlierRun:
    """A finished run: its last checkpoint, and the bundle that was sealed from it."""

    checkpoint: TrainerState
    bundle_sha256: str

    def continued_by(self, settings: PretrainSettings) -> PretrainSettings:
        """The settings of a run that begins with this one.

        Raises:
            EarlierRunError: its networks are others.
        """
        before: Mapping[str, Any] = self.checkpoint.record["settings"]
        wanted = json.loads(json.dumps(asdict(settings)))
        for name in _SHARED:
            if wanted[name] != before[name]:
                remedy = "Begin with a run of these settings, or with none."
                raise EarlierRunError(f"{name} {wanted[name]!r}", f"{before[name]!r} in the earlier run", remedy)
        if (before["policy"], settings.policy) not in _TRANSITIONS:
            remedy = "Begin with a run of the same policy, or one of velocities with none."
            found = f"{before['policy']!r} in the earlier run"
            raise EarlierRunError(f"a run of the policy {settings.policy!r}", found, remedy)
        return replace(settings, begin_with_run=self.bundle_sha256, begin_with_trot=False)

    def hand_over(self, algorithm: PPO) -> None:
        """Give actor and critic their weights."""
        for name, model in (("actor", algorithm.actor), ("critic", algorithm.critic)):
            tensors = dict(self.checkpoint.tensors)
            first = f"{name}.{_FIRST_LAYER}"
            if tensors[first].shape != model.state_dict()[_FIRST_LAYER].shape:
                tensors[first] = with_unseen_gait(tensors[first], velocity_contract(load_robot()))
            unpack_module(name, model, tensors)


def require_named_run(settings: PretrainSettings, earlier: Optional[EarlierRun]) -> None:
    """Settings that name a run begin with that one and no other; settings that name none, with none.

    Raises:
        EarlierRunError: they do not.
    """
    given = "" if earlier is None else earlier.bundle_sha256
    if settings.begin_with_run != given:
        expected = f"begin_with_run {settings.begin_with_run or 'empty'}, as the settings say"
        raise EarlierRunError(expected, given or "no earlier run", "Give the run by its folder: --begin-with RUN.")


def read_earlier_run(folder: Path) -> EarlierRun:
    """The run in a folder.

    Raises:
        EarlierRunError: it is not finished.
        TrainerStateError, BundleError: what is there can not be read.
    """
    bundle, path = folder / BUNDLE_FILE, folder / CHECKPOINT_FILE
    for file in (bundle, path):
        if not file.exists():
            raise EarlierRunError("the folder of a finished run", f"no {file}", "Let the earlier run come to its end.")
    checkpoint = load_trainer_state(path)
    before = checkpoint.record["settings"]
    planned = before["steps"] // (before["steps_per_iteration"] * before["task"]["num_envs"])
    if iterations_done(checkpoint) != planned:
        found = f"iteration {iterations_done(checkpoint)} of {planned} in {path}"
        raise EarlierRunError("the last checkpoint of a finished run", found, "Let the earlier run come to its end.")
    return EarlierRun(checkpoint, read_bundle(bundle).sha256)
