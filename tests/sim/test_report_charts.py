"""The report's plots: what is drawn is read back from the SVG."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from sim.report_charts import STAGE_COLOURS, candidates_chart, errors_chart, horizon_chart, returns_chart

SVG = "{http://www.w3.org/2000/svg}"


def _stages(falls_per_minute: float = 1.5) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "return_mean": 100.0 + 10 * place,
            "return_ci95": (95.0 + 10 * place, 105.0 + 10 * place),
            "velocity_error": {"linear_m_s": 0.4 / 2**place, "yaw_rad_s": 0.2},
            "falls_per_minute": falls_per_minute,
            "per_episode": [
                {"episode_return": value + 10 * place, "fell": fell}
                for value, fell in ((90.0, True), (100.0, False), (110.0, False))
            ],
        }
        for place, name in enumerate(STAGE_COLOURS)
    }


def _marks(svg: str, colour: str) -> int:
    """Copies of a marker in this colour."""
    return sum(colour in (use.get("style") or "") for use in ElementTree.fromstring(svg).iter(f"{SVG}use"))


def _texts(svg: str) -> list[str]:
    return ["".join(text.itertext()).strip() for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def _bar_widths(svg: str, colour: str) -> list[float]:
    """Widths of the rectangles filled with this colour, in the order in which they were drawn."""
    widths = []
    for path in ElementTree.fromstring(svg).iter(f"{SVG}path"):
        if f"fill: {colour}" in (path.get("style") or "") and "L" in path.get("d", ""):
            xs = [float(x) for x in re.findall(r"[ML] (-?[\d.]+) ", path.get("d", ""))]
            widths.append(max(xs) - min(xs))
    return widths


def test_every_episode_is_a_mark_in_its_stage() -> None:
    svg = returns_chart(_stages())
    for colour in STAGE_COLOURS.values():
        # Two standing, one fallen, the mean, and a cap at each end of its interval.
        assert _marks(svg, colour) == 6
    assert {"100", "110", "120", *STAGE_COLOURS} <= set(_texts(svg))


def test_bars_are_as_long_as_what_they_stand_for() -> None:
    svg = errors_chart(_stages())
    linear = [_bar_widths(svg, colour)[0] for colour in STAGE_COLOURS.values()]
    assert linear[0] / linear[1] == pytest.approx(2.0, rel=1e-3)
    assert linear[0] / linear[2] == pytest.approx(4.0, rel=1e-3)
    assert {"0.400", "0.200", "0.100", "1.50"} <= set(_texts(svg))


def test_no_falls_at_all_still_make_a_plot() -> None:
    assert _texts(errors_chart(_stages(falls_per_minute=0.0))).count("0.00") == 3


def test_the_ring_is_around_the_chosen_candidate() -> None:
    candidates = [
        {"name": name, "kl": kl, "gain": gain, "gain_interval": [gain - 0.1, gain + 0.1]}
        for name, kl, gain in (("start", 0.0, 0.0), ("iteration 1", 0.06, 0.5), ("iteration 2", 0.12, 0.4))
    ]
    for chosen in range(3):
        svg = candidates_chart(candidates, candidates[chosen]["name"])  # type: ignore[arg-type]
        root = ElementTree.fromstring(svg)
        places: dict[str, list[tuple[str | None, str | None]]] = {"offline": [], "online": []}
        for stage, found in places.items():
            for use in root.iter(f"{SVG}use"):
                if f"stroke: {STAGE_COLOURS[stage]}" in (use.get("style") or ""):
                    found.append((use.get("x"), use.get("y")))
        ring = places["online"][0]
        # Before the candidates' own markers come the caps of their intervals, on the same abscissae.
        assert places["offline"].index(ring) % 3 == chosen
        assert f"chosen: {candidates[chosen]['name']}" in _texts(svg)


def test_the_horizon_is_in_seconds_from_the_first_step() -> None:
    svg = horizon_chart({"ensemble": [0.1, 0.2], "linear": [0.2, 0.4], "unchanged": [0.3, 0.6]}, step_s=0.5)
    assert {"0.5", "1.0", "transition model", "linear", "nothing changes"} <= set(_texts(svg))


def test_the_element_scales_with_the_page_and_says_what_it_shows() -> None:
    root = ElementTree.fromstring(returns_chart(_stages()))
    assert root.get("width") is None
    assert root.get("height") is None
    assert root.get("viewBox") is not None
    assert root.get("role") == "img"
    assert "paired" in (root.get("aria-label") or "")
