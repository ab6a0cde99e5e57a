"""What the figures of `benchmarks.sim` are made of, by hand, and a tiny run."""

import math
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import sim
from benchmarks.envpool_process import EnvPool
from benchmarks.sim import BARE, MATCHED, OURS, POOL, Memory, Seconds, figures, ratio, take_turns
from sim.presets import PRESETS
from tests.benchmarks import fake_envpool

MEMORY = Memory(ours=30e3, pool=24e6)


def test_a_ratio_is_of_one_rounds_two_times_and_the_median_over_rounds() -> None:
    """Rounds of 2, 4 and 9 times as long, and a disturbance that hits both sides of a round alike."""
    times = {
        OURS: [Seconds(1.0, 1.0), Seconds(100.0, 1.0), Seconds(1.0, 3.0)],
        BARE: [Seconds(2.0, 1.0), Seconds(400.0, 2.0), Seconds(9.0, 12.0)],
    }
    assert ratio(times[OURS], times[BARE]) == 4.0
    assert ratio(times[OURS], times[BARE], "processor") == 2.0


def rounds(ours: float, matched: float) -> dict[str, list[Seconds]]:
    """EnvPool and the bare physics take a second a round."""
    walls = {OURS: ours, MATCHED: matched, POOL: 1.0, BARE: 1.0}
    return {name: [Seconds(wall, wall)] * 3 for name, wall in walls.items()}


@pytest.mark.parametrize(
    ("ours", "matched", "verdicts"),
    [
        (0.5, 0.5, ["met", "met", "met", "met"]),
        (1 / 1.5, 1.0, ["met", "met", "met", "met"]),
        (0.68, 1.0, ["met", "MISSED", "met", "met"]),  # 1.47 times EnvPool's rate
        (0.5, 1.01, ["met", "met", "MISSED", "met"]),
        (1.12, 0.9, ["MISSED", "MISSED", "met", "met"]),  # 0.89 of the bare rate
    ],
)
def test_each_ratio_is_held_to_its_own_target(ours: float, matched: float, verdicts: list[str]) -> None:
    found = figures(256, rounds(ours, matched), MEMORY)
    bounded = {figure.name: figure for figure in found if figure.verdict}
    assert list(bounded) == [
        "256: environment / bare physics, wall",
        "256: environment / EnvPool, each as shipped",
        "256: environment / EnvPool, matched physics",
        "256: memory / EnvPool's",
    ]
    assert [figure.verdict for figure in bounded.values()] == verdicts
    assert [(figure.at_least, figure.at_most) for figure in bounded.values()] == [
        (0.9, None),
        (1.5, None),
        (1.0, None),
        (None, 0.05),
    ]
    by_name = {figure.name: figure.value for figure in found}
    assert by_name["256: environment"] == pytest.approx(256 * 10 / ours)
    assert by_name["256: environment, matched to EnvPool"] == pytest.approx(256 * 10 / matched)
    assert by_name["256: memory / EnvPool's"] == pytest.approx(30e3 / 24e6)


def test_memory_has_a_target_of_its_own() -> None:
    (share,) = (one for one in figures(1, rounds(0.5, 0.5), Memory(3e6, 24e6)) if one.name == "1: memory / EnvPool's")
    assert share.value == pytest.approx(0.125) and share.verdict == "MISSED"


def test_without_envpool_nothing_is_said_of_it() -> None:
    times = {name: one for name, one in rounds(1.0, 1.0).items() if name in (OURS, BARE)}
    assert not [one.name for one in figures(8, times, Memory(30e3)) if "EnvPool" in one.name]


def test_everybody_has_every_place_in_the_order_and_the_first_round_does_not_count() -> None:
    order: list[str] = []

    def entrant(name: str):
        def run() -> Seconds:
            order.append(name)
            return Seconds(float(len(order)), 0.0)

        return run

    times = take_turns({name: entrant(name) for name in "abc"}, lambda: order.append("-"), 3)
    assert "".join(order) == "-abc-bca-cab-abc"
    assert [one.wall for one in times["a"]] == [8.0, 11.0, 14.0]


def test_a_tiny_run_beside_a_stand_in_for_envpool(tmp_path, monkeypatch, capsys) -> None:
    """Four robots, two rounds: positive rates, settings of both sides, and our physics with theirs."""
    shutil.copy(fake_envpool.__file__, tmp_path / "envpool.py")
    fake_envpool.lay_assets(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(sim, "_STEPS", 2)
    settings = replace(PRESETS["quick"]().task, num_envs=4)
    found = sim.measure(settings, 4, 2, 1, lambda: EnvPool(sys.executable, 4, 1))
    values = {figure.name: figure.value for figure in found}
    assert all(math.isfinite(value) for value in values.values())
    assert values["4: environment"] > 0.0 and values["4: EnvPool"] > values["4: environment"], "it computes nothing"
    printed = capsys.readouterr().out.splitlines()
    (own,) = (line for line in printed if line.startswith("environment:"))
    (matched,) = (line for line in printed if line.startswith("environment, matched:"))
    (theirs,) = (line for line in printed if line.startswith("EnvPool:"))
    assert "PGS with 10 iterations" in own and "9 contact pairs" in own
    assert "NEWTON with 1 iterations" in theirs and "4 contact pairs" in theirs
    assert matched.split(": ")[1].split("; ")[0] == theirs.split(": ")[1].split("; ")[0]
    assert "bounding volumes off" in matched and "bounding volumes off" in theirs


def test_the_bare_physics_begins_where_the_environment_is() -> None:
    """The same robots, so that contacts and their cost are the same: after one step without actions they agree."""
    settings = replace(PRESETS["quick"]().task, num_envs=3)
    environment = sim.Environment(3, 1, settings)
    bare = sim.BarePhysics(environment, 1)
    bare.prepare()
    state = environment.engine.state()
    np.testing.assert_allclose(bare._qpos[:, 7:], state.joint_position.numpy(), atol=1e-6)
    np.testing.assert_allclose(bare._qvel[:, 6:], state.joint_velocity.numpy(), atol=1e-6)
    assert bare._targets.shape == (sim._STEPS, 3, 12)
    target = environment.graph.joint_target(environment.actions[1])
    np.testing.assert_allclose(bare._targets[1], target.numpy(), atol=1e-6)
    before = torch.tensor(bare._qpos).clone()
    bare.run()
    assert np.abs(bare._qpos - before.numpy())[:, 7:].max() > 0.01
