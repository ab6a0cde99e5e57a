"""The race to a walking policy: what walking is, by hand; turns and clocks; parts that are kept; the worst seed."""

import json
import math
import socket
import sys
import threading
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.seconds_to_walk import parser, tasks_of
from benchmarks.walk_race import judge as judge_module
from benchmarks.walk_race import race as race_module
from benchmarks.walk_race import turns as turns_module
from benchmarks.walk_race.judge import JudgeSettings, Verdict, WalkScore, first_that_walks, judge
from benchmarks.walk_race.keeping import Keeper, Moment, checkpoint_path, kept_moments, read_json
from benchmarks.walk_race.race import Race, Walked
from benchmarks.walk_race.results import content, figures, ratio_to_theirs, table
from benchmarks.walk_race.task import RaceTask, StableBaselinesSettings
from benchmarks.walk_race.turns import OwnTurns, RaceError, Racer

GOOD = Verdict(100, 100, 0, 10.0, 0.9, 0.85, 0.2, 0.1)


def score(command, velocity, yaw_rate=0.0) -> WalkScore:
    one = WalkScore()
    one.add(np.array([command]), np.array([velocity]), np.array([yaw_rate]))
    return one


@pytest.mark.parametrize(
    ("command", "velocity", "tracking"),
    [
        ([1.0, 0.0, 0.0], [0.5, 0.0], 0.5),
        ([1.0, 0.0, 0.0], [0.5, 3.0], 0.5),  # aside counts nothing
        ([1.0, 0.0, 0.0], [2.0, 0.0], 1.0),  # nor does more
        ([-1.0, 0.0, 0.0], [0.5, 0.0], -0.5),  # the other way counts against
        ([0.6, 0.8, 0.0], [0.6, 0.0], 0.36),  # (0.6 x 0.6) / 1
    ],
)
def test_linear_tracking_is_the_share_along_the_command(command, velocity, tracking):
    linear, yaw = score(command, velocity).tracking
    assert linear == pytest.approx(tracking) and math.isnan(yaw)


@pytest.mark.parametrize(("rate", "tracking"), [(-1.0, 0.5), (-3.0, 1.0), (1.0, -0.5)])
def test_yaw_tracking_has_a_direction(rate, tracking):
    linear, yaw = score([0.0, 0.0, -2.0], [0.3, 0.0], rate).tracking
    assert yaw == pytest.approx(tracking) and math.isnan(linear)


def test_steps_weigh_by_what_was_commanded():
    both = WalkScore()
    both.add(np.array([[1.0, 0, 0], [0.0, 0, 0]]), np.array([[1.0, 0], [9.0, 0]]), np.zeros(2))
    both.add(np.array([[3.0, 0, 0]]), np.array([[1.5, 0]]), np.zeros(1))
    assert both.tracking[0] == pytest.approx((1.0 + 0.0 + 1.5) / (1.0 + 0.0 + 3.0))
    assert both.error == pytest.approx(((0.0 + 9.0 + 1.5) / 3, 0.0))


@pytest.mark.parametrize(
    ("verdict", "well"),
    [
        (replace(GOOD, yaw_tracking=0.8), True),
        (replace(GOOD, yaw_tracking=0.7999), False),
        (replace(GOOD, linear_tracking=0.7999), False),
        (replace(GOOD, linear_tracking=float("nan")), False),
        (replace(GOOD, yaw_tracking=float("nan")), False),
        (replace(GOOD, falls=1), False),
        (replace(GOOD, walks=20), False),
    ],
)
def test_what_walking_is(verdict, well):
    assert verdict.walks_well is well


