"""How the supervisor knows that the gate has fallen silent: every command that leaves is a beat in shared memory."""

from __future__ import annotations

from deploy.onboard.shared_slot import SlotReader


class PulseWatch:
    """How long the gate has sent nothing.

    Only time in which the supervisor itself was awake counts: of a pause of the whole machine no process is guilty.
    """

    def __init__(self, pulse: SlotReader, poll_s: float, now_s: float) -> None:
        self._pulse, self._longest_gap_s, self._looked_s = pulse, 2.0 * poll_s, now_s
        self._seen = 0
        self.silent_s = 0.0
        self.felt = False
        """Whether there has been a beat at all."""
        self.damping = True
        """Whether the last command was; before the first one the motors are not on."""

    def look(self, now_s: float) -> None:
        """Feel the pulse at `now_s`."""
        beat = self._pulse.read(newer_than=self._seen)
        if beat is None:
            self.silent_s += min(now_s - self._looked_s, self._longest_gap_s)
        else:
            self._seen, self.silent_s, self.damping = beat.number, 0.0, bool(beat.record["damping"])
            self.felt = True
        self._looked_s = now_s
