"""The process of one training: python -m benchmarks.walk_race.training FOLDER SOCKET LAUNCHED_AT CAP_S.

FOLDER has the `asked.json` of its `RaceTask`; the clock has been running since the process was launched, for whoever
trains waits for the imports, too.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

from benchmarks.walk_race.keeping import Keeper
from benchmarks.walk_race.task import RaceTask
from benchmarks.walk_race.turns import OwnTurns

ASKED = "asked.json"


def main() -> None:
    folder, channel = Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
    asked = json.loads((folder / ASKED).read_text(encoding="utf-8"))
    task = RaceTask.from_json(asked)
    turns = OwnTurns(channel, float(sys.argv[3]), task.turn_s)
    turns.cap_s = float(sys.argv[4])
    keeper = Keeper(folder, task.every, turns)
    if task.method == "ours":
        from benchmarks.walk_race import ours

        ours.train(task.settings(), folder, keeper)
    else:
        from benchmarks.walk_race import stable_baselines

        stable_baselines.train(task.settings(), task.tuned, keeper)
    keeper.finish(asked)


if __name__ == "__main__":
    main()
