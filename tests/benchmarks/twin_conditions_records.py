"""Results of the benchmark of conditions, made up: every walk better than `LEVEL` by what is asked."""

import json
from pathlib import Path
from typing import Any, Optional

import numpy as np

LEVEL = 400.0 + np.arange(-3.5, 4.0) * 20.0  # eight walks, mean 400
_ONLINE = {"online": "refined", "published_online": "published"}


def record(
    folder: Path, condition: str, seed: Optional[int], stage: str, gain: float, settings: Any = (), **more: Any
) -> None:
    """A result whose walks are all better than `LEVEL` by `gain`; bundles are named by condition, seed and stage."""
    place = folder / condition if seed is None else folder / condition / f"seed{seed}"
    place.mkdir(parents=True, exist_ok=True)
    bundle = "p" if stage == "pre" else f"{condition}{seed}{stage}"
    walks = [{"seed": 7 + index, "episode_return": level + gain} for index, level in enumerate(LEVEL)]
    content = {
        "condition": condition,
        "seed": seed,
        "stage": stage,
        "settings": {
            "pretrained_sha256": "p",
            "start_sha256": bundle if stage == "robust" else _start(folder, condition, seed, stage),
            "condition": {"name": condition, "friction": 0.3},
            "evaluation": {"episodes": len(LEVEL), "episode_s": 10.0},
            "stage": {"of": stage.rstrip("0123456789")},
            **dict(settings),
        },
        "code_version": "1.0",
        "bundle": f"{stage}.go1policy",
        "evaluation": {
            "bundle_sha256": bundle,
            "per_episode": walks,
            "grounds": list(range(len(LEVEL))),
            "return_ci95": [400.0 + gain - 12.0, 400.0 + gain + 8.0],
            "velocity_error": {"linear_m_s": 0.25},
            "falls": 3,
        },
        **more,
    }
    (place / f"{stage}.json").write_text(json.dumps(content))


def _start(folder: Path, condition: str, seed: Optional[int], stage: str) -> str:
    """What a stage begins with: the round before, for online learning the last round that is there."""
    family, number = stage.rstrip("0123456789"), int(stage[-1]) if stage[-1].isdigit() else 1
    if family in _ONLINE:
        rounds = sorted((folder / condition / f"seed{seed}").glob(f"{_ONLINE[family]}[0-9].json"))
        return f"{condition}{seed}{rounds[-1].stem}"
    return "p" if number == 1 else f"{condition}{seed}{family}{number - 1}"
