"""The order of work, and how long it would take."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.uni_o4.budgets import Budget
from benchmarks.uni_o4.estimate import RATES, UNTIL_MEDIUM, hours_of
from benchmarks.uni_o4.finetune import ONLINE_METHODS
from benchmarks.uni_o4.offline_trials import OFFLINE_METHODS
from benchmarks.uni_o4.plan import CHEAP_FIRST, CHEAP_FIRST_ONLINE, PARTS, Job, Wanted, plan

WANTED = Wanted(
    robots=("hopper", "walker2d"),
    sets=("medium", "medium-replay"),
    seeds=(0, 1),
    parts=PARTS,
    methods=("iql", "bc"),
    online_methods=("iql", "ensemble"),
    online_sets=("medium",),
)


def test_a_run_that_is_cut_has_one_seed_of_everything_first():
    jobs = list(plan(WANTED))
    halves = [job for job in jobs if job.seed == 0], [job for job in jobs if job.seed == 1]
    assert jobs == halves[0] + halves[1]
    assert [job.part for job in halves[0]] == ["data"] * 4 + ["offline"] * 8 + ["ope"] * 4 + ["online"] * 4
    assert [job.part for job in halves[1]] == ["offline"] * 8 + ["ope"] * 4 + ["online"] * 4  # the data are made once
    offline = halves[0][4:12]
    assert [job.method for job in offline] == ["bc"] * 4 + ["iql"] * 4  # every robot and set before a dear method
    assert [(job.robot, job.data_set) for job in offline[:4]] == [
        ("hopper", "medium"), ("hopper", "medium-replay"), ("walker2d", "medium"), ("walker2d", "medium-replay"),
    ]  # fmt: skip
    assert {job.data_set for job in jobs if job.part == "online"} == {"medium"}
    assert [job.method for job in halves[0][-4:]] == ["ensemble"] * 2 + ["iql"] * 2


def test_every_method_has_its_place_in_the_order():
    assert sorted(CHEAP_FIRST) == sorted(OFFLINE_METHODS)
    assert sorted(CHEAP_FIRST_ONLINE) == sorted(ONLINE_METHODS)


def test_hours_are_those_of_the_rates():
    """All updates of IQL by its rate, besides six looks of three episodes and the last of ten, all of 1000 steps."""
    budget = Budget()
    assert budget.peers.updates == 6 * budget.peers.watch_interval
    job = Job("offline", "hopper", "medium", 0, "iql")
    found = hours_of([job], budget, [("hopper", "medium")])
    looks = (6 * budget.curve_episodes + budget.episodes) * 1000 / RATES["environment step"]
    seconds = budget.peers.updates / RATES["iql update"] + looks
    assert abs(found.total - seconds / 3600) < 1e-9
    more = hours_of([job], replace(budget, peers=replace(budget.peers, updates=2 * budget.peers.updates)), [])
    assert more.total > found.total + UNTIL_MEDIUM / RATES["training step"] / 3600  # the data are missing as well
    assert "1 jobs left" in str(more) and "data" in str(more)


def test_the_published_online_updates_take_longer_than_ours():
    made = [("hopper", "medium")]
    hours = [
        hours_of([Job("online", "hopper", "medium", 0, method)], Budget(), made).total
        for method in ("ensemble", "uni_o4")
    ]
    steps = Budget().online.steps / 3600
    assert abs(hours[1] - hours[0] - steps / RATES["published online step"] + steps / RATES["online step"]) < 1e-9
    assert hours[1] > hours[0]


def test_the_training_behind_two_sets_of_a_robot_is_counted_once():
    jobs = [Job("data", "hopper", name, 0, "") for name in ("medium", "medium-replay")]
    alone, both = (hours_of(some, Budget(), []).total for some in (jobs[:1], jobs))
    assert alone == both > 0.0
    expert = hours_of([*jobs, Job("data", "hopper", "medium-expert", 0, "")], Budget(), []).total
    assert abs(expert - Budget().recipe.expert_steps / RATES["training step"] / 3600) < 1e-9


def test_a_fit_that_methods_share_is_counted_once():
    made = [("hopper", "medium")]
    jobs = [Job("offline", "hopper", "medium", 0, method) for method in ("ensemble", "uni_o4")]
    one, two, both = (hours_of(some, Budget(), made).total for some in (jobs[:1], jobs[1:], jobs))
    model = Budget().ours.dynamics
    shared = model.members * model.epochs * Budget().recipe.logged_steps / RATES["model row"] / 3600
    assert abs(one + two - both - shared) < 1e-9


def test_a_first_seed_of_the_standard_budget_fits_a_night():
    wanted = replace(
        WANTED,
        robots=("hopper", "walker2d", "halfcheetah"),
        seeds=(0,),
        methods=OFFLINE_METHODS,
        online_methods=ONLINE_METHODS,
        online_sets=Budget().online_sets,
    )
    assert hours_of(list(plan(wanted)), Budget(), []).total < 12.5
