"""Golden vectors: input and output sequences through memory that travel with a policy, and what they must look like.

Arrays are float32 of shape (sequences, steps, width), named `in.<signal>` and `out.<output>`. Every step has the
outputs of `GOLDEN_STEP_OUTPUTS`; only the last one of a sequence also has the observation and the memory.
"""

from __future__ import annotations

import math
from typing import Any, Dict, List, Tuple

import numpy as np

from policy.bundle_error import untrusted
from policy.contract import OUTPUTS, SIGNALS, PolicyContract

MINIMUM_GOLDEN_SEQUENCES = 64
MINIMUM_GOLDEN_STEPS = 2  # one step does not show whether memory works
GOLDEN_STEP_OUTPUTS = ("joint_target", "action", "action_mean", "action_std", "log_prob")
LARGEST_VALUE = 1e6
_ITEM_BYTES = 4


def golden_names() -> Tuple[str, ...]:
    """The names of all golden arrays, sorted as they stand in the file."""
    inputs = [f"in.{name}" for name, _ in SIGNALS if name != "memory"]
    return tuple(sorted([*inputs, *(f"out.{name}" for name in OUTPUTS)]))


def parse_golden(table: Any, content: bytes) -> Dict[str, np.ndarray]:
    """Read-only arrays from the header's list [[name, shape], ...] and the section's bytes, which they fill.

    Raises:
        BundleError
    """
    if not isinstance(table, list) or any(not isinstance(entry, list) or len(entry) != 2 for entry in table):
        raise untrusted("a list of golden vectors with their shapes", f"{table!r:.80}")
    names = tuple(entry[0] for entry in table)
    if names != golden_names():
        raise untrusted(f"golden vectors {golden_names()}", f"{names!r:.400}")
    golden, offset = {}, 0
    for name, shape in table:
        if not _is_shape(shape):
            raise untrusted(f"three sizes above zero as the shape of {name}", f"{shape!r:.80}")
        count = math.prod(shape)
        if offset + _ITEM_BYTES * count > len(content):
            raise untrusted(f"{count} values of {name}", f"{(len(content) - offset) // _ITEM_BYTES} left in the file")
        golden[name] = np.frombuffer(content, dtype="<f4", count=count, offset=offset).reshape(shape)
        offset += _ITEM_BYTES * count
    if offset != len(content):
        raise untrusted("golden vectors that fill their section", f"{len(content) - offset} bytes more")
    return golden


def check_golden(golden: Dict[str, np.ndarray], contract: PolicyContract) -> None:
    """Refuse golden vectors that are too few, not of the contract's widths, or not finite: they would prove nothing.

    Raises:
        BundleError
    """
    sequences, steps = golden["in.command"].shape[:2]
    if sequences < MINIMUM_GOLDEN_SEQUENCES or steps < MINIMUM_GOLDEN_STEPS:
        raise untrusted(
            f"at least {MINIMUM_GOLDEN_SEQUENCES} golden sequences of {MINIMUM_GOLDEN_STEPS} steps",
            f"{sequences} of {steps}",
        )
    widths = {f"in.{name}": width for name, width in contract.signal_widths().items()}
    widths.update({f"out.{name}": max(width, 1) for name, width in contract.output_widths().items()})
    for name, array in golden.items():
        every_step = name.startswith("in.") or name[len("out.") :] in GOLDEN_STEP_OUTPUTS
        wanted = (sequences, steps if every_step else 1, widths[name])
        if array.shape != wanted:
            raise untrusted(f"golden {name} of shape {wanted}, as its contract has it", f"{array.shape}")
        # An infinity would agree with anything: the tolerance is relative to it.
        if not np.all(np.abs(array) <= LARGEST_VALUE):
            raise untrusted(f"golden {name} within +-{LARGEST_VALUE:g}", "larger values or NaN")


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, list) and len(shape) == 3 and all(type(size) is int and size > 0 for size in shape)


def golden_table(golden: Dict[str, np.ndarray]) -> Tuple[List[List[Any]], bytes]:
    """What `parse_golden` reads."""
    arrays = [(name, np.ascontiguousarray(golden[name], dtype="<f4")) for name in sorted(golden)]
    return [[name, list(array.shape)] for name, array in arrays], b"".join(array.tobytes() for _, array in arrays)
