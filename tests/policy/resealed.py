"""Bundles whose content was changed and whose seal is right again: what an attacker, or a helpful script, makes."""

import json
from collections.abc import Callable
from typing import Any, Optional

from policy.bundle import BUNDLES
from policy.sealed_file import seal, unseal

SHIPPED = (BUNDLES / "go1_velocity.go1policy").read_bytes()
SECTIONS = ("onnx", "golden")


def resealed(
    change: Callable[[dict[str, Any]], object] = lambda header: None,
    onnx_bytes: Optional[bytes] = None,
    golden_bytes: Optional[bytes] = None,
    content: bytes = SHIPPED,
) -> bytes:
    """The bundle with its header changed in place, or a section replaced."""
    header, sections, _ = unseal(content, SECTIONS)
    header = json.loads(json.dumps(header))
    del header["sections"]
    change(header)
    onnx_bytes = sections["onnx"] if onnx_bytes is None else onnx_bytes
    return seal(
        header, [("onnx", onnx_bytes), ("golden", sections["golden"] if golden_bytes is None else golden_bytes)]
    )
