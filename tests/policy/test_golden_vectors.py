"""Golden vectors by themselves: their table and bytes, how many there must be, and which values prove something."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from policy.bundle_error import BundleError
from policy.contract import PolicyContract
from policy.golden_vectors import (
    GOLDEN_STEP_OUTPUTS,
    LARGEST_VALUE,
    MINIMUM_GOLDEN_SEQUENCES,
    MINIMUM_GOLDEN_STEPS,
    check_golden,
    golden_names,
    golden_table,
    parse_golden,
)
from policy.sealed_file import unseal
from robot_configs.robot import canonical_json
from tests.policy.resealed import SECTIONS, SHIPPED

SHAPE = [2, 3, 1]


@pytest.fixture(scope="module")
def contract() -> PolicyContract:
    return PolicyContract.from_json(canonical_json(unseal(SHIPPED, SECTIONS).header["contract"]))


def vectors(contract: PolicyContract, sequences: int, steps: int) -> dict[str, np.ndarray]:
    """Zeros of the right shapes."""
    widths = {f"in.{name}": width for name, width in contract.signal_widths().items() if name != "memory"}
    widths |= {f"out.{name}": max(width, 1) for name, width in contract.output_widths().items()}
    golden = {}
    for name in golden_names():
        last_only = name.startswith("out.") and name[4:] not in GOLDEN_STEP_OUTPUTS
        golden[name] = np.zeros((sequences, 1 if last_only else steps, widths[name]), np.float32)
    return golden


def table_of(names: tuple[str, ...]) -> list[list[Any]]:
    return [[name, list(SHAPE)] for name in names]


def content_of(count: int) -> bytes:
    """So many arrays of SHAPE, counting up."""
    return np.arange(count * math.prod(SHAPE), dtype="<f4").tobytes()


def test_arrays_follow_each_other_in_the_order_of_their_names() -> None:
    names = golden_names()
    assert list(names) == sorted(names) and len(names) == 6 + 7
    golden = parse_golden(table_of(names), content_of(len(names)))
    for index, name in enumerate(names):
        assert golden[name].shape == (2, 3, 1)
        assert golden[name].ravel().tolist() == [6.0 * index + step for step in range(6)]
        assert not golden[name].flags.writeable


def test_what_is_written_is_read(contract: PolicyContract) -> None:
    golden = {name: array + index for index, (name, array) in enumerate(vectors(contract, 2, 2).items())}
    back = parse_golden(*golden_table(golden))
    assert list(back) == list(golden_names())
    for name, array in golden.items():
        np.testing.assert_array_equal(back[name], array)


@pytest.mark.parametrize("kept", [slice(1, None), slice(None, -1), slice(None, None, -1), slice(0, 0)])
def test_other_names_are_refused_even_where_the_bytes_fit(kept: slice) -> None:
    names = golden_names()[kept]
    with pytest.raises(BundleError, match=r"golden vectors \('in"):
        parse_golden(table_of(names), content_of(len(names)))


@pytest.mark.parametrize("entry", [lambda name: [name], lambda name: [name, [1, 1, 1], 0], lambda name: (name, [1])])
def test_entries_of_another_form_are_refused(entry: Any) -> None:
    with pytest.raises(BundleError, match="list of golden vectors with their shapes"):
        parse_golden([entry(name) for name in golden_names()], b"")


def test_bytes_that_are_missing_or_left_over_are_counted() -> None:
    count = len(golden_names())
    with pytest.raises(BundleError, match="6 values of out.observation; found 5 left in the file"):
        parse_golden(table_of(golden_names()), content_of(count)[:-3])
    with pytest.raises(BundleError, match="fill their section; found 8 bytes more"):
        parse_golden(table_of(golden_names()), content_of(count) + bytes(8))


@pytest.mark.parametrize(
    ("sequences", "steps", "enough"),
    [(64, 2, True), (65, 3, True), (64, 3, True), (63, 2, False), (64, 1, False), (63, 9, False), (900, 1, False)],
)
def test_how_many_there_must_be(contract: PolicyContract, sequences: int, steps: int, enough: bool) -> None:
    assert (MINIMUM_GOLDEN_SEQUENCES, MINIMUM_GOLDEN_STEPS) == (64, 2)
    if enough:
        check_golden(vectors(contract, sequences, steps), contract)
    else:
        with pytest.raises(BundleError, match=f"64 golden sequences of 2 steps; found {sequences} of {steps}"):
            check_golden(vectors(contract, sequences, steps), contract)


@pytest.mark.parametrize("name", golden_names())
def test_every_array_has_its_contracts_shape_and_no_value_beyond_the_largest(
    contract: PolicyContract, name: str
) -> None:
    golden = vectors(contract, 64, 2)
    for axis in range(3):
        wider = np.concatenate([golden[name], golden[name]], axis=axis)
        # One array more of sequences or steps than the others have, or of twice the width.
        with pytest.raises(BundleError, match="golden "):
            check_golden({**golden, name: wider}, contract)
    assert LARGEST_VALUE == 1e6
    for value, sound in ((1e6, True), (-1e6, True), (1.0001e6, False), (-1.0001e6, False), (np.nan, False)):
        changed = golden[name].copy()
        changed[-1, -1, -1] = value
        if sound:
            check_golden({**golden, name: changed}, contract)
        else:
            with pytest.raises(BundleError, match="larger values or NaN"):
                check_golden({**golden, name: changed}, contract)


@pytest.mark.parametrize(
    "shape", [None, 3, "abc", [], [2, 3], [2, 3, 1, 1], [6, 1, 0], [2, -3, -1], [2, 3, True], [2, 3, 1.0], (2, 3, 1)]
)
def test_shapes_of_another_form_are_refused(shape: Any) -> None:
    table = table_of(golden_names())
    table[5][1] = shape
    with pytest.raises(BundleError, match=f"three sizes above zero as the shape of {golden_names()[5]}"):
        parse_golden(table, content_of(len(golden_names())))
