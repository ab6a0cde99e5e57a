"""EnvPool's native Go1 in a Python of its own, stepped a round at a time on request.

As a program it is the other side: it reads the number of steps of a round, line by line, and answers with its seconds.
"""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import time
from pathlib import Path

# Only what every Python has: as a program this runs where the project is not installed.
TASK = "Go1JoystickFlatTerrain-v1"


def resident_bytes() -> int:
    """Memory of this process that is in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class EnvPool:
    """Robots of `TASK` under random actions.

    Attributes:
        bytes_a_robot: resident memory that the robots brought.
    """

    def __init__(self, python: str, robots: int, threads: int) -> None:
        command = [python, str(Path(__file__).resolve()), "--robots", str(robots), "--threads", str(threads)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.bytes_a_robot = float(self._answer())

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
            raise SystemExit(f"EnvPool's process ended with status {self._process.wait()}: see its message above")
        return line.strip()


def serve(robots: int, threads: int) -> None:
    """Step the environments until no further round is asked for."""
    import numpy as np

    envpool = importlib.import_module("envpool")  # in this program's own Python only

    before = resident_bytes()
    pool = envpool.make_gymnasium(TASK, num_envs=robots, num_threads=threads, seed=1)
    random = np.random.default_rng(1)
    pool.reset()
    space = pool.action_space
    actions = random.uniform(space.low, space.high, (16, robots, *space.shape)).astype(space.dtype)
    pool.step(actions[0])
    print((resident_bytes() - before) / robots, flush=True)
    while True:
        try:
            steps = int(input())
        except EOFError:
            return
        start = time.perf_counter()
        for step in range(steps):
            pool.step(actions[step % len(actions)])
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--robots", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    serve(options.robots, options.threads)
