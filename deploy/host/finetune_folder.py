"""What a folder of fine-tuning is for: written when the run begins, held against at every resume."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deploy.host.finetune_settings import FinetuneSettings
from deploy.host.refine import RefineError
from offline_data.dataset import Dataset
from policy.bundle import Bundle
from policy.differences import differences
from policy.whole_files import write_whole


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
        write_json(path, wanted)
        return
    found = json.loads(path.read_text())
    if found != wanted:
        names = ", ".join(one.name for one in differences(wanted, found))
        raise RefineError(
            f"a new folder, or one with the same bundle, settings and earlier data, at {out}",
            f"another run, which differs in {names}",
            "Give another --out, or the same bundle, settings and data to resume.",
        )


def made_from(settings: FinetuneSettings, parent_sha256: str, data: Sequence[str]) -> dict[str, Any]:
    """What a round's record says of where its policy comes from: parent, data sets by content, seeds and settings."""
    return {
        "parent_sha256": parent_sha256,
        "datasets": list(data),
        "seed_of_the_learner": settings.online.seed,
        "seed_of_the_logging": settings.seed,
        "settings": json.loads(json.dumps(asdict(settings), default=str)),
    }


def write_json(path: Path, content: dict[str, Any]) -> None:
    """JSON that appears under its name whole or not at all."""
    write_whole(path, json.dumps(content, indent=1))
