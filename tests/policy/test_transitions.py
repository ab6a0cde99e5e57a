"""Logged rows to transitions: nothing crosses an episode, a recording's end or a masked gap."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from policy.contract import PolicyContract
from policy.graph import PolicyGraph
from policy.networks import GaussianActor
from policy.presets import walk_these_ways_contract
from policy.transitions import TransitionsError, concatenate, from_columns, split_by_episode
from policy.velocity_contract import velocity_contract
from robot_configs.robot import load_robot

torch.set_num_threads(1)


def make_graph(contract: PolicyContract) -> PolicyGraph:
    torch.manual_seed(0)
    return PolicyGraph(contract, GaussianActor(contract.observation_dim, 12, (8,), 0.5)).requires_grad_(False)


@pytest.fixture(scope="module")
def graph() -> PolicyGraph:
    return make_graph(velocity_contract(load_robot()))


def make_columns(contract: PolicyContract, lengths: tuple[int, ...], seed: int = 0) -> dict[str, np.ndarray]:
    """Episodes of the given numbers of steps, a final row after each; the first one ends in a fall."""
    random = np.random.default_rng(seed)
    rows = sum(lengths) + len(lengths)
    episode = np.repeat(np.arange(len(lengths)), np.array(lengths) + 1)
    final = np.append(episode[1:] != episode[:-1], True)
    orientation = random.normal(size=(rows, 4)) * 0.1 + [1.0, 0.0, 0.0, 0.0]
    terminated = np.zeros(rows, dtype=bool)
    terminated[lengths[0] - 1] = True
    return {
        "episode": episode,
        "final": final,
        "terminated": terminated,
        "valid": ~final,
        "reward": random.normal(size=rows),
        "action": random.normal(size=(rows, 12)),
        "action_mean": random.normal(size=(rows, 12)),
        "action_std": np.full((rows, 12), 0.5),
        "log_prob": random.normal(size=rows),
        "command": random.normal(size=(rows, contract.command_dim)),
        "orientation_trunk_in_world": orientation,
        "angular_velocity_trunk_in_trunk": random.normal(size=(rows, 3)),
        "joint_position": random.normal(size=(rows, 12)),
        "joint_velocity": random.normal(size=(rows, 12)),
    }


def test_mistake_04_next_states_and_histories_never_run_across_episodes(graph: PolicyGraph):
    columns = make_columns(graph.contract, (4, 6))
    before = from_columns(columns, graph)
    assert before.episode.tolist() == [0] * 4 + [1] * 6
    # Everything of the first episode changes; not one value of the second may.
    for name in ("joint_position", "joint_velocity", "action", "command", "angular_velocity_trunk_in_trunk"):
        columns[name][:5] += 1.0
    after = from_columns(columns, graph)
    for name in ("observation", "next_observation", "memory", "past", "physical", "next_physical"):
        assert torch.equal(getattr(before, name)[4:], getattr(after, name)[4:]), name
        assert not torch.equal(getattr(before, name)[:4], getattr(after, name)[:4]), name


def test_mistake_04_a_fall_and_the_end_of_a_recording_are_two_things(graph: PolicyGraph):
    transitions = from_columns(make_columns(graph.contract, (4, 6)), graph)
    assert transitions.terminated.nonzero().flatten().tolist() == [3]
    assert transitions.truncated.nonzero().flatten().tolist() == [9]
    assert transitions.episode_end.nonzero().flatten().tolist() == [3, 9]


def test_the_next_state_is_the_row_below_up_to_the_closing_row(graph: PolicyGraph):
    columns = make_columns(graph.contract, (3,))
    transitions = from_columns(columns, graph)
    position = torch.tensor(columns["joint_position"], dtype=torch.float32)
    assert torch.equal(transitions.physical[:, 6:18], position[:3])
    assert torch.equal(transitions.next_physical[:, 6:18], position[1:])
    assert torch.equal(transitions.observation[1:], transitions.next_observation[:-1])


@pytest.mark.parametrize("preset", [velocity_contract, walk_these_ways_contract])
def test_mistake_10_labels_are_what_the_graph_saw_step_by_step_online(preset):
    robot = load_robot()
    graph = make_graph(preset(robot))
    columns = make_columns(graph.contract, (5, 7))
    memory = torch.zeros(1, graph.contract.memory_dim)
    online = []
    for row in range(6, 13):  # the second episode, as the robot runs it: one forward a step, memory handed on
        signals = [
            torch.tensor(columns[name][row : row + 1], dtype=torch.float32)
            for name in ("orientation_trunk_in_world", "angular_velocity_trunk_in_trunk", "joint_position",
                         "joint_velocity", "command")
        ]  # fmt: skip
        mean, std = graph.actor(graph(*signals, torch.zeros(1, 12), memory)[5])
        noise = (torch.tensor(columns["action"][row : row + 1], dtype=torch.float32) - mean) / std
        *_, observation, memory = graph(*signals, noise, memory)
        online.append(observation)
    labelled = from_columns(columns, graph).observation[5:]
    torch.testing.assert_close(labelled, torch.cat(online), atol=2e-5, rtol=1e-5)


def test_mistake_09_a_masked_gap_is_left_out_and_cuts_the_trace(graph: PolicyGraph):
    columns = make_columns(graph.contract, (3, 8))
    columns["valid"][7] = False  # the fourth step of the second episode, which starts at row 4
    transitions = from_columns(columns, graph)
    whole = from_columns(make_columns(graph.contract, (3, 8)), graph)
    # Steps (6, 7) and (7, 8) are gone, neither start nor target lies in the gap, and the step before it ends a stretch.
    kept = [0, 1, 2, 3, 4, 7, 8, 9, 10]
    assert torch.equal(transitions.reward, whole.reward[kept])
    assert torch.equal(transitions.next_observation, whole.next_observation[kept])
    assert transitions.truncated.nonzero().flatten().tolist() == [4, 8]
    assert transitions.terminated.nonzero().flatten().tolist() == [2]


def test_nan_in_a_masked_row_spreads_to_nothing(graph: PolicyGraph):
    columns = make_columns(graph.contract, (3, 8))
    columns["valid"][7] = False
    columns["joint_velocity"][7] = np.nan
    transitions = from_columns(columns, graph)
    for name in ("observation", "next_observation", "physical", "next_physical", "past", "memory", "reward"):
        assert torch.isfinite(getattr(transitions, name)).all(), name


def test_nan_in_a_valid_row_is_refused(graph: PolicyGraph):
    columns = make_columns(graph.contract, (3, 8))
    columns["joint_velocity"][7, 2] = np.nan
    with pytest.raises(TransitionsError, match="the first at row 7"):
        from_columns(columns, graph)


def test_a_final_row_may_hold_nan_where_there_is_no_action(graph: PolicyGraph):
    columns = make_columns(graph.contract, (3, 8))
    for name in ("action", "action_mean", "log_prob", "reward"):
        columns[name][columns["final"]] = np.nan
    transitions = from_columns(columns, graph)
    assert len(transitions) == 11
    assert torch.isfinite(transitions.next_observation).all()
    assert transitions.behavior_is_known


def test_an_episode_without_its_closing_row_is_refused(graph: PolicyGraph):
    columns = make_columns(graph.contract, (3, 8))
    cut = {name: values[:-1] for name, values in columns.items()}
    with pytest.raises(TransitionsError, match="final row"):
        from_columns(cut, graph)


def test_a_missing_column_is_named(graph: PolicyGraph):
    columns = make_columns(graph.contract, (3,))
    del columns["reward"]
    with pytest.raises(TransitionsError, match="no reward"):
        from_columns(columns, graph)


def test_past_frames_are_newest_first_and_start_without_actions(graph: PolicyGraph):
    columns = make_columns(graph.contract, (4,))
    transitions = from_columns(columns, graph, past_steps=2)
    frames = torch.cat([transitions.physical, transitions.action], dim=1)
    assert torch.equal(transitions.past[3], torch.stack([frames[2], frames[1]]))
    assert torch.equal(transitions.past[0, 1, :30], transitions.physical[0])
    assert (transitions.past[0, :, 30:] == 0.0).all()


def test_gravity_is_that_of_the_orientation(graph: PolicyGraph):
    columns = make_columns(graph.contract, (2,))
    half = math.radians(30.0) / 2.0
    columns["orientation_trunk_in_world"][:] = [math.cos(half), math.sin(half), 0.0, 0.0]  # rolled right by 30 degrees
    gravity = from_columns(columns, graph).physical[0, :3]
    torch.testing.assert_close(gravity, torch.tensor([0.0, -0.5, -math.sqrt(0.75)]), atol=1e-6, rtol=0.0)


def test_unknown_behaviour_is_said_and_can_be_supplied(graph: PolicyGraph):
    columns = make_columns(graph.contract, (3,))
    del columns["log_prob"]
    transitions = from_columns(columns, graph)
    assert not transitions.behavior_is_known
    known = transitions.with_behavior(transitions.action, torch.ones(3, 12), torch.zeros(3))
    assert known.behavior_is_known


def test_concatenation_never_joins_two_episodes_of_the_same_number(graph: PolicyGraph):
    part = from_columns(make_columns(graph.contract, (3, 4)), graph)
    joined = concatenate([part, part])
    assert joined.episode.unique().tolist() == [0, 1, 2, 3]
    assert len(joined) == 14


def test_a_split_keeps_episodes_whole_and_leaves_out_none(graph: PolicyGraph):
    transitions = from_columns(make_columns(graph.contract, (3, 4, 5, 6)), graph)
    train, held = split_by_episode(transitions, 0.25, torch.Generator().manual_seed(0))
    assert not set(transitions.episode[train].tolist()) & set(transitions.episode[held].tolist())
    assert sorted(train.tolist() + held.tolist()) == list(range(18))
    one = transitions.select(transitions.episode == 0)
    with pytest.raises(TransitionsError, match="at least 2 episodes"):
        split_by_episode(one, 0.25, torch.Generator())


def test_the_hash_follows_the_values(graph: PolicyGraph):
    columns = make_columns(graph.contract, (3,))
    first = from_columns(columns, graph).sha256()
    assert from_columns(columns, graph).sha256() == first
    columns["reward"][0] += 1e-3
    assert from_columns(columns, graph).sha256() != first
