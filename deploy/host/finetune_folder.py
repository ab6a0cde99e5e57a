"""What a folder of fine-tuning is for: written when the run begins, held against at every resume."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.host.refine import RefineError
from offline_data.dataset import Dataset
from policy.bundle import Bundle

if TYPE_CHECKING:
    from deploy.host.finetune import FinetuneSettings


def claim(out: Path, bundle: Bundle, settings: FinetuneSettings) -> None:
    """Write what this folder is for, or check that it is for this: bundle and data by content, not by name alone.

    Raises:
        RefineError: it holds another run.
    """
    wanted = {
        "bundle": bundle.sha256,
        "settings": asdict(settings),
        "earlier_data_sha256": [Dataset.open(folder).sha256 for folder in settings.earlier_data],
    }
    wanted = json.loads(json.dumps(wanted, default=str))
    path = out / "run.json"
    if not path.exists():
        write_whole(path, wanted)
        return
    found = json.loads(path.read_text())
    if found != wanted:
        names = ", ".join(_differences(wanted, found)) or "more than it knows of"
        raise RefineError(
            f"a new folder, or one with the same bundle, settings and earlier data, at {out}",
            f"another run, which differs in {names}",
            "Give another --out, or the same bundle, settings and data to resume.",
        )


def _differences(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """Names of the entries that differ, with those of the settings instead of the settings."""
    names = []
    for name, value in wanted.items():
        other = found.get(name)
        if isinstance(value, dict) and isinstance(other, dict):
            names += _differences(value, other)
        elif value != other:
            names.append(name)
    return names


def write_whole(path: Path, content: dict[str, Any]) -> None:
    """JSON that appears under its name whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1))
    part.rename(path)
