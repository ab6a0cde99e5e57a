"""What takes part in the race; parts that are kept, and those of another measurement."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmarks import seconds_to_walk
from benchmarks.seconds_to_walk import parser, tasks_of
from benchmarks.walk_race import race as race_module
from benchmarks.walk_race import verdicts as verdicts_module
from benchmarks.walk_race.judge import JudgeSettings, Verdict
from benchmarks.walk_race.keeping import Keeper, Moment
from benchmarks.walk_race.race import Race, Walked
from benchmarks.walk_race.task import RaceTask, StableBaselinesSettings
from benchmarks.walk_race.turns import OwnTurns, RaceError
from tests.benchmarks.walk_race.bench import GOOD, task


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
    from_trot = task("stable-baselines3", tuned=StableBaselinesSettings(begin_with_trot=True))
    assert RaceTask.from_json(json.loads(json.dumps(from_trot.to_json()))) == from_trot


def test_parts_from_before_the_trot_could_be_theirs_are_gone_on_with():
    """Their `asked.json` does not know the setting: random weights, as it is by default."""
    assert "begin_with_trot" not in task("stable-baselines3").to_json()["tuned"]


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
            keeper.moments = [Moment(number, 100 * number, 4.0 * number, 3.0, 0.1) for number in (10, 20, 25)]
            for moment in keeper.moments:
                keeper.path(moment.iteration).touch()
            keeper.finish(json.loads((self.folder / "asked.json").read_text()))
        return self.turns < 2

    def stop(self) -> None:
        """Nothing runs."""


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Trainings and judges that take no time; ours walks after 20 iterations, theirs never.

    Returns iteration and seed of what was judged.
    """
    judged: list[tuple[int, int]] = []

    def verdict(policy, settings) -> Verdict:
        method, iteration = policy
        judged.append((iteration, settings.seed))
        return replace(GOOD, falls=0 if method == "ours" and iteration == 20 else 3)

    FakeRacer.launched, FakeRacer.caps = [], []
    monkeypatch.setattr(race_module, "Racer", FakeRacer)
    monkeypatch.setattr(verdicts_module, "judge", verdict)
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
    assert ours.moment is not None and (ours.moment.iteration, ours.moment.own_s) == (20, 80.0)
    assert theirs.moment is None and list(theirs.together) == ["ours", "stable-baselines3"]
    # Ours: up to the first that walks, that one on fresh walks, and the last; theirs: all of them, none to confirm.
    assert fakes == [(10, 1), (20, 1), (20, 2), (25, 1), (10, 1), (20, 1), (25, 1)]
    assert once() == [ours, theirs] and len(fakes) == 7 and len(FakeRacer.launched) == 2
    half_done = tmp_path / "stable-baselines3_seed1"
    (half_done / "training.json").unlink()
    (half_done / "left_over").touch()
    (again,) = once()[1:]
    assert FakeRacer.launched[2:] == ["stable-baselines3 with seed 1"] and not (half_done / "left_over").exists()
    assert list(again.together) == ["stable-baselines3"], "it had nobody to take turns with"


def test_the_winner_walks_anew_and_the_last_is_judged_too(tmp_path, fakes, monkeypatch: pytest.MonkeyPatch):
    """It was lucky on the walks that chose it; the policy that the run delivers falls."""
    on_fresh = replace(GOOD, falls=1, walked_s=3.4)
    monkeypatch.setattr(
        verdicts_module,
        "judge",
        lambda policy, settings: (
            replace(GOOD, falls=1) if policy[1] != 20 else GOOD if settings.seed == 1 else on_fresh
        ),
    )
    race = Race(tmp_path, [task()], JudgeSettings(), None, None)
    race.train(1)
    one = race.judge(1, "ours")
    assert one.moment is not None and one.moment.iteration == 20 and one.verdict == GOOD
    assert one.fresh == on_fresh
    assert (one.last.iteration, one.last_verdict.walks_well) == (25, False)


def test_what_an_earlier_version_judged_is_kept_and_completed(tmp_path, fakes):
    """Its file knows neither fresh walks nor the last policy."""
    race = Race(tmp_path, [task()], JudgeSettings(), None, None)
    race.train(1)
    verdicts = {"10": asdict(replace(GOOD, falls=1)), "20": asdict(GOOD)}
    content = {"judge": asdict(JudgeSettings()), "verdicts": verdicts}
    (tmp_path / "ours_seed1" / "verdicts.json").write_text(json.dumps(content))
    one = Race(tmp_path, [task()], JudgeSettings(), None, None).judge(1, "ours")
    assert one.moment is not None and one.moment.iteration == 20 and one.fresh == GOOD
    assert fakes == [(20, 2), (25, 1)]


def test_fresh_walks_of_other_settings_are_walked_again(tmp_path, fakes):
    race = Race(tmp_path, [task()], JudgeSettings(), None, None)
    race.train(1)
    race.judge(1, "ours")
    path = tmp_path / "ours_seed1" / "verdicts.json"
    content = json.loads(path.read_text())
    content["fresh"]["judge"]["seed"] = 9
    path.write_text(json.dumps(content))
    fakes.clear()
    race.judge(1, "ours")
    assert fakes == [(20, 2)]


def test_judging_only_trains_nothing(tmp_path, fakes, capsys: pytest.CaptureFixture[str]):
    words = ["--out", str(tmp_path), "--seeds", "1", "2", "--judge-only"]
    with pytest.raises(RaceError, match="a training that has come to its end"):
        seconds_to_walk.main(words)
    Race(tmp_path, tasks_of(parser().parse_args(words)), JudgeSettings(), None, None).train(1)
    (tmp_path / "ours_seed2").mkdir()
    (tmp_path / "ours_seed2" / "asked.json").write_text(json.dumps(task(seed=2).to_json()))
    launched = list(FakeRacer.launched)
    seconds_to_walk.main(words)
    assert FakeRacer.launched == launched and (tmp_path / "ours_seed2").is_dir()
    parts = json.loads((tmp_path / "results.json").read_text())["parts"]
    assert [(part["method"], part["seed"]) for part in parts] == [("ours", 1), ("stable-baselines3", 1)]
    assert (parts[0]["fresh_verdict"]["falls"], parts[0]["last"]["iteration"]) == (0, 25)


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
