"""Repeated falls: the count by hand, and a round that stops for them and returns to the incumbent."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import deploy.host.finetune as finetune_module
from deploy.host.finetune import finetune
from deploy.host.finetune_falls import FallCount, falls_clearly_more, logged_falls
from deploy.host.finetune_logs import RoundIncomplete, SessionEndedEarly
from offline_data.ingest import ingest
from offline_data.log_reader import LogError, read_log
from offline_data.log_schema import CHANNELS, Ending, EventKind
from policy.bundle import read_bundle
from policy.export import load_graph
from tests.deploy.host.finetune_bench import LOGGED_STEPS, SETTINGS, Killed, SameLogs, round_bundle
from tests.offline_data.synthetic_log import joined, metadata, standing_session, write_log

# ---- Counting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("candidate", "incumbent", "more"),
    [
        # Equal steps, none before: 1 / 2^5 = 0.031 and 1 / 2^6 = 0.016.
        (FallCount(5, 600), FallCount(0, 600), False),
        (FallCount(6, 600), FallCount(0, 600), True),
        # A third of the incumbent's steps, a fourth of all: 1 / 4^3 = 0.016; half of them, a third of all: 1 / 27.
        (FallCount(3, 200), FallCount(0, 600), True),
        (FallCount(3, 300), FallCount(0, 600), False),
        # Two are an accident, however early.
        (FallCount(2, 10), FallCount(0, 10_000), False),
        (FallCount(3, 10), FallCount(0, 10_000), True),
        # The incumbent falls as often.
        (FallCount(6, 600), FallCount(6, 600), False),
        (FallCount(3, 200), FallCount(9, 600), False),
        # Nothing to compare with.
        (FallCount(9, 600), FallCount(0, 0), False),
    ],
)
def test_clearly_more_by_hand(candidate: FallCount, incumbent: FallCount, more: bool) -> None:
    assert falls_clearly_more(candidate, incumbent) is more


def test_falls_and_steps_of_all_logs_below_a_folder(tmp_path: Path) -> None:
    assert logged_falls(tmp_path / "nothing") == FallCount(0, 0)
    (tmp_path / "part_01").mkdir()
    (tmp_path / "part_02").mkdir()
    both = joined(standing_session(30, Ending.TERMINATED), standing_session(20, episode=1, start_ns=5 * 10**9))
    write_log(tmp_path / "part_01" / "a.mcap", both)
    other = {**metadata().to_record(), "session_id": "another"}
    write_log(tmp_path / "part_02" / "b.mcap", standing_session(10, Ending.TERMINATED), record=other)
    assert logged_falls(tmp_path) == FallCount(2, 60)
    (tmp_path / "part_02" / "c.mcap").write_text("rubbish")
    with pytest.raises(LogError):
        logged_falls(tmp_path)


# ---- A round that falls ----------------------------------------------------------------------------------------------


class Falls(SameLogs):
    """Healthy logs for the first bundle; for others one session, cut short by falls, a call.

    Args:
        falls: of each of these sessions, 33 steps before each.
    """

    def __init__(self, logs: Path, falls: int) -> None:
        super().__init__(logs)
        self._falls = falls

    def __call__(self, bundle: Path, steps: int, log_dir: Path, seed: int) -> None:
        if not self.calls or bundle == self.calls[0][0]:
            super().__call__(bundle, steps, log_dir, seed)
            return
        self.calls.append((bundle, steps, seed))
        (path,) = self.logs.rglob("*.mcap")
        log = read_log(path)
        ticks, events = log.policy_tick, log.event.copy()
        ticks = ticks[(ticks["episode"] < self._falls) & (ticks["tick"] < 33)]
        ends = (events["kind"] == EventKind.EPISODE_END) & (events["episode"] < self._falls)
        events["ending"][ends] = Ending.TERMINATED
        # The end follows the last step, as it does on the robot.
        for row in ends.nonzero()[0]:
            last = ticks["state_monotonic_ns"][ticks["episode"] == events["episode"][row]][-1]
            events["monotonic_ns"][row] = last + 15_000_000
        events = events[events["episode"] < self._falls]
        log_dir.mkdir()
        record = {**log.metadata.to_record(), "session_id": f"session {len(self.calls)}"}
        messages = dict(zip(CHANNELS, (log.low_state, log.low_cmd, ticks, events), strict=True))
        write_log(log_dir / "falls.mcap", messages, record=record)
        raise SessionEndedEarly(steps, len(ticks), "TILT")


def same_weights(first: Path, second: Path) -> bool:
    one, two = (load_graph(read_bundle(path)).actor.state_dict() for path in (first, second))
    return all(torch.equal(one[name], two[name]) for name in one)


def test_repeated_falls_end_the_round_and_return_to_the_incumbent(shipped, dataset, tmp_path):
    """Three falls in 99 steps, none in the incumbent's 600: chance 1 / 7^3. Nobody is asked to put the robot up."""
    collect, out = Falls(dataset.parent / "logs", falls=3), tmp_path / "run"
    result = finetune(shipped, collect, out, SETTINGS)
    assert [bundle for bundle, _, _ in collect.calls] == [shipped, round_bundle(out, 1)]
    first, second = result.rounds
    assert (first["fell_too_often"], first["rolled_back"]) == (None, False)
    record = json.loads((out / "round_2" / "round.json").read_text())
    assert record == second
    assert record["fell_too_often"] == "3 falls in 99 steps, the incumbent's 0 falls in 600 steps"
    assert (record["rolled_back"], record["falls"], record["sessions"]) == (True, 3, 1)
    assert record["return_difference"] is None, "three walks are too few to compare returns: it was the falls"
    assert not same_weights(round_bundle(out, 1), shipped)
    assert same_weights(result.bundle, shipped)
    assert (
        "fell_too_often: 3 falls in 99 steps, the incumbent's 0 falls in 600 steps"
        in read_bundle(result.bundle).lineage.notes
    )


