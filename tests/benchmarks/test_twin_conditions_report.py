"""The page of the benchmark of conditions: tables by hand, and what they refuse to put together."""

from pathlib import Path

import pytest

from benchmarks.twin_conditions_report import report, write_page
from benchmarks.twin_conditions_results import ConditionReportError, read_results
from tests.benchmarks.twin_conditions_records import record


def told(folder: Path) -> str:
    return report(read_results(folder))


def whole(folder: Path) -> None:
    """Ice: a gap of 200, of which seeds 1 and 2 close 1/2 and 3/4. Rough: an oracle that is worse."""
    record(folder, "ice", None, "pre", 0.0)
    for seed, gain in ((1, 100.0), (2, 150.0)):
        record(folder, "ice", seed, "refined1", gain)
        record(folder, "ice", seed, "oracle", 100.0 * seed, held_out_return=500.0 + seed)
    record(folder, "rough", None, "pre", 200.0)
    record(folder, "rough", 1, "refined1", 210.0)
    record(folder, "rough", 1, "oracle", 190.0, held_out_return=500.0)
    (folder / "ice" / "seed1" / "settings.json").write_text("{}")  # of a trainer: no result


def test_the_tables_by_hand(tmp_path):
    """The oracle of ice is that of seed 2, best on the episodes held out; rough closes nothing and is counted out."""
    whole(tmp_path)
    text = told(tmp_path)
    assert "| ice |  | pre | 400 [388, 408] | 0.250 | 3 of 8 |" in text
    assert "| ice | 1 | refined1 | 500 [488, 508] | 0.250 | 3 of 8 |" in text
    assert "| ice | +200 [+200, +200], seed 2 | 0.62 [0.50, 0.75] (0.50, 0.75) |" in text
    assert "| rough | -10 [-10, -10], seed 1 | no gap |" in text
    assert "| mean over conditions | | 0.62 [0.50, 0.75], 1 of 2 |" in text
    assert "not through the wire" in text and "made by 1.0" in text


def test_what_is_left_out_is_told(tmp_path):
    whole(tmp_path)
    lines = told(tmp_path).split("Left out of the shares (")[1].splitlines()
    assert lines[0] == "3):"
    assert lines[2:5] == [
        "- rough: no result of refined1 with seed 2",
        "- rough: no result of oracle with seed 2",
        "- rough: its gap is not larger than its interval is wide",
    ]


def test_nothing_left_out_is_told_too(tmp_path):
    record(tmp_path, "ice", None, "pre", 0.0)
    record(tmp_path, "ice", 1, "refined1", 10.0)
    record(tmp_path, "ice", 1, "oracle", 20.0, held_out_return=1.0)
    assert "Left out of the shares (0):\n\n- nothing" in told(tmp_path)


def test_without_an_oracle_nothing_is_closed(tmp_path):
    record(tmp_path, "ice", None, "pre", 0.0)
    record(tmp_path, "ice", 1, "refined1", 100.0)
    text = told(tmp_path)
    assert "| ice | | |" in text and "| mean over conditions | | 0 of 1 |" in text
    assert "- ice: no result of any oracle" in text


def test_no_results_are_refused(tmp_path):
    with pytest.raises(ConditionReportError, match="none"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"pretrained_sha256": "q"}, "pretrained bundle"),
        ({"evaluation": {"episodes": 9}}, "set of episodes"),
        ({"condition": {"name": "ice", "friction": 0.1}}, "content of ice"),
        ({"stage": {"of": "refined", "log_steps": 1}}, "kind of refined1"),
        ({"start_sha256": "q"}, "made from the stage before it"),
    ],
)
def test_results_of_different_kinds_are_refused(tmp_path, settings, named):
    whole(tmp_path)
    record(tmp_path, "ice", 2, "refined1", 150.0, settings)
    with pytest.raises(ConditionReportError, match=named):
        read_results(tmp_path)


def test_a_second_round_starts_from_the_first_that_is_there(tmp_path):
    whole(tmp_path)
    record(tmp_path, "ice", 1, "refined2", 160.0)
    assert "| 0.80 [0.80, 0.80] (0.80) |" in told(tmp_path)
    record(tmp_path, "rough", 2, "refined2", 160.0)
    with pytest.raises(ConditionReportError, match="rough seed 2 refined2"):
        read_results(tmp_path)


