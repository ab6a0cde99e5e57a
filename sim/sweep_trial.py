"""One trial of a sweep: a pretraining run in its folder, and the record that says what became of it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, Literal, Optional

from policy.code_version import code_version
from policy.differences import differences
from robot_configs.errors import Go1Error
from sim.earlier_run import read_earlier_run
from sim.pretrain import pretrain
from sim.pretrain_command import finish_run
from sim.sweep_plan import Trial

RECORD = "trial.json"
FAILURE = "failure.txt"
Status = Literal["started", "finished", "failed"]


class TrialError(Go1Error):
    """A trial's folder that holds something else."""


@dataclass(frozen=True)
class TrialRecord:
    """What is known of a trial.

    Attributes:
        settings: as JSON has them.
        code_version: of the process that wrote the record.
        bundle_sha256: of a finished trial. failure: of a failed one, in a line;
            `failure.txt` beside it has the traceback.
    """

    status: Status
    settings: Dict[str, Any]
    code_version: str
    bundle_sha256: Optional[str] = None
    failure: Optional[str] = None


def run_trial(trial: Trial, folder: Path, command: str, film: bool) -> None:
    """Train, or go on with a training that stopped half-way, seal the policy, show it, and say that it is finished.

    Args:
        command: what a person typed, for the bundle's lineage.
        film: whether the policy's walk is filmed at the end.

    Raises:
        EarlierRunError: the run to begin with is another one than when the sweep was laid out.
    """
    write_record(folder, TrialRecord("started", json_settings(trial), code_version()))
    (folder / FAILURE).unlink(missing_ok=True)
    earlier = None if trial.begin_with is None else read_earlier_run(trial.begin_with)
    graph = pretrain(trial.settings, folder, earlier=earlier)
    bundle = finish_run(graph, trial.settings, folder, command, film)
    write_record(folder, TrialRecord("finished", json_settings(trial), code_version(), bundle_sha256=bundle.sha256))


def json_settings(trial: Trial) -> Dict[str, Any]:
    """The trial's settings as they come back from a file."""
    content: Dict[str, Any] = json.loads(json.dumps(asdict(trial.settings)))
    return content


def write_record(folder: Path, record: TrialRecord) -> None:
    """Complete or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{RECORD}.part"
    part.write_text(json.dumps(asdict(record), indent=1) + "\n", encoding="utf-8")
    os.replace(part, folder / RECORD)


def read_record(trial: Trial, folder: Path) -> Optional[TrialRecord]:
    """What became of the trial so far; None where it never began.

    Raises:
        TrialError: the folder was made with other settings, for instance before a preset was changed.
    """
    path = folder / RECORD
    if not path.is_file():
        return None
    record = TrialRecord(**json.loads(path.read_text(encoding="utf-8")))
    other = [difference.name for difference in differences(record.settings, json_settings(trial))]
    if other:
        found = f"another {', '.join(other)}"
        raise TrialError(f"{folder} made with the settings of this sweep", found, "Give another --out, or remove it.")
    return record
