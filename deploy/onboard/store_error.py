"""The error of everything that keeps, signs or switches bundles on the robot."""

from __future__ import annotations

from robot_configs.errors import Go1Error


class StoreError(Go1Error):
    """A bundle that may not be installed or run here, or a store that can not be used."""