@pytest.mark.parametrize(
    ("screened", "walked"),
    [
        (replace(GOOD, walks=20), [20, 100]),
        (replace(GOOD, walks=20, yaw_tracking=0.71), [20, 100]),
        (replace(GOOD, walks=20, yaw_tracking=0.69), [20]),
        (replace(GOOD, walks=20, linear_tracking=float("nan")), [20]),
        (replace(GOOD, walks=20, falls=1), [20]),
    ],
)
def test_a_hopeless_policy_is_not_walked_a_hundred_times(screened, walked, monkeypatch: pytest.MonkeyPatch):
    asked: list[list[int]] = []

    def walk(graph, settings, seeds, threads):
        asked.append(list(seeds))
        return screened if len(seeds) == 20 else GOOD

    monkeypatch.setattr(judge_module, "_walk", walk)
    verdict = judge(None, JudgeSettings(seed=3))  # type: ignore[arg-type]
    assert [len(seeds) for seeds in asked] == walked
    assert asked[-1] == [300_000 + index for index in range(len(asked[-1]))], "the walks of go1 sim eval --seed 3"
    assert verdict.walks_well is (walked[-1] == 100)


def test_the_first_that_walks_is_found_without_judging_the_later_ones():
    judged = []

    def verdict_of(iteration: int) -> Verdict:
        judged.append(iteration)
        return replace(GOOD, falls=0 if iteration >= 30 else 1)

    assert first_that_walks([40, 10, 30, 20], verdict_of) == 30
    assert judged == [10, 20, 30]
    assert first_that_walks([10, 20], verdict_of) is None


class Clock:
    """A time that passes when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(turns_module.time, "monotonic", lambda: self.now)


def test_the_clock_stands_still_while_the_other_trains(monkeypatch: pytest.MonkeyPatch):
    clock = Clock(monkeypatch)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        turns = OwnTurns(theirs, launched_at=990.0, turn_s=30.0)
        assert turns.own_s == 10.0
        clock.now += 19.9
        turns.pause_if_due()
        assert turns.pauses == 0
        clock.now += 0.1

        def other_turn() -> None:
            assert ours.recv(1) == b"p"
            clock.now += 500.0
            ours.sendall(b"123.5\n")

        thread = threading.Thread(target=other_turn)
        thread.start()
        turns.pause_if_due()
        thread.join()
        assert (turns.own_s, turns.cap_s, turns.pauses) == (30.0, 123.5, 1)
        clock.now += 5.0
        assert turns.own_s == 35.0
        clock.now += 25.0
        ours.close()
        # A training whose race was killed must not go on for ever.
        with pytest.raises(SystemExit):
            turns.pause_if_due()


RACER = """
import socket, sys
channel = socket.socket(fileno=int(sys.argv[1]))
print("cap", float(sys.argv[3]), flush=True)
for _ in range(2):
    channel.sendall(b"p")
    print("cap", float(channel.recv(64)), flush=True)
