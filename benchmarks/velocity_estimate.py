"""The velocity that a data set holds against the twin's truth, row by row: one session, logged, ingested, compared.

python -m benchmarks.velocity_estimate --condition nominal --walk-s 200
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

from deploy.onboard.clock import VirtualClock
from deploy.onboard.link import PacketLink
from deploy.onboard.pilot import PilotStep
from deploy.onboard.runner import RunSettings, run_session
from deploy.onboard.schedule import SessionSettings
from deploy.onboard.summary import EpisodeSummary
from offline_data.dataset import Dataset
from offline_data.ingest import ingest
from offline_data.velocity import VelocityEstimate
from offline_data.velocity_error import VelocityErrorReport, velocity_error_report
from policy.bundle import BUNDLES, read_bundle
from robot_configs.robot import load_robot
from robot_configs.twin_conditions import load_condition
from sim.twin.body import TwinBody
from sim.twin.transport import TwinTransport


class TruthObserver:
    """Takes down the twin's own velocity wherever the data set will have a row: at each step and at each end."""

    def __init__(self, body: TwinBody) -> None:
        self._body = body
        self.velocity: list[np.ndarray] = []

    def on_policy_step(self, step: PilotStep) -> None:
        self.velocity.append(self._body.truth.linear_velocity_trunk_in_trunk.copy())

    def on_episode_end(self, summary: EpisodeSummary) -> None:
        self.velocity.append(self._body.truth.linear_velocity_trunk_in_trunk.copy())


def compare(condition: str, walk_s: float, seed: int) -> VelocityErrorReport:
    """Walk, log and ingest in a temporary folder; the error over all rows that are not masked."""
    body = TwinBody(load_condition(condition), seed, rescue=True)
    observer = TruthObserver(body)
    session = SessionSettings(episode_s=20.0, walk_s=walk_s, auto_rearm=True, rearm_timeout_s=60.0)
    settings = RunSettings(f"random:hold_s=4,stand_fraction=0.1,seed={seed}", session, 1.0, seed, lockstep=True)
    with tempfile.TemporaryDirectory() as folder:
        logs, data = Path(folder) / "logs", Path(folder) / "dataset"
        bundle = read_bundle(BUNDLES / "go1_velocity.go1policy")
        link = PacketLink(TwinTransport(body))
        run_session(bundle, load_robot(), link, VirtualClock(), settings, logs, observers=(observer,))
        ingest(logs, data)
        rows = Dataset.open(data)
        truth = np.stack(observer.velocity)
        assert len(rows) == len(truth), "the observer and the data set disagree about what a row is"
        kept = np.flatnonzero(rows["valid"] | rows["final"])
        estimate = VelocityEstimate(
            velocity_trunk_in_trunk=rows["velocity_trunk_in_trunk"][kept],
            deviation_m_s=np.full(len(kept), np.nan),  # the data set keeps the confidence only
            confidence=rows["velocity_confidence"][kept],
            accelerometer_bias=np.full(3, np.nan),
        )
        return velocity_error_report(estimate, truth[kept])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--condition", default="nominal")
    parser.add_argument("--walk-s", type=float, default=200.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for name, value in asdict(compare(options.condition, options.walk_s, options.seed)).items():
        print(f"{name:24} {value}")


if __name__ == "__main__":
    main()
