"""What computed a result: a hash of the code that its figures depend on, and the versions of the packages.

The commit alone says too much and too little: it changes with every line of documentation, and not with a line that
was not committed.
"""

from __future__ import annotations

import ast
import hashlib
import platform
from functools import lru_cache
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("torch", "numpy", "mujoco", "gymnasium", "d3rlpy")

_HERE = "benchmarks/uni_o4"
_EVALUATION = (f"{_HERE}/evaluate.py", f"{_HERE}/logged_steps.py", f"{_HERE}/robots.py")
_PEERS = (*_EVALUATION, f"{_HERE}/peers.py", f"{_HERE}/peer_training.py")
_LEARNER = ("policy/networks.py", "policy/objective.py", "policy/transitions.py", "policy/uni_o4/*.py")
_OURS = (
    *_EVALUATION, *_LEARNER, f"{_HERE}/ours.py", f"{_HERE}/preparation.py", f"{_HERE}/gymnasium_world.py",
)  # fmt: skip
_JUDGES = (f"{_HERE}/ope.py", f"{_HERE}/fitted_q.py", f"{_HERE}/policy_zoo.py")
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
    """First 12 digits of the SHA-256 over the files' programs; comments, docstrings and formatting do not count."""
    digest = hashlib.sha256()
    for pattern in CODE[what]:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(f"{path.relative_to(ROOT)}\n{program(path.read_text(encoding='utf-8'))}\n".encode())
    return digest.hexdigest()[:12]


def program(source: str) -> str:
    """The syntax tree without docstrings, as text."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            node.body = [each for each in node.body if not _is_text(each)]
    return ast.dump(tree)


def _is_text(node: ast.stmt) -> bool:
    """A string that stands alone: a docstring, of an attribute too."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


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
