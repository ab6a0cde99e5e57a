"""One result of `benchmarks.twin_conditions` as a file: written whole, and only taken for what it was made with."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Optional

from benchmarks.twin_conditions_settings import ConditionBenchmarkError


def is_there(file: Path, wanted: dict[str, Any]) -> bool:
    """Whether a result of these settings is there.

    Raises:
        ConditionBenchmarkError: one of other settings is; which of them, the error says.
    """
    record = read_record(file)
    if record is None:
        return False
    found = record["settings"]
    if found == wanted:
        return True
    other = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
    raise ConditionBenchmarkError(
        f"{file} made with the settings of this run", f"other {', '.join(other)}", "Give another --out, or remove it."
    )


def read_record(file: Path) -> Optional[dict[str, Any]]:
    """A stage's result; None where there is none."""
    if not file.is_file():
        return None
    record: dict[str, Any] = json.loads(file.read_text())
    return record


def write_record(file: Path, record: dict[str, Any]) -> None:
    """Complete or not at all; a line an episode."""
    part = file.with_suffix(".part")
    part.write_text(_text(record) + "\n")
    os.replace(part, file)


def _text(record: dict[str, Any]) -> str:
    """JSON, indented down to the episodes."""
    evaluation = dict(record["evaluation"])
    lines = ",\n".join(f"   {json.dumps(episode)}" for episode in evaluation.pop("per_episode"))
    head = json.dumps({name: value for name, value in record.items() if name != "evaluation"}, indent=1, default=str)
    tail = json.dumps(evaluation, indent=1)
    episodes = f' "per_episode": [\n{lines}\n  ]'
    return f'{head[:-2]},\n "evaluation": {tail[:-2]},\n{episodes}\n }}\n}}'
