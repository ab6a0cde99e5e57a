"""The grid of tiles, and who walks where: starting places, edges, and the way up and down the levels."""

import pytest
import torch

from sim.terrain.grid import TerrainGrid, build_grid
from sim.terrain.ground import FlatGround, TerrainGround
from sim.terrain.settings import TerrainSettings

SETTINGS = TerrainSettings(kinds=("flat", "steps_up", "slope_down"), levels=4)
ROBOTS = 7


@pytest.fixture(scope="module")
def grid() -> TerrainGrid:
    return build_grid(SETTINGS, seed=3)


@pytest.fixture
def ground(grid) -> TerrainGround:
    return TerrainGround(grid, ROBOTS, torch.Generator().manual_seed(0))


def test_the_grid_covers_all_tiles_and_a_border(grid):
    columns, rows = grid.field.heights_m.shape
    assert (columns, rows) == (4 * 80 + 2 * 60 + 1, 3 * 80 + 2 * 60 + 1)
    assert grid.field.origin_m == (-6.0, -6.0)
    assert grid.field.far_corner_m == pytest.approx((38.0, 30.0))
    assert grid.centre_m.shape == (4, 3, 2)
    assert grid.centre_m[2, 1].tolist() == [20.0, 12.0]


def test_each_tile_has_its_kind_and_level(grid):
    """Steps: 8 of 10 cm at the last of four levels. The pit: tan(0.3 l / 4) over 3.4 m."""
    height = grid.field.height_at(grid.centre_m)
    assert height[:, 0].tolist() == [0.0] * 4
    assert height[:, 1].tolist() == pytest.approx([0.2, 0.4, 0.6, 0.8], abs=1e-5)
    expected = [-float(torch.tan(torch.tensor(0.3 * level / 4))) * 3.4 for level in (1, 2, 3, 4)]
    assert height[:, 2].tolist() == pytest.approx(expected, abs=1e-5)


def test_the_same_seed_gives_the_same_ground():
    settings = TerrainSettings(kinds=("rough",), levels=1)
    first, again, other = (build_grid(settings, seed).field.heights_m for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_level_ground_is_a_pad_over_all_its_levels_and_alone_may_be_soft(grid, ground):
    (pad,) = grid.field.pads
    assert (pad.first_m, pad.last_m, pad.height_m) == ((0.0, 0.0), (32.0, 8.0), 0.0)
    along, across = grid.field.inside(pad)
    assert (along.start, along.stop, across.start, across.stop) == (61, 380, 61, 140)  # border nodes stay
    assert ground.may_be_soft().tolist() == [True, False, False, True, False, False, True]
    assert bool(FlatGround().may_be_soft())


def test_kinds_are_dealt_out_and_robots_start_low(ground):
    assert ground.kind.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert set(ground.level.tolist()) <= {0, 1}


def test_robots_start_on_the_ground_of_their_tile(ground, grid):
    ground.level[:] = torch.tensor([0, 3, 1, 2, 0, 3, 1])
    start = ground.start(torch.arange(ROBOTS))
    torch.testing.assert_close(start[:, :2], grid.centre_m[ground.level, ground.kind])
    assert float(start[1, 2]) == pytest.approx(0.8, abs=1e-5)
    torch.testing.assert_close(start[:, 2], ground.height_at(start))


def test_a_robot_has_left_when_it_is_off_its_own_tile(ground):
    """Tiles of 8 m: that of level 1 and kind 2 reaches from 8 to 16 m along x and from 16 to 24 m along y."""
    ground.level[:], ground.kind[:] = 1, 2
    place = torch.tensor(
        [[12.0, 20.0], [8.1, 16.1], [7.9, 20.0], [15.9, 23.9], [16.1, 20.0], [12.0, 24.1], [12.0, 15.9]]
    )
    left = ground.left(torch.cat([place, torch.zeros(ROBOTS, 1)], dim=1))
    assert left.tolist() == [False, False, True, False, True, True, True]


def test_levels_by_hand(ground):
    """Up from 0.7, down below 0.4 or by a fall, else stay; never below the first."""
    ground.level[:] = torch.tensor([1, 1, 1, 1, 1, 0, 0])
    tracking = torch.tensor([0.7, 0.69, 0.4, 0.39, 0.9, 0.1, 0.7])
    fell = torch.tensor([False, False, False, False, True, True, False])
    ground.episodes_end(torch.arange(ROBOTS), fell, tracking)
    assert ground.level.tolist() == [2, 1, 1, 0, 0, 0, 1]


def test_only_ended_episodes_move(ground):
    ground.level[:] = 1
    ground.episodes_end(torch.tensor([2, 5]), torch.tensor([False, True]), torch.tensor([0.9, 0.9]))
    assert ground.level.tolist() == [1, 1, 2, 1, 1, 0, 1]


def test_from_the_last_level_robots_go_anywhere(ground):
    seen = set()
    for _ in range(30):
        ground.level[:] = 3
        ground.episodes_end(torch.arange(ROBOTS), torch.zeros(ROBOTS, dtype=torch.bool), torch.ones(ROBOTS))
        seen |= set(ground.level.tolist())
    assert seen == {0, 1, 2, 3}


def test_the_log_has_the_mean_level_of_each_kind(ground):
    ground.level[:] = torch.tensor([0, 1, 2, 3, 1, 2, 0])
    log = {name: float(value) for name, value in ground.log().items()}
    assert log == {"/level/flat": 1.0, "/level/steps_up": 1.0, "/level/slope_down": 2.0}


def test_a_kind_that_occurs_twice_is_logged_once():
    settings = TerrainSettings(kinds=("rough", "flat", "rough"), levels=2)
    ground = TerrainGround(build_grid(settings, 1), 3, torch.Generator().manual_seed(0))
    ground.level[:] = torch.tensor([0, 1, 1])
    assert {name: float(value) for name, value in ground.log().items()} == {"/level/rough": 0.5, "/level/flat": 1.0}


def test_the_flat_floor_has_no_end():
    ground = FlatGround()
    far = torch.tensor([[1e4, -1e4, 0.3], [0.0, 0.0, 0.3]])
    assert ground.height_at(far).tolist() == [0.0, 0.0]
    assert ground.left(far).tolist() == [False, False]
    assert ground.start(torch.arange(2)).tolist() == [[0.0, 0.0, 0.0]] * 2
    assert ground.log() == {}
