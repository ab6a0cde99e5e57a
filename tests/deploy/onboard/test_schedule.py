"""The settings of a session."""

from __future__ import annotations

import math
from typing import Any

import pytest

from deploy.onboard.schedule import SessionSettings, SettingsError


@pytest.mark.parametrize(
    "settings",
    [
        {"episode_s": 1.0},
        {"episode_s": 0.0, "episodes": 1},
        {"episode_s": math.inf, "episodes": 1},
        {"episode_s": math.nan, "episodes": 1},
        {"episode_s": 1.0, "episodes": 0},
        {"episode_s": 1.0, "walk_s": -1.0},
    ],
)
def test_impossible_sessions_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        SessionSettings(**settings)
