"""The gate's pulse: silence is counted, and a pause of the whole machine is not."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from deploy.onboard.exchange import PULSE, PulseWriter
from deploy.onboard.pulse_watch import PulseWatch
from deploy.onboard.shared_slot import SlotReader, create_slot


@pytest.fixture
def pulse() -> Iterator[tuple[PulseWriter, PulseWatch]]:
    descriptor = create_slot(PULSE)
    yield PulseWriter(descriptor), PulseWatch(SlotReader(descriptor, PULSE), poll_s=0.004, now_s=10.0)
    os.close(descriptor)


def test_silence_is_counted_from_the_last_command(pulse: tuple[PulseWriter, PulseWatch]) -> None:
    writer, watch = pulse
    writer.write(1, damping=False)
    watch.look(10.004)
    assert (watch.silent_s, watch.damping) == (0.0, False)
    for look in range(1, 6):
        watch.look(10.004 + 0.004 * look)
    assert watch.silent_s == pytest.approx(0.020)
    writer.write(2, damping=True)
    watch.look(10.028)
    assert (watch.silent_s, watch.damping) == (0.0, True)


def test_a_pause_of_the_whole_machine_is_not_blamed_on_the_gate(pulse: tuple[PulseWriter, PulseWatch]) -> None:
    writer, watch = pulse
    writer.write(1, damping=False)
    watch.look(10.004)
    watch.look(12.004)
    assert watch.silent_s == pytest.approx(0.008)


def test_before_the_first_command_the_motors_are_not_on(pulse: tuple[PulseWriter, PulseWatch]) -> None:
    _, watch = pulse
    watch.look(10.004)
    assert watch.silent_s == pytest.approx(0.004)
    assert watch.damping


def test_before_the_first_command_no_pulse_is_felt(pulse: tuple[PulseWriter, PulseWatch]) -> None:
    writer, watch = pulse
    watch.look(10.004)
    assert not watch.felt
    writer.write(1, damping=True)
    watch.look(10.008)
    assert watch.felt
