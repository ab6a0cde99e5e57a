"""The Isaac Gym engine on the MuJoCo shim."""

import pytest


@pytest.fixture(autouse=True)
def shim(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the engines that a test makes, processes of their own included."""
    monkeypatch.setenv("GO1_ISAACGYM_SHIM", "1")