def test_a_fall_alone_waits_for_a_person_and_the_third_one_ends_it(shipped, dataset, tmp_path):
    """One fall a session, as on a robot: the same command goes on, until it is the third."""
    collect, out = Falls(dataset.parent / "logs", falls=1), tmp_path / "run"
    for falls in (1, 2):
        with pytest.raises(RoundIncomplete):
            finetune(shipped, collect, out, SETTINGS)
        assert len(collect.calls) == 1 + falls
    result = finetune(shipped, collect, out, SETTINGS)
    assert [steps for _, steps, _ in collect.calls] == [LOGGED_STEPS, 600, 567, 534]
    assert result.rounds[1]["fell_too_often"] == "3 falls in 99 steps, the incumbent's 0 falls in 600 steps"
    assert same_weights(result.bundle, shipped)


def test_a_kill_after_the_last_fall_drives_no_more(shipped, dataset, tmp_path, monkeypatch):
    def killed_in_the_second_round(logs: Path, to: Path) -> None:
        if "round_2" in str(to):
            raise Killed
        ingest(logs, to)

    collect, out = Falls(dataset.parent / "logs", falls=3), tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(finetune_module, "ingest", killed_in_the_second_round)
        with pytest.raises(Killed):
            finetune(shipped, collect, out, SETTINGS)
    calls = len(collect.calls)
    result = finetune(shipped, collect, out, SETTINGS)
    assert len(collect.calls) == calls
    assert result.rounds[1]["rolled_back"] is True


def test_the_first_round_has_nothing_to_return_to(shipped, dataset, tmp_path):
    """Its falls are the given bundle's own: a person decides, as ever."""
    collect = Falls(dataset.parent / "logs", falls=3)
    collect.calls.append((tmp_path / "another.go1policy", 0, 0))
    with pytest.raises(RoundIncomplete):
        finetune(shipped, collect, tmp_path / "run", replace(SETTINGS, rounds=1))
    assert not (tmp_path / "run" / "round_1" / "dataset").exists()
