"""After a session: its exit status, and what of its summary people read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict

from cli.exit_status import EXIT_UNFINISHED

if TYPE_CHECKING:
    from deploy.onboard.summary import RunSummary


def exit_status(summary: RunSummary, may_drive: bool, rearmed: bool = False) -> int:
    """1 where the session ended before its plan was done, the gate latched a fault, or the shadow must not drive.

    Args:
        rearmed: faults were part of the plan (`--auto-rearm`).
    """
    fault = bool(summary.faults) and not rearmed
    return EXIT_UNFINISHED if summary.stop_reason or fault or not may_drive else 0


def for_people(summary: RunSummary) -> Dict[str, Any]:
    """The summary without what only programs read: the bins of the histograms, and who was not there."""
    content = summary.to_dict()
    for histogram in ("lateness", "inference"):
        content[histogram] = {name: value for name, value in content[histogram].items() if name != "counts"}
    if content["shadow"] is None:
        del content["shadow"]
    return content
