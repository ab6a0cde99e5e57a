"""The way from a walk to the ground: folding the legs out of a stride tips the robot over, so it stands still first."""

from __future__ import annotations

from typing import Optional

from deploy.onboard.target import Mode


class Seating:
    """Remembers that a seat is wanted, while the robot stands on the way to it."""

    def __init__(self) -> None:
        self.pending = False
        """Whether the robot was led out of a walk and does not sit yet."""

    def next_mode(self, mode: Mode, ramp_finished: bool) -> Optional[Mode]:
        """The next mode on the way to SIT from `mode`; None: wait. To be asked every tick until it is SIT."""
        if mode is Mode.WALK:
            self.pending = True
            return Mode.STAND
        if self.pending and mode is Mode.STAND and not ramp_finished:
            return None
        self.pending = False
        return Mode.SIT

    def cancel(self) -> None:
        """No seat is wanted any more: something else is, or the robot is damped."""
        self.pending = False
