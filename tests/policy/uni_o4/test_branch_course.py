"""Which branches go on and which leave the logs anew, counted by hand."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from policy.transitions import Transitions
from policy.uni_o4.branch_course import BranchCourse
from policy.uni_o4.ensemble_rollouts import Rollout
from tests.policy.uni_o4.point_mass import linear_actor, log_episodes

LOGS = log_episodes(linear_actor(-0.3, -0.3, 0.5), 20, 10, torch.Generator().manual_seed(0))
ELSEWHERE = 50.0
"""A position that no log has."""


def ended(course: BranchCourse, count: int, fallen: Tensor, halted_before: Tensor | None = None) -> None:
    """Tell the course that its branches stand at `ELSEWHERE` plus their number, but for the fallen ones."""
    at = course.next(torch.Generator().manual_seed(99))
    there = torch.stack([ELSEWHERE + torch.arange(count, dtype=torch.float32), torch.zeros(count)], dim=1)
    alive = torch.ones(2, count, dtype=torch.bool)
    if halted_before is not None:
        alive[-1] = ~halted_before
    terminated = torch.stack([torch.zeros(count, dtype=torch.bool), fallen])
    none = torch.zeros(2, count)
    course.ended(Rollout(replace(at, physical=there), none, none, none, none, none, terminated, alive, none))


def went_on(physical: Tensor) -> list[bool]:
    return (physical[:, 0] >= ELSEWHERE).tolist()


def is_logged(physical: Tensor, logs: Transitions = LOGS) -> bool:
    return bool((physical[:, None] == logs.physical[None]).all(-1).any(1).all())


def test_every_branch_leaves_a_logged_state_where_none_may_go_on():
    course = BranchCourse(LOGS, 4, continuations=0, beginnings=0.0)
    for seed in range(3):
        ended(course, 4, torch.zeros(4, dtype=torch.bool))
        assert is_logged(course.next(torch.Generator().manual_seed(seed)).physical)


def test_a_branch_that_stands_goes_on_and_a_fallen_one_leaves_the_logs():
    course = BranchCourse(LOGS, 4, continuations=5, beginnings=0.0)
    ended(course, 4, torch.tensor([False, True, False, False]), torch.tensor([False, False, False, True]))
    starts = course.next(torch.Generator().manual_seed(1))
    assert went_on(starts.physical) == [True, False, True, False]
    assert starts.physical[2, 0] == ELSEWHERE + 2  # its own end, and no other's
    assert is_logged(starts.physical[[1, 3]])


def test_a_branch_goes_on_as_often_as_it_may_and_then_leaves_the_logs():
    course = BranchCourse(LOGS, 1, continuations=2, beginnings=0.0)
    stands, seen = torch.zeros(1, dtype=torch.bool), []
    for _ in range(7):
        ended(course, 1, stands)
        before = course.tensors()
        seen += went_on(course.next(torch.Generator().manual_seed(1)).physical)
        course.restore(before)  # `ended` draws these starts again
    assert seen == [True, True, False, True, True, False, True]


def test_branches_may_all_leave_first_steps():
    course = BranchCourse(LOGS, 64, continuations=0, beginnings=1.0)
    first = LOGS.physical[LOGS.first_rows()]
    starts = course.next(torch.Generator().manual_seed(2)).physical
    assert all((first == state).all(1).any() for state in starts)
    assert len(starts.unique(dim=0)) > 10


def test_a_course_that_is_restored_goes_on_with_the_same_branches():
    course, other = (BranchCourse(LOGS, 4, continuations=5, beginnings=0.5) for _ in range(2))
    ended(course, 4, torch.tensor([False, True, False, False]))
    other.restore({name: tensor.clone() for name, tensor in course.tensors().items()})
    one, two = (each.next(torch.Generator().manual_seed(3)) for each in (course, other))
    assert torch.equal(one.physical, two.physical) and torch.equal(one.episode, two.episode)
    assert all(torch.equal(course.tensors()[name], other.tensors()[name]) for name in course.tensors())
