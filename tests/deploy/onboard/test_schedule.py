"""The settings of a session."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from deploy.onboard.schedule import SessionSettings, SettingsError
from deploy.onboard.stillness import Stillness


@pytest.mark.parametrize(
    "settings",
    [
        {"episode_s": 1.0},
        {"episode_s": 0.0, "episodes": 1},
        {"episode_s": math.inf, "episodes": 1},
        {"episode_s": math.nan, "episodes": 1},
        {"episode_s": 1.0, "episodes": 0},
        {"episode_s": 1.0, "walk_s": -1.0},
        {"episode_s": 1.0, "episodes": 1, "walk_s": 0.0},
        {"episode_s": 1.0, "episodes": -1, "walk_s": 1.0},
        {"episode_s": -1.0, "episodes": 1, "walk_s": 1.0},
    ],
)
def test_impossible_sessions_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        SessionSettings(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"episode_s": 0.02, "episodes": 1},
        {"episode_s": 0.02, "walk_s": 0.02},
        {"episode_s": 3600.0, "episodes": 1000, "walk_s": 1e5},
    ],
)
def test_possible_sessions_are_what_was_asked_for(settings: dict[str, Any]) -> None:
    """And whatever was not is the cautious choice."""
    made = SessionSettings(**settings)
    assert {name: getattr(made, name) for name in settings} == settings
    assert (made.auto_rearm, made.rest_s, made.rearm_timeout_s, made.maximum_failed_stands) == (False, 0.5, 15.0, 5)
    assert made.stillness == Stillness()


def test_settings_stay_what_they_were_checked_to_be() -> None:
    with pytest.raises(FrozenInstanceError):
        SessionSettings(episode_s=1.0, episodes=1).episode_s = -1.0  # type: ignore[misc]
