"""What counts as other code."""

from __future__ import annotations

import pytest

from benchmarks.uni_o4.provenance import CODE, ROOT, code_that_computes, program

SOURCE = '"""A page."""\n\ndef double(value: int) -> int:\n    """Twice."""\n    return 2 * value  # why\n'


def test_comments_docstrings_and_layout_do_not_count():
    assert program(SOURCE) == program("def double(value: int) -> int:\n\n    return (2 * value)\n")


@pytest.mark.parametrize(("old", "new"), [("2 * value", "3 * value"), ("value: int", "value: float")])
def test_any_change_of_the_program_does(old: str, new: str):
    assert program(SOURCE) != program(SOURCE.replace(old, new))


def test_every_file_named_exists_and_each_part_has_code_of_its_own():
    for patterns in CODE.values():
        assert all(list(ROOT.glob(pattern)) for pattern in patterns)
    assert len({code_that_computes(what) for what in CODE}) == len(CODE)
