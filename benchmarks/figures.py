"""What the benchmarks share: hogs to compete with, figures to compare."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Optional

import numpy as np


@dataclass(frozen=True)
class Figure:
    """One measured number, and the bound it is held against."""

    name: str
    value: float
    unit: str
    at_most: Optional[float] = None
    at_least: Optional[float] = None

    @property
    def verdict(self) -> str:
        """`met`, `MISSED`, or nothing where there is no bound."""
        if self.at_most is None and self.at_least is None:
            return ""
        met = (self.at_most is None or self.value <= self.at_most) and (
            self.at_least is None or self.value >= self.at_least
        )
        return "met" if met else "MISSED"

    def __str__(self) -> str:
        bound = f"<= {self.at_most:g}" if self.at_most is not None else ""
        bound = f">= {self.at_least:g}" if self.at_least is not None else bound
        return f"{self.name:58s} {self.value:12.4g} {self.unit:8s} {bound:8s} {self.verdict}"


@contextmanager
def hogs(count: int) -> Iterator[None]:
    """`count` processes that compute and never sleep, at ordinary priority."""
    program = "while True: sum(range(100_000))"
    processes = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def load_average() -> float:
    """Of the last minute, over all cores: what else the machine was doing."""
    return round(os.getloadavg()[0], 2)


def processor_time_s(process_id: Optional[int]) -> float:
    """Processor time that a process has used [s]: fields 14 and 15 of proc(5)'s stat."""
    after_the_name = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in after_the_name[11:13]) / os.sysconf("SC_CLK_TCK")


def quantiles_us(seconds: np.ndarray) -> Dict[str, float]:
    """p50, p99.9 and maximum of times [s], in microseconds."""
    return {
        "p50": float(np.quantile(seconds, 0.5)) * 1e6,
        "p99.9": float(np.quantile(seconds, 0.999)) * 1e6,
        "max": float(np.max(seconds)) * 1e6,
    }
