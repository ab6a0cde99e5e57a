"""What the shim refuses, and why."""

from __future__ import annotations

from typing import NoReturn

from robot_configs.errors import Go1Error


class IsaacGymShimError(Go1Error):
    """A program that uses the shim in a way that Isaac Gym, or the shim, does not allow."""


class UnsupportedCallError(IsaacGymShimError, AttributeError):
    """A call, a constant or a setting of Isaac Gym that the shim does not execute.

    Also an AttributeError, so that `hasattr(gym, "some_call")` answers what it is asked.
    """

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(
            "a part of Isaac Gym that the MuJoCo shim executes (docs/isaac_gym.md lists them)",
            what,
            instead,
        )


def unsupported(call: str) -> UnsupportedCallError:
    """The error for a call that does not exist here."""
    return UnsupportedCallError(call, "Do without it, or run on NVIDIA's Isaac Gym (unset GO1_ISAACGYM_SHIM).")


def refuse_name(module: str, name: str) -> NoReturn:
    """The answer of `isaacgym.MODULE` to a name that it lacks here.

    Raises:
        UnsupportedCallError: a name that Isaac Gym may have.
        AttributeError: one between double underscores, which Python's own machinery asks for.
    """
    if name.startswith("__"):
        raise AttributeError(name)
    raise unsupported(f"{module}.{name}")
