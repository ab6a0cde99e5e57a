"""The root of every error this project raises on purpose."""

from __future__ import annotations


class Go1Error(Exception):
    """Something a person can put right: says what was expected, what was found and what to do about it.

    Every package derives its own types from this one (`class WireError(Go1Error)`), so that the command line can print
    one clear message for all of them and a traceback only for a defect of ours.

    Args:
        expected: what would have been right, with units, and the valid choices where there are a few.
        found: what was there instead.
        remedy: what to do now, as a full sentence.
    """

    def __init__(self, expected: str, found: str, remedy: str) -> None:
        # All three go to Exception.args, so that an error survives pickling between processes.
        super().__init__(expected, found, remedy)
        self.expected = expected
        self.found = found
        self.remedy = remedy

    def __str__(self) -> str:
        return f"expected {self.expected}; found {self.found}. {self.remedy}"
