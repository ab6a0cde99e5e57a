"""One walk, many endings: at the onset the process forks, and each child plays a case of its own from there."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, Iterator, List, Optional, Tuple

from robot_configs.errors import Go1Error
from sim.faults.case import FaultCase


class BranchError(Go1Error):
    """A trial that did not come to its end."""


class _WalkOverError(Exception):
    """Every case has been played: the walk that they began with is of no more use."""


class Branches:
    """Forks for one case after another.

    Each child is a copy of the whole process, so there must be no other thread that it would have to have. Results are
    sent back as multiprocessing sends them.
    """

    def __init__(self, cases: Sequence[FaultCase]) -> None:
        self._waiting: Iterator[FaultCase] = iter(cases)
        self._results: List[Any] = []
        self._to_parent: Optional[Connection] = None

    def choose(self) -> FaultCase:
        """In a child: its case. In the parent: never returns.

        Raises:
            BranchError: a child ended without a result.
        """
        for case in self._waiting:
            reader, writer = multiprocessing.Pipe(duplex=False)
            child = os.fork()
            if child == 0:
                reader.close()
                self._to_parent = writer
                return case
            writer.close()
            try:
                self._results.append(reader.recv())
            except EOFError:
                raise BranchError(
                    f"a result of {case.name}", f"status {os.waitpid(child, 0)[1]}", "See what the trial printed."
                ) from None
            finally:
                reader.close()
            os.waitpid(child, 0)
        raise _WalkOverError

    def collect(self, play: Callable[[], Any]) -> Tuple[Any, ...]:
        """Call `play`, which calls `choose` once; its results in all the children, in the order of the cases."""
        try:
            result = play()
        except _WalkOverError:
            return tuple(self._results)
        except BaseException:
            if self._to_parent is not None:
                self._leave_child_loudly()
            raise
        assert self._to_parent is not None, "a walk that ends before the onset has no branches"
        self._to_parent.send(result)
        os._exit(0)

    def _leave_child_loudly(self) -> None:
        """Nothing of what the parent still has to do may happen twice: no handlers, no buffers, no temporary files."""
        import traceback

        traceback.print_exc()
        os._exit(1)
