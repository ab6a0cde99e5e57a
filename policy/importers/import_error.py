"""The error of every importer."""

from __future__ import annotations

from robot_configs.errors import Go1Error


class PolicyImportError(Go1Error):
    """A file of another stack that can not be read safely, or that does not hold the policy its preset describes."""
