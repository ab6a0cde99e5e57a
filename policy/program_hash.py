"""A hash of the code that a figure depends on: comments, docstrings and formatting do not count.

A commit says too much and too little: it changes with every line of documentation, and not with a line that was not
committed.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""Of the repository, or of the installed packages: patterns are relative to it."""


def program_hash(patterns: Sequence[str]) -> str:
    """First 12 digits of the SHA-256 over the programs of the files that the glob patterns find, pattern by pattern."""
    digest = hashlib.sha256()
    for pattern in patterns:
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
