"""The mutation driver: what it changes, which test it runs first, and what it remembers."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.mutant_sources import ROOT, Mutant, mutants_of, unchanged
from benchmarks.mutant_trials import Baseline, Trial
from benchmarks.mutants import TESTS, Results

MODULE = "deploy/onboard/target.py"
EXIT_1 = 1 << 8  # as os.wait tells it


@pytest.fixture(scope="module")
def mutants() -> list[Mutant]:
    return mutants_of(MODULE)


def test_every_module_and_its_tests_exist() -> None:
    for module, tests in TESTS.items():
        assert (ROOT / module).is_file() and all((ROOT / name).is_file() for name in tests), module


def test_a_mutant_differs_from_the_module_in_one_place(mutants: list[Mutant]) -> None:
    original = unchanged(MODULE).source.splitlines()
    assert mutants and len({mutant.source for mutant in mutants}) == len(mutants)
    for mutant in mutants:
        assert original[mutant.line_number - 1].strip() == mutant.before != mutant.after
        assert original[: mutant.line_number - 1] == mutant.source.splitlines()[: mutant.line_number - 1]


def test_the_order_is_that_of_the_digests(mutants: list[Mutant]) -> None:
    digests = [mutant.digest for mutant in mutants]
    assert digests == sorted(digests)


def test_tests_that_reach_the_line_come_first_and_the_quick_ones_before_the_slow() -> None:
    baseline = Baseline({"slow": 2.0, "quick": 0.1, "elsewhere": 0.0}, {10: {"slow", "quick"}, 20: {"elsewhere"}})
    tests = ["elsewhere", "slow", "quick"]
    # Line 11 belongs to the statement that begins on line 10; before line 10 nothing is known.
    assert sorted(tests, key=lambda test: baseline.rank(test, 11)) == ["quick", "slow", "elsewhere"]
    assert sorted(tests, key=lambda test: baseline.rank(test, 20)) == ["elsewhere", "quick", "slow"]
    assert sorted(tests, key=lambda test: baseline.rank(test, 9)) == ["elsewhere", "quick", "slow"]


@pytest.mark.parametrize(
    ("status", "said", "expected"),
    [(0, "", None), (EXIT_1, "test_x", "test_x"), (EXIT_1, "", "import"), (signal.SIGXCPU, "", "signal 24")],
)
def test_how_a_child_ends(tmp_path: Path, mutants: list[Mutant], status: int, said: str, expected: str) -> None:
    report = tmp_path / "report"
    report.write_text(said, encoding="utf-8")
    assert Trial(mutants[0], 1, report).noticed_by(status) == expected
    assert not report.exists()


def test_what_was_tried_is_known_to_the_next_run(tmp_path: Path, mutants: list[Mutant]) -> None:
    noticed, survivor, untried = mutants[:3]
    results = Results(MODULE, tmp_path)
    results.add(noticed, "test_x")
    results.add(survivor, None)
    again = Results(MODULE, tmp_path)
    assert [again.is_tried(mutant) for mutant in (noticed, survivor, untried)] == [True, True, False]
    assert [again.survived(mutant) for mutant in (noticed, survivor, untried)] == [False, True, False]
    assert not again.is_tried(replace(noticed, source=noticed.source + "\n")), "another version of the module"
    again.forget()
    assert not Results(MODULE, tmp_path).is_tried(noticed)


def test_a_survivor_is_tried_again_when_its_tests_have_changed(
    tmp_path: Path, mutants: list[Mutant], monkeypatch: pytest.MonkeyPatch
) -> None:
    noticed, survivor = mutants[:2]
    results = Results(MODULE, tmp_path)
    results.add(noticed, "test_x")
    results.add(survivor, None)
    monkeypatch.setitem(TESTS, MODULE, TESTS[MODULE][:1])
    again = Results(MODULE, tmp_path)
    assert again.is_tried(noticed) and not again.is_tried(survivor)
