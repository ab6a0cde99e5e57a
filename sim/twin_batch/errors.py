"""What can be wrong about a batch of twins."""

from __future__ import annotations

from robot_configs.errors import Go1Error


class TwinBatchError(Go1Error):
    """A batch of twins was asked for something that only a twin behind the wire can do, or that no twin can."""
