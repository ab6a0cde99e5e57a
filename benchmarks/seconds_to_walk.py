"""Seconds until `go1 sim train --preset quick` walks, beside stable-baselines3's PPO on the same task.

    python -m benchmarks.seconds_to_walk --out docs/results/seconds_to_walk --sb3-python PYTHON

PYTHON has benchmarks/requirements-seconds-to-walk.txt; without it, `--methods ours` measures ours alone. For each seed
the two train in turns, theirs twice as long as ours, up to twice our time. Both keep a policy every few iterations.
After they have trained, the policies are judged on the twin, from the first on: what counts is when the first that
walks was there (benchmarks/walk_race/judge.py says what walking is). That one was chosen by its walks, so that it walks
as many fresh ones; and the last policy is judged, which `quick` delivers. Time is that of the process's own turns since
it was launched, imports included; judging costs none of it. How the two tasks are held equal, and what SB3 lacks, is in
benchmarks/walk_race/stable_baselines.py.

Every seed and method is a part in a folder beside the result; a second call goes on with what is missing.
`--judge-only` judges what has been trained and trains nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Optional

from benchmarks.walk_race.judge import JudgeSettings
from benchmarks.walk_race.keeping import write_json
from benchmarks.walk_race.race import CAP_FACTOR, Race, Walked
from benchmarks.walk_race.results import content, figures, table
from benchmarks.walk_race.task import METHODS, RaceTask, StableBaselinesSettings
from benchmarks.walk_race.turns import RaceError
from cli.output import without_nan
from sim.sweep_plan import parse_assignment


def tasks_of(options: argparse.Namespace) -> list[RaceTask]:
    """Every seed with every method."""
    tuned = StableBaselinesSettings(
        options.sb3_learning_rate, options.sb3_desired_kl or None, options.sb3_target_kl, options.sb3_begin_with_trot
    )
    pairs = [parse_assignment(text) for text in options.set]
    assignments = tuple((path, values[0]) for path, values in pairs)
    turns = {"ours": options.turn_s, "stable-baselines3": CAP_FACTOR * options.turn_s}
    return [
        RaceTask(method, seed, options.every, turns[method], options.steps, assignments, tuned)
        for seed in options.seeds
        for method in METHODS
        if method in options.methods
    ]


def parser() -> argparse.ArgumentParser:
    """Its options."""
    known = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known.add_argument("--out", type=Path, required=True, help="folder of the parts, results.json and results.md")
    known.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    known.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    known.add_argument("--every", type=int, default=10, help="iterations between two policies [%(default)s]")
    known.add_argument("--turn-s", type=float, default=30.0, help="of ours; theirs is twice as long [%(default)s]")
    known.add_argument("--walks", type=int, default=JudgeSettings.walks)
    known.add_argument("--walk-s", type=float, default=JudgeSettings.walk_s)
    known.add_argument("--steps", type=int, help="environment steps of ours, instead of the preset's")
    known.add_argument("--set", action="append", default=[], metavar="PATH=VALUE", help="a setting of the preset")
    known.add_argument("--sb3-python", metavar="PYTHON", help="one that has stable-baselines3 [this one]")
    known.add_argument("--sb3-learning-rate", type=float, default=StableBaselinesSettings.learning_rate)
    known.add_argument("--sb3-desired-kl", type=float, default=StableBaselinesSettings.desired_kl, help="0: rate stays")
    known.add_argument("--sb3-target-kl", type=float, help="end an iteration's epochs past 1.5 times this")
    known.add_argument("--sb3-begin-with-trot", action="store_true", help="its actor imitates the trot first, as ours")
    known.add_argument("--judge-only", action="store_true", help="judge the trainings that there are")
    known.add_argument("--cap-s", type=float, help="end SB3 after this, too; needed without ours, to tune it")
    return known


def main(words: Optional[list[str]] = None) -> None:
    options = parser().parse_args(words)
    judging = JudgeSettings(walks=options.walks, walk_s=options.walk_s)
    tasks = tasks_of(options)
    race = Race(options.out, tasks, judging, options.cap_s, options.sb3_python)
    parts: list[Walked] = []
    if options.judge_only:
        tasks = [task for task in tasks if race.has_trained(task)]
        if not tasks:
            found = f"none of seeds {options.seeds} in {options.out}"
            raise RaceError("a training that has come to its end", found, "Leave --judge-only out to train.")
    for seed in options.seeds:
        if not options.judge_only:
            race.train(seed)
        for task in (task for task in tasks if task.seed == seed):
            parts.append(race.judge(seed, task.method))
            print(table(parts[-1:]).splitlines()[-1], flush=True)
    write_json(options.out / "results.json", without_nan(content(parts, judging)))
    lines = [table(parts), *(f"- {figure}" for figure in figures(parts))]
    (options.out / "results.md").write_text("\n\n".join([lines[0], "\n".join(lines[1:])]) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
