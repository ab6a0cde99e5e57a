"""After a session: its exit status, and what of its summary people read."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Dict

from cli.exit_status import EXIT_UNFINISHED

if TYPE_CHECKING:
    from deploy.onboard.recorder import RecorderReport
    from deploy.onboard.summary import RunSummary


def exit_status(summary: RunSummary, may_drive: bool, rearmed: bool = False) -> int:
    """1 where the session ended before its plan was done, the gate latched a fault, the log lost something, or the
    shadow must not drive.

    Args:
        rearmed: faults were part of the plan (`--auto-rearm`).
    """
    fault = bool(summary.faults) and not rearmed
    clean = not (summary.stop_reason or fault or log_line(summary.recorder))
    return 0 if clean and may_drive else EXIT_UNFINISHED


def report_log(recorder: RecorderReport) -> None:
    """Say on standard error what the log lacks."""
    line = log_line(recorder)
    if line:
        print(f"go1: {line}", file=sys.stderr)


def log_line(recorder: RecorderReport) -> str:
    """What the log lacks; empty where it is whole, or none was asked for."""
    lost = {topic: count for topic, count in recorder.dropped.items() if count}
    if not lost and not recorder.error:
        return ""
    file = f"what there is of it: {recorder.path}" if recorder.path else "there is no file"
    if not lost:
        return f"THE LOG MAY NOT BE WHOLE: no record is known to be lost; {recorder.error}; {file}"
    of_topics = ", ".join(
        f"{count} of {count + recorder.messages.get(topic, 0)} {topic}" for topic, count in lost.items()
    )
    reason = recorder.error or "the disk was too slow"
    return f"THE LOG IS NOT WHOLE: {sum(lost.values())} records lost ({of_topics}); {reason}; {file}"


def for_people(summary: RunSummary) -> Dict[str, Any]:
    """The summary without what only programs read: the bins of the histograms, and who was not there."""
    content = summary.to_dict()
    for histogram in ("lateness", "inference"):
        content[histogram] = {name: value for name, value in content[histogram].items() if name != "counts"}
    if content["shadow"] is None:
        del content["shadow"]
    return content