sys.exit({status})
"""


def racer(tmp_path: Path, status: str) -> Racer:
    return Racer("a training", [sys.executable, "-c", RACER.format(status=status)], tmp_path / "output.txt")


def test_a_racer_runs_turn_by_turn_to_its_end(tmp_path):
    one = racer(tmp_path, "0")
    assert [one.take_turn(cap) for cap in (float("inf"), 2.0, 3.0)] == [True, True, False]
    assert (tmp_path / "output.txt").read_text().split() == ["cap", "inf", "cap", "2.0", "cap", "3.0"]
    one.stop()


def test_a_training_that_fails_says_how(tmp_path):
    one = racer(tmp_path, "'out of luck'")
    assert one.take_turn(1.0) and one.take_turn(1.0)
    with pytest.raises(RaceError, match="a training to train to its end; found status 1: out of luck"):
        one.take_turn(1.0)


def test_the_keeper_tells_which_policies_there_are(tmp_path):
    keeper = Keeper(tmp_path, 2, OwnTurns(None, 0.0, 1.0))
    for iteration in (1, 2, 3, 4):
        keeper.note(iteration, 10 * iteration, 0.5)
        if keeper.due(iteration):
            keeper.path(iteration).touch()
    keeper.finish({"seed": 1})
    training = read_json(tmp_path / "training.json")
    assert training is not None and training["settings"] == {"seed": 1}
    assert [(moment.iteration, moment.steps) for moment in kept_moments(tmp_path, training)] == [(2, 20), (4, 40)]
    assert (tmp_path / "times.csv").read_text().count("\n") == 5


def task(method="ours", seed=1, **more) -> RaceTask:
    return RaceTask(method, seed, every=10, turn_s=30.0, **more)


def test_a_task_comes_back_from_json():
    both = (("task.num_envs", 16), ("actor_hidden", [8, 8]))
    for one in (
        task(assignments=both, steps=384),
        task("stable-baselines3", tuned=StableBaselinesSettings(3e-4, None)),
    ):
        content_of = json.loads(json.dumps(one.to_json()))
        again = RaceTask.from_json(content_of)
        assert again.settings() == one.settings() and again.to_json() == content_of
    assert task(assignments=both, steps=384).settings().iterations == 1
    assert task(tuned=StableBaselinesSettings(1.0)).to_json() == task().to_json(), "what is theirs is not ours"


def test_both_sides_train_on_the_same_settings():
    options = parser().parse_args(["--out", "x", "--seeds", "4", "5", "--sb3-desired-kl", "0"])
    tasks = tasks_of(options)
    assert [(one.method, one.seed, one.turn_s) for one in tasks] == [
        ("ours", 4, 30.0),
        ("stable-baselines3", 4, 60.0),
        ("ours", 5, 30.0),
        ("stable-baselines3", 5, 60.0),
    ]
    assert tasks[0].settings() == tasks[1].settings() != tasks[2].settings()
    assert tasks[1].tuned.desired_kl is None


class FakeRacer:
    """Trains for two turns, 100 s of its own time; ours is slower than its cap would be."""

    launched: list[str] = []
    caps: list[tuple[str, float]] = []

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        self.name, self.folder, self.turns = name, Path(command[-1]), 0
        FakeRacer.launched.append(name)

    def take_turn(self, cap_s: float) -> bool:
        FakeRacer.caps.append((self.name.split()[0], cap_s))
        self.turns += 1
        if self.turns == 2:
            keeper = Keeper(self.folder, 10, OwnTurns(None, 0.0, 1.0))
            keeper.moments = [Moment(10, 1000, 60.0, 50.0, 0.1), Moment(20, 2000, 100.0, 90.0, 0.2)]
            for moment in keeper.moments:
                keeper.path(moment.iteration).touch()
            keeper.finish(json.loads((self.folder / "asked.json").read_text()))
        return self.turns < 2

    def stop(self) -> None:
        """Nothing runs."""


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Trainings and judges that take no time; ours walks after 20 iterations, theirs never. Returns what was judged."""
    judged: list[int] = []

    def verdict(policy, settings) -> Verdict:
        method, iteration = policy
        judged.append(iteration)
        return replace(GOOD, falls=0 if method == "ours" and iteration == 20 else 3)

    FakeRacer.launched, FakeRacer.caps = [], []
    monkeypatch.setattr(race_module, "Racer", FakeRacer)
    monkeypatch.setattr(race_module, "judge", verdict)
    monkeypatch.setattr(RaceTask, "policy", lambda self, path: (self.method, int(path.stem)))
    return judged


def test_a_race_keeps_what_is_done(tmp_path, fakes):
    tasks = [task(), task("stable-baselines3")]

    def once() -> list[Walked]:
        race = Race(tmp_path, tasks, JudgeSettings(), None, None)
        race.train(1)
        return [race.judge(1, one.method) for one in tasks]

    ours, theirs = once()
    assert FakeRacer.caps == [
        ("ours", math.inf),
        ("stable-baselines3", math.inf),
        ("ours", math.inf),
        ("stable-baselines3", 200.0),  # twice ours, as soon as ours is there
    ]
    assert ours.moment is not None and (ours.moment.iteration, ours.moment.own_s) == (20, 100.0)
    assert theirs.moment is None and list(theirs.together) == ["ours", "stable-baselines3"]
    assert fakes == [10, 20, 10, 20]
    assert once() == [ours, theirs] and len(fakes) == 4 and len(FakeRacer.launched) == 2
    half_done = tmp_path / "stable-baselines3_seed1"
    (half_done / "training.json").unlink()
    (half_done / "left_over").touch()
    (again,) = once()[1:]
    assert FakeRacer.launched[2:] == ["stable-baselines3 with seed 1"] and not (half_done / "left_over").exists()
    assert list(again.together) == ["stable-baselines3"], "it had nobody to take turns with"


