"""Films of several policies side by side."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sim.side_by_side as module
from policy.bundle import BUNDLES
from sim.play import FULL, SMALL, PlayError
from sim.side_by_side import joined, play_side_by_side

FLAT, ROBUST = BUNDLES / "go1_velocity_flat.go1policy", BUNDLES / "go1_velocity.go1policy"


def film(shade: int, frames: int) -> list[np.ndarray]:
    """Plain frames of 40 rows and 80 columns, each a little lighter than the one before."""
    return [np.full((40, 80, 3), shade + index, dtype=np.uint8) for index in range(frames)]


def test_the_first_is_on_the_left_and_the_shorter_one_stays_where_it_ended():
    together = joined([film(10, 2), film(100, 4)], ["", ""])
    assert len(together) == 4 and together[0].shape == (30, 120, 3)
    corners = [(int(frame[-1, 0, 0]), int(frame[-1, -1, 0])) for frame in together]
    assert corners == [(10, 100), (11, 101), (11, 102), (11, 103)]


def test_each_policy_has_its_name_over_it():
    plain, named = joined([film(10, 1)] * 2, ["", ""])[0], joined([film(10, 1)] * 2, ["", "after"])[0]
    changed = np.nonzero((plain != named).any(axis=2))
    assert len(changed[0]) > 20
    assert changed[1].min() >= 60 and changed[0].max() < 25  # in the right one, at the top


def test_all_walk_the_same_way_under_the_same_conditions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    asked: list[Any] = []
    written: dict[Path, Any] = {}

    def film_bundle(bundle, *walk):
        asked.append((bundle, *walk))
        return film(0, 3), None

    monkeypatch.setattr(module, "film_bundle", film_bundle)
    monkeypatch.setattr(module, "film_writer", lambda out: lambda path, *film: written.update({path: film}))
    out = tmp_path / "both.gif"
    play_side_by_side({"before": FLAT, "after": ROBUST}, "mattress", "vx=1,vy=0,yaw=0", 6.0, out, seed=4, film=SMALL)
    assert asked == [(bundle, "mattress", "vx=1,vy=0,yaw=0", 6.0, 4, SMALL) for bundle in (FLAT, ROBUST)]
    frames, frame_hz = written[out]
    assert len(frames) == 3 and frame_hz == SMALL.frame_hz


def test_one_policy_is_no_pair(tmp_path: Path):
    with pytest.raises(PlayError, match="two policies or more of different names; found walk"):
        play_side_by_side({"walk": FLAT}, "nominal", "vx=0", 1.0, tmp_path / "x.gif")


def test_an_unknown_ending_is_refused_before_anything_is_filmed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(module, "film_bundle", lambda *walk: pytest.fail("filmed"))
    with pytest.raises(PlayError, match="gif or"):
        play_side_by_side({"a": FLAT, "b": ROBUST}, "nominal", "vx=0", 1.0, tmp_path / "x.avi")


def test_the_command_puts_the_second_policy_on_the_right(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    from cli.main import main

    asked = []
    monkeypatch.setattr(
        module, "play_side_by_side", lambda policies, *rest, film: asked.append((list(policies.items()), *rest, film))
    )
    out = str(tmp_path / "both.gif")
    assert main(["sim", "play", str(FLAT), "--beside", str(ROBUST), "--condition", "ice", "--out", out]) == 0
    assert asked[0][0] == [("go1_velocity_flat", FLAT), ("go1_velocity", ROBUST)]
    assert asked[0][1] == "ice" and asked[0][-2:] == (Path(out), FULL)
    namesake = tmp_path / FLAT.name
    namesake.write_bytes(ROBUST.read_bytes())
    assert main(["sim", "play", str(FLAT), "--beside", str(namesake), "--out", out]) == 0
    assert asked[1][0] == [(str(FLAT), FLAT), (str(namesake), namesake)]
