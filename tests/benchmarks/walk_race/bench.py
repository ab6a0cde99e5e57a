"""What the tests of the race share: a verdict that is good enough, and a part of a measurement."""

from benchmarks.walk_race.judge import Verdict
from benchmarks.walk_race.task import RaceTask

GOOD = Verdict(100, 100, 0, 10.0, 0.9, 0.85, 0.2, 0.1)


def task(method="ours", seed=1, **more) -> RaceTask:
    return RaceTask(method, seed, every=10, turn_s=30.0, **more)
