"""EnvPool's native Go1 in a Python of its own, stepped a round at a time on request."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from benchmarks import envpool_program
from benchmarks.envpool_program import Told
from robot_configs.errors import Go1Error


class EnvPoolError(Go1Error):
    """EnvPool that does not run, or not as asked."""


class EnvPool:
    """Robots of `envpool_program.TASK` under random actions.

    Args:
        as_it_ships: leave the scene's bounding volumes at their default.

    Raises:
        EnvPoolError: its process ended.
    """

    def __init__(self, python: str, robots: int, threads: int, as_it_ships: bool = False) -> None:
        command = [
            python,
            str(Path(envpool_program.__file__).resolve()),
            "--robots",
            str(robots),
            "--threads",
            str(threads),
        ]
        command += ["--as-it-ships"] if as_it_ships else []
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.told = Told(**json.loads(self._answer()))

    def run(self, steps: int) -> float:
        """One round; how long it took [s]."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        return float(self._answer())

    def __enter__(self) -> EnvPool:
        return self

    def __exit__(self, *exception: object) -> None:
        """End the process, whatever happened."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise EnvPoolError(
                "EnvPool's process to answer",
                f"its end with status {self._process.wait()}: see its message above",
                "Give a Python that has benchmarks/requirements-envpool.txt.",
            )
        return line.strip()
