"""From keys to a data set: a person's bytes drive the shipped policy on the twin, and the log can be learned from."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pytest

from deploy.host.teleop import Teleoperation, TeleopSettings
from deploy.onboard.clock import VirtualClock
from deploy.onboard.keyboard import Keyboard
from deploy.onboard.link import PacketLink
from deploy.onboard.operator_input import DeviceReading
from deploy.onboard.operator_schedule import OPERATOR_LOST
from deploy.onboard.summary import RunSummary
from offline_data.dataset import Dataset
from offline_data.ingest import ingest
from policy.bundle import BUNDLES, read_bundle
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.twin.body import TwinBody
from sim.twin.transport import TwinTransport

KEYS = {0.1: b"1", 0.2: b"2", 4.0: b"mlook\r", 4.2: b"x"}
WALKS_FROM_S, WALKS_TO_S, REPEAT_S = 2.3, 4.0, 0.036


class Typist(Keyboard):
    """Types into the keyboard's pipe by the session's own clock, and repeats `w` for a while."""

    def __init__(self, hangs_up_s: float = math.inf) -> None:
        self._hangs_up_s = hangs_up_s
        read_end, self._write_end = os.pipe()
        super().__init__(read_end)
        self._keys = dict(KEYS)
        self._next_repeat_s = WALKS_FROM_S

    def read(self, time_s: float) -> DeviceReading:
        for at_s in [at_s for at_s in self._keys if at_s <= time_s < self._hangs_up_s]:
            os.write(self._write_end, self._keys.pop(at_s))
        if self._next_repeat_s <= time_s < min(WALKS_TO_S, self._hangs_up_s):
            os.write(self._write_end, b"w")
            self._next_repeat_s += REPEAT_S
        if time_s >= self._hangs_up_s and self._write_end >= 0:
            os.close(self._write_end)
            self._write_end = -1
        return super().read(time_s)


def drive(typist: Typist, log_dir: Path) -> RunSummary:
    body = TwinBody(load_condition("nominal"), seed=1)
    link = PacketLink(TwinTransport(body))
    bundle = read_bundle(BUNDLES / "go1_velocity.go1policy")
    settings = TeleopSettings(speed=0.4)
    return Teleoperation(bundle, load_robot(), link, VirtualClock(), [typist], settings, log_dir).run()


@pytest.mark.slow
def test_from_keys_to_a_data_set(tmp_path: Path) -> None:
    summary = drive(Typist(), tmp_path / "logs")
    assert (summary.faults, summary.stop_reason) == ((), "")
    assert [(episode.ending, episode.reason) for episode in summary.episodes] == [("intervention", "the operator quit")]
    ingest(tmp_path / "logs", tmp_path / "dataset")
    speed = Dataset.open(tmp_path / "dataset")["velocity_trunk_in_trunk"][:, 0]
    assert len(speed) == summary.steps + 1
    # Between the first steps and the person's letting go.
    assert np.median(speed[30:80]) > 0.2, "0.6 m/s were asked for"


@pytest.mark.slow
def test_losing_the_operator_at_full_speed_does_not_throw_the_robot_over(tmp_path: Path) -> None:
    summary = drive(Typist(hangs_up_s=3.6), tmp_path / "logs")
    assert (summary.faults, summary.stop_reason) == ((), OPERATOR_LOST)
