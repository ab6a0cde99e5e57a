"""A terrain on its way to an engine in another process: what is packed here is unpacked there."""

from __future__ import annotations

from typing import Optional

from robot_configs.errors import Go1Error
from sim.engines.array_messages import Message
from sim.terrain.height_field import HeightField

_NAME = "terrain"


class TerrainMessageError(Go1Error):
    """Another message where the terrain was expected."""


def pack_terrain(terrain: Optional[HeightField]) -> Message:
    """The terrain, or that there is none. Its pads stay behind: they say which ground may be soft."""
    if terrain is None:
        return Message(_NAME)
    place = {"spacing_m": terrain.spacing_m, "origin_m": list(terrain.origin_m)}
    return Message(_NAME, place, {"heights_m": terrain.heights_m})


def unpack_terrain(message: Message) -> Optional[HeightField]:
    """What `pack_terrain` was given, but for its pads.

    Raises:
        TerrainMessageError: the message is something else.
    """
    if message.name != _NAME:
        raise TerrainMessageError(f"the message {_NAME!r} first", repr(message.name), "Use one version at both ends.")
    if not message.arrays:
        return None
    x, y = message.arguments["origin_m"]
    return HeightField(message.arrays["heights_m"], message.arguments["spacing_m"], (x, y))
