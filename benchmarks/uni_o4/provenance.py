"""What computed a result: a hash of the code that its figures depend on, and the versions of the packages."""

from __future__ import annotations

import platform
from functools import lru_cache
from importlib import metadata

from policy.program_hash import program_hash

PACKAGES = ("torch", "numpy", "mujoco", "gymnasium", "d3rlpy")

_HERE = "benchmarks/uni_o4"
_EVALUATION = (f"{_HERE}/evaluate.py", f"{_HERE}/logged_steps.py", f"{_HERE}/robots.py")
_PEERS = (*_EVALUATION, f"{_HERE}/peers.py", f"{_HERE}/peer_training.py")
_LEARNER = ("policy/networks.py", "policy/objective.py", "policy/transitions.py", "policy/uni_o4/*.py")
_OURS = (
    *_EVALUATION, *_LEARNER, f"{_HERE}/ours.py", f"{_HERE}/preparation.py", f"{_HERE}/gymnasium_world.py",
    f"{_HERE}/termination.py",
)  # fmt: skip
_JUDGES = (f"{_HERE}/ope.py", f"{_HERE}/estimates.py", f"{_HERE}/fitted_q.py", f"{_HERE}/policy_zoo.py")
_ONLINE = (f"{_HERE}/finetune.py", f"{_HERE}/online_rollouts.py")

CODE: dict[str, tuple[str, ...]] = {
    "peers": _PEERS,
    "ours": _OURS,
    "ope": (*_OURS, *_JUDGES),
    "online peers": (*_PEERS, *_ONLINE),
    "online ours": (*_OURS, *_ONLINE),
}
"""Source files by what they compute, relative to the repository."""


@lru_cache
def code_that_computes(what: str) -> str:
    """Of the files' programs; see `program_hash`."""
    return program_hash(CODE[what])


@lru_cache
def versions() -> dict[str, str]:
    """Of Python, and of the packages that are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "none"
    return found
