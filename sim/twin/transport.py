"""A twin at the other end of the wire, without a socket: real packets, in lockstep, in one process."""

from __future__ import annotations

from collections import Counter
from typing import Callable, Optional

from deploy.onboard.link import LinkError
from deploy.onboard.packet_layout import WireError
from deploy.onboard.wire import LowCmdDecoder, LowStateEncoder, RobotState
from sim.twin.body import TwinBody


class TwinTransport:
    """A `PacketTransport` to a `TwinBody`: `PacketLink(TwinTransport(body))` goes through every byte of the protocol.

    `send` takes effect at once, `receive` advances the twin by one tick (2 ms) and returns its LowState. A LowCmd the
    motor controller would not accept is dropped and counted in `refused`, by the error's name.
    """

    def __init__(self, body: TwinBody) -> None:
        self.body = body
        self._decoder, self._encoder = LowCmdDecoder(), LowStateEncoder()
        self.refused: Counter[str] = Counter()
        self.sensor_fault: Optional[Callable[[RobotState], RobotState]] = None
        """What stands between the sensors and the wire, if something is broken there."""
        self._closed = False
        self._acting = b""
        self._acting_since_power_up = 0

    @property
    def packets_skipped(self) -> int:
        """Always 0: each state is read at the tick it is made."""
        return 0

    def send(self, packet: bytes) -> None:
        """Hand one LowCmd to the motors."""
        self._require_open()
        self.accept(packet)

    def accept(self, packet: bytes) -> bool:
        """Whether `packet` is a LowCmd that the motors now follow."""
        # A policy's target lasts ten ticks: nine of ten packets are copies of what acts already, and need no decoding.
        if packet == self._acting and self._acting_since_power_up == self.body.power_ups:
            return True
        try:
            self.body.accept(self._decoder.decode(packet))
        except WireError as error:
            self.refused[type(error).__name__] += 1
            return False
        self._acting, self._acting_since_power_up = packet, self.body.power_ups
        return True

    def receive(self, timeout_s: float) -> bytes:
        """Advance one tick; the state always comes, so `timeout_s` is not used."""
        self._require_open()
        state = self.body.step()
        return self._encoder.encode(state if self.sensor_fault is None else self.sensor_fault(state))

    def close(self) -> None:
        """End the connection; the body stays as it is. Closing twice is allowed."""
        self._closed = True

    def _require_open(self) -> None:
        if self._closed:
            raise LinkError("an open link to the twin", "a closed one", "Make a new TwinTransport.")
