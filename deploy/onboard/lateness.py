"""How late the loop is: a histogram of bounded size, cheap enough for every tick."""

from __future__ import annotations

import math
from typing import Dict, List, Union

FIRST_EDGE_S = 1e-6
EDGES_PER_OCTAVE = 2
BINS = 48
"""Bin 0 ends at 1 us, bin 47 begins at about 12 s: each is a factor of sqrt(2) wide."""


class LatenessHistogram:
    """Counts lateness values [s] in bins of equal ratio: a quantile is known to within a factor of sqrt(2)."""

    def __init__(self) -> None:
        self.counts: List[int] = [0] * BINS
        self.total = 0
        self.sum_s = 0.0
        self.maximum_s = 0.0

    def add(self, lateness_s: float) -> None:
        """Count one value; early (negative) counts as on time."""
        late = lateness_s if lateness_s > 0.0 else 0.0
        index = 0
        if late >= FIRST_EDGE_S:
            index = min(1 + int(EDGES_PER_OCTAVE * math.log2(late / FIRST_EDGE_S)), BINS - 1)
        self.counts[index] += 1
        self.total += 1
        self.sum_s += late
        if late > self.maximum_s:
            self.maximum_s = late

    def quantile_s(self, fraction: float) -> float:
        """Upper edge of the bin below which `fraction` of the values lie [s], at most their maximum; 0 when empty."""
        needed, seen = fraction * self.total, 0
        for index, count in enumerate(self.counts):
            seen += count
            if count and seen >= needed:
                return min(FIRST_EDGE_S * 2.0 ** (index / EDGES_PER_OCTAVE), self.maximum_s)
        return 0.0

    def to_dict(self) -> Dict[str, Union[int, float, List[int]]]:
        """Plain values for a summary."""
        return {
            "ticks": self.total,
            "mean_s": self.sum_s / self.total if self.total else 0.0,
            "p50_s": self.quantile_s(0.5),
            "p99_s": self.quantile_s(0.99),
            "maximum_s": self.maximum_s,
            "counts": list(self.counts),
        }