def test_another_measurement_is_not_gone_on_with(tmp_path, fakes):
    race = Race(tmp_path, [task()], JudgeSettings(), None, None)
    race.train(1)
    race.judge(1, "ours")
    for tasks, judging, name in (
        ([task(steps=10**6)], JudgeSettings(), "resolved.steps"),
        ([task()], JudgeSettings(walks=50), "judge: walks"),
    ):
        with pytest.raises(RaceError, match=f"another .*{name}"):
            Race(tmp_path, tasks, judging, None, None)
    (tmp_path / "ours_seed2").mkdir()
    with pytest.raises(RaceError, match="something else"):
        Race(tmp_path, [task(seed=2)], JudgeSettings(), None, None)


def test_their_training_needs_an_end(tmp_path, fakes):
    theirs = [task("stable-baselines3")]
    with pytest.raises(RaceError, match="Give --cap-s"):
        Race(tmp_path, theirs, JudgeSettings(), None, None)
    Race(tmp_path, theirs, JudgeSettings(), 77.0, None).train(1)
    assert FakeRacer.caps == [("stable-baselines3", 77.0)] * 2


def walked(method: str, seed: int, own_s: float | None, trained_s: float = 900.0) -> Walked:
    moment = None if own_s is None else Moment(20, 2_000_000, own_s, own_s, 0.5)
    training = {"loads": [1.0, 3.0], "moments": [asdict(Moment(20, 2_000_000, trained_s, 1.0, 0.5))]}
    verdict = None if own_s is None else GOOD
    return Walked(task(method, seed), moment, verdict, trained_s, 1, [method], training)


def test_the_ratio_is_bounded_by_all_that_the_other_trained():
    ours = walked("ours", 1, 400.0)
    assert ratio_to_theirs(ours, walked("stable-baselines3", 1, 1000.0)) == 0.4
    assert ratio_to_theirs(ours, walked("stable-baselines3", 1, None, trained_s=1600.0)) == 0.25
    assert ratio_to_theirs(walked("ours", 1, None), walked("stable-baselines3", 1, 10.0)) is None


@pytest.mark.parametrize(
    ("ours", "theirs", "values", "verdicts"),
    [
        ([400.0, 600.0], [1000.0, 1200.0], [600.0, 0.5], ["met", "met"]),
        ([400.0, 601.0], [700.0, 1300.0], [601.0, 400.0 / 700.0], ["MISSED", "MISSED"]),
        ([400.0, None], [1000.0, 1000.0], [math.inf, math.inf], ["MISSED", "MISSED"]),
        ([400.0, 450.0], [], [450.0], ["met"]),
        ([], [400.0], [], []),
    ],
)
def test_the_worst_seed_is_held_to_the_targets(ours, theirs, values, verdicts):
    parts = [walked("ours", seed, own_s) for seed, own_s in enumerate(ours)]
    parts += [walked("stable-baselines3", seed, own_s) for seed, own_s in enumerate(theirs)]
    found = figures(parts)
    assert [figure.value for figure in found] == pytest.approx(values)
    assert [figure.verdict for figure in found] == verdicts


def test_the_table_and_the_file_say_who_did_not_walk():
    parts = [walked("ours", 1, 400.0), walked("stable-baselines3", 1, None)]
    rows = table(parts).splitlines()[2:]
    assert rows[0].startswith("| ours | 1 | 400 s (400 s of processor time) | 2.00 M | 0.900, 0.850 | ")
    assert rows[1] == "| stable-baselines3 | 1 | not | - | - | - | 900 s | nobody | 2.0 |"
    one = json.loads(json.dumps(content(parts, JudgeSettings())))
    assert one["parts"][1]["walked"] is None and one["parts"][0]["walked"]["own_s"] == 400.0
    assert one["judge"]["walks"] == 100


def test_a_checkpoints_name_is_its_iteration(tmp_path):
    assert int(checkpoint_path(tmp_path, 120).stem) == 120