def test_versions_of_the_code_are_told_apart(tmp_path):
    whole(tmp_path)
    record(tmp_path, "ice", 2, "refined1", 150.0, code_version="1.1")
    assert "made by 1.0, 1.1 (**several" in told(tmp_path)


def test_published_and_online_stand_beside_ours(tmp_path):
    """Every round of both has a column; of online learning the last look."""
    whole(tmp_path)
    for seed in (1, 2):
        record(tmp_path, "ice", seed, "published1", 50.0)
        for look in (1, 2):
            record(tmp_path, "ice", seed, f"online{look}", 160.0 + look)
    text = told(tmp_path)
    assert "| condition | gap | refined1 | published1 | online2 |" in text
    assert "| 0.25 [0.25, 0.25] (0.25, 0.25) | 0.81 [0.81, 0.81] (0.81, 0.81) |" in text
    rows = [line.split(" | ")[2] for line in text.splitlines() if line.startswith("| ice | 1 |")]
    assert rows == ["refined1", "published1", "online1", "online2", "oracle"]


def test_online_has_to_go_on_from_the_last_round_that_is_there(tmp_path):
    whole(tmp_path)
    record(tmp_path, "ice", 1, "online1", 160.0)
    read_results(tmp_path)
    record(tmp_path, "ice", 1, "refined2", 160.0)
    with pytest.raises(ConditionReportError, match="ice seed 1 online1 made from the stage before it"):
        read_results(tmp_path)


def test_the_robust_policy_stands_beside_the_start(tmp_path):
    whole(tmp_path)
    record(tmp_path, "ice", None, "robust", 70.0)
    lines = told(tmp_path).splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("| ice |  | pre"))
    assert lines[first + 1].startswith("| ice |  | robust | 470 ")


def test_a_stage_that_is_none_is_refused(tmp_path):
    whole(tmp_path)
    record(tmp_path, "ice", 1, "polished1", 70.0)
    with pytest.raises(ConditionReportError, match="found polished1"):
        read_results(tmp_path)


def test_the_page_says_on_how_many_walks_of_which_seeds(tmp_path):
    whole(tmp_path)
    assert "Each line is an evaluation of 8 walks of 10 s, seeds 7 to 14." in told(tmp_path)


def test_speeds_on_latex_and_on_the_mattress_have_a_table_each(tmp_path):
    record(tmp_path, "latex", None, "pre", 0.0, steady={"forward_m_s": [0.3, 0.5], "falls": 2})
    record(tmp_path, "mattress", None, "robust", 0.0, steady={"forward_m_s": [], "falls": 4})
    latex, mattress = told(tmp_path).split("Speed on ")[1:]
    assert latex.startswith("latex at a commanded 1 m/s")
    assert mattress.startswith("mattress at a commanded 1 m/s")
    assert "| pre |  | 0.40 (0.30 to 0.50) | 2 of 4 |" in latex
    assert "| robust |  |  | 4 of 4 |" in mattress


def test_the_page_has_its_curves_and_films_beside_it(tmp_path):
    results, page = tmp_path / "results", tmp_path / "docs" / "page.md"
    whole(results)
    (results / "ice" / "before_after.gif").write_bytes(b"film")
    page.parent.mkdir()
    write_page(results, page)
    text = page.read_text()
    assert "](page/curves.svg)" in text and "](page/ice/before_after.gif)" in text
    assert (page.parent / "page" / "ice" / "before_after.gif").read_bytes() == b"film"
    assert (page.parent / "page" / "curves.svg").read_text().startswith("<?xml")
    again = page.read_bytes()
    write_page(results, page)
    assert page.read_bytes() == again


def test_a_page_over_its_own_results_keeps_the_films(tmp_path):
    """Results that lie where the page has its pictures: a film is not copied onto itself."""
    whole(tmp_path / "page")
    film = tmp_path / "page" / "ice" / "before_after.gif"
    film.write_bytes(b"film")
    write_page(tmp_path / "page", tmp_path / "page.md")
    assert film.read_bytes() == b"film" and "page/ice/before_after.gif" in (tmp_path / "page.md").read_text()
