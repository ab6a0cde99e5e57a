"""Ridge regression against lines that are known."""

from __future__ import annotations

import torch

from policy.uni_o4.ridge import column_spread, fit_ridge

torch.set_num_threads(1)


def test_a_line_is_recovered_in_raw_units():
    features = 5.0 + 3.0 * torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    target = features @ torch.tensor([[2.0], [-1.0]]) + 7.0
    line = fit_ridge(features, target)
    torch.testing.assert_close(line(features), target, atol=0.05, rtol=0.0)


def test_collinear_and_constant_columns_do_no_harm():
    column = torch.randn(300, 1, generator=torch.Generator().manual_seed(0))
    features = torch.cat([column, column, torch.full((300, 1), 4.0)], dim=1)
    line = fit_ridge(features, 2.0 * column)
    torch.testing.assert_close(line.weight[0], line.weight[1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(line(features), 2.0 * column, atol=0.02, rtol=0.0)


def test_a_constant_column_counts_as_spread_one():
    assert column_spread(torch.tensor([[1.0, 0.0], [1.0, 2.0]])).tolist() == [1.0, 1.0]
