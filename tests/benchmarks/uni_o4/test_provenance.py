"""Which files count as the code behind a result."""

from __future__ import annotations

from benchmarks.uni_o4.provenance import CODE, code_that_computes
from policy.program_hash import ROOT


def test_every_file_named_exists_and_each_part_has_code_of_its_own():
    for patterns in CODE.values():
        assert all(list(ROOT.glob(pattern)) for pattern in patterns)
    assert len({code_that_computes(what) for what in CODE}) == len(CODE)
