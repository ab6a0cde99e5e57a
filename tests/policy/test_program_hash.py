"""What counts as other code."""

from __future__ import annotations

import pytest

from policy.program_hash import program, program_hash

SOURCE = '"""A page."""\n\ndef double(value: int) -> int:\n    """Twice."""\n    return 2 * value  # why\n'


def test_comments_docstrings_and_layout_do_not_count():
    assert program(SOURCE) == program("def double(value: int) -> int:\n\n    return (2 * value)\n")


@pytest.mark.parametrize(("old", "new"), [("2 * value", "3 * value"), ("value: int", "value: float")])
def test_any_change_of_the_program_does(old: str, new: str):
    assert program(SOURCE) != program(SOURCE.replace(old, new))


def test_the_hash_goes_by_the_files_that_the_patterns_find():
    assert program_hash(["policy/whole_files.py"]) == program_hash(["policy/whole_*.py"])
    others = (["policy/run_lock.py"], ["policy/whole_files.py", "policy/run_lock.py"], ["policy/no_such_file.py"])
    assert len({program_hash(patterns) for patterns in (["policy/whole_files.py"], *others)}) == 4
