"""The engines side by side: what the ratio is, and that a round is as many control steps as it says."""

import pytest
import torch

from benchmarks import engines
from benchmarks.engines import REFERENCE, SUBSTEPS, comparison, prepare, seconds
from sim.engines.choice import EngineChoice


def test_a_ratio_is_the_median_over_rounds_and_a_rate_is_the_best() -> None:
    """Rounds of 1.0, 2.0 and 8.0 s for the reference, of 2.0, 2.0 and 2.0 s for the other: ratios 0.5, 1 and 4."""
    times = {REFERENCE: [1.0, 2.0, 8.0], "other": [2.0, 2.0, 2.0]}
    lines = comparison(times, robots=100)
    assert lines == [
        f"{REFERENCE}: best 1000 control steps/s, 1.00x the {REFERENCE} engine (median of 3)",
        f"other: best 500 control steps/s, 1.00x the {REFERENCE} engine (median of 3)",
    ]
    assert "4.00x" in comparison({REFERENCE: [8.0], "other": [2.0]}, 100)[1]


def test_a_round_steps_all_robots_and_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    class Counting:
        num_envs = 3
        steps: list[tuple[tuple[int, ...], int]] = []
        read = 0

        def step(self, target: torch.Tensor, substeps: int) -> None:
            self.steps.append((tuple(target.shape), substeps))

        def state(self) -> None:
            self.read += 1

    engine = Counting()
    assert seconds(engine) > 0.0  # type: ignore[arg-type]
    assert engine.steps == [((3, 12), SUBSTEPS)] * engines.STEPS and engine.read == engines.STEPS


def test_a_tiny_run_moves_the_robots() -> None:
    torch.manual_seed(1)
    engine = prepare(EngineChoice(), robots=2)
    before = engine.state().joint_position.clone()
    assert 0.0 < seconds(engine) < 5.0
    after = engine.state()
    assert (after.joint_position - before).abs().max() > 0.05
    assert 0.15 < float(after.position_trunk_in_world[:, 2].min()), "it still stands"
