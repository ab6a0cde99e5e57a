"""Every kind of ground by hand, on a tile of 8 m with heights each 10 cm."""

import math

import numpy as np
import pytest

from sim.terrain.pieces import PIECES
from sim.terrain.settings import KINDS, TerrainError, TerrainSettings

SETTINGS = TerrainSettings()
ALONG = np.arange(80) * 0.1 - 4.0
X, Y = np.meshgrid(ALONG, ALONG, indexing="ij")
MIDDLE = 40


def piece(kind: str, difficulty: float, settings: TerrainSettings = SETTINGS) -> np.ndarray:
    return PIECES[kind](X, Y, difficulty, settings, np.random.default_rng(1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("difficulty", [1 / 6, 1.0])
def test_where_robots_start_it_is_level(kind, difficulty):
    """A square of 1.2 m in the middle: the folded legs of a Go1 span 0.4 m by 0.25 m."""
    heights = piece(kind, difficulty)[MIDDLE - 5 : MIDDLE + 6, MIDDLE - 5 : MIDDLE + 6]
    assert np.ptp(heights) < 1e-9


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "rough"])
def test_tiles_meet_at_height_zero(kind):
    heights = piece(kind, 1.0)
    assert np.abs(heights[0]).max() == np.abs(heights[:, 0]).max() == 0.0


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "flat"])
def test_harder_is_higher_or_deeper(kind):
    ranges = [float(np.ptp(piece(kind, difficulty))) for difficulty in (0.25, 0.5, 1.0)]
    assert 0.0 < ranges[0] < ranges[1] < ranges[2]


def test_a_slope_by_hand():
    """At half the hardest: tan(0.15) a metre; the platform begins 3.4 m from the edge."""
    heights = piece("slope_up", 0.5)
    assert heights[10, MIDDLE] == pytest.approx(math.tan(0.15) * 1.0)
    assert heights.max() == pytest.approx(math.tan(0.15) * 3.4)
    np.testing.assert_allclose(piece("slope_down", 0.5), -heights)


def test_steps_by_hand():
    """Steps of 0.4 m and, at half the hardest, 5 cm: eight of them fit before the platform."""
    heights = piece("steps_up", 0.5)
    along = heights[:, MIDDLE]
    assert along[3] == 0.0
    assert along[4] == pytest.approx(0.05)
    assert along[8] == pytest.approx(0.10)
    assert heights.max() == pytest.approx(8 * 0.05)
    np.testing.assert_allclose(piece("steps_down", 0.5), -heights)


def test_bumps_stay_between_the_floor_and_their_height():
    heights = piece("rough", 0.5)
    assert heights.min() >= 0.0
    assert 0.028 < heights.max() <= 0.03
    assert heights[:, 5].std() > 0.003


def test_a_trench_by_hand():
    """At the hardest two nodes of 0.3 m depth: 0.3 m from brim to brim, and the same again a metre further out."""
    along = piece("gaps", 1.0)[MIDDLE:, MIDDLE]
    platform = 6
    deep = np.flatnonzero(along < -0.29) - platform
    assert deep.tolist() == [8, 9, 18, 19, 28, 29]
    shallow = piece("gaps", 0.5)[MIDDLE:, MIDDLE]
    assert (np.flatnonzero(shallow) - platform).tolist() == [9, 19, 29]
    assert shallow.min() == pytest.approx(-0.15)


def test_kinds_that_do_not_exist_are_refused():
    with pytest.raises(TerrainError, match="lava"):
        TerrainSettings(kinds=("flat", "lava"))
    with pytest.raises(TerrainError, match="none"):
        TerrainSettings(kinds=())


@pytest.mark.parametrize("changed", [{"platform_m": 4.0}, {"levels": 0}, {"spacing_m": 0.0}, {"demoted_below": 0.7}])
def test_impossible_terrain_is_refused(changed):
    with pytest.raises(TerrainError):
        TerrainSettings(**changed)


@pytest.mark.parametrize(
    "changed", [{"tile_m": 8.05}, {"border_m": 6.03}, {"gap_distance_m": 0.95}, {"spacing_m": 0.3}]
)
def test_lengths_that_no_cells_make_up_are_refused(changed):
    with pytest.raises(TerrainError, match="whole multiples of spacing_m"):
        TerrainSettings(**changed)
    assert TerrainSettings(tile_m=8.1, border_m=0.0, gap_distance_m=0.7).levels == 6


@pytest.mark.parametrize(
    "changed",
    [
        {"border_m": -0.1},
        {"platform_m": -0.1},
        {"rough_height_m": -0.01},
        {"slope_rad": -0.1},
        {"step_height_m": -0.01},
        {"gap_width_m": -0.1},
        {"gap_depth_m": -0.1},
    ],
)
def test_heights_below_zero_are_refused(changed):
    with pytest.raises(TerrainError, match=f"{next(iter(changed))} of at least zero"):
        TerrainSettings(**changed)
