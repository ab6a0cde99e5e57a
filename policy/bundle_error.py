"""The error of everything that reads, checks or runs a sealed bundle."""

from __future__ import annotations

from robot_configs.errors import Go1Error


class BundleError(Go1Error):
    """A bundle that is damaged, incomplete, hostile, foreign, or does not do what it says."""


def untrusted(expected: str, found: str) -> BundleError:
    """The error for content that no correct exporter writes."""
    return BundleError(expected, found, "The file can not be trusted: copy or export it again.")
