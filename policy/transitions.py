"""Transitions: what the learner sees of logged episodes, labelled by the very graph that ran on the robot.

    rows of a data set       0    1    2    3(final) | 4    5(final)     one row a policy step, a closing row an episode
    transitions            (0,1)(1,2)(2,3)           |(4,5)              pairs inside one episode; row 3 starts none

Observations are not read from the log but recomputed by replaying `PolicyGraph.observe` and `remember` from each
episode's first row, so that histories, clocks and normalisation are those of the deployed policy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from policy.graph import PolicyGraph, projected_gravity
from robot_configs.errors import Go1Error

# Widths of the physical state that the transition model predicts; the last group only where the log holds an estimate.
PHYSICAL_GROUPS = (("projected_gravity", 3), ("angular_velocity", 3), ("joint_position", 12), ("joint_velocity", 12))
VELOCITY_GROUP = ("velocity", 3)

REQUIRED_COLUMNS = (
    "episode", "final", "terminated", "valid", "reward", "action", "command", "orientation_trunk_in_world",
    "angular_velocity_trunk_in_trunk", "joint_position", "joint_velocity",
)  # fmt: skip
BEHAVIOR_COLUMNS = ("action_mean", "action_std", "log_prob")


class Columns(Protocol):
    """A data set's columns by name, one row a policy step; a dict of arrays is one."""

    def __contains__(self, name: object) -> bool: ...

    def __getitem__(self, name: str) -> np.ndarray: ...


class TransitionsError(Go1Error):
    """The rows of a data set do not form episodes of transitions, or lack what a method needs."""


@dataclass(frozen=True, eq=False)
class Transitions:
    """N steps in logged order, float32 unless said otherwise; episodes are contiguous.

    Attributes:
        observation, next_observation: (N, O), as the policy saw them before and after the action.
        action: (N, A), as sampled, in the policy's joint order and without any clamp.
        action_mean, action_std: (N, A) of the behaviour policy; NaN where the log does not know them.
        log_prob: (N,) of the action under the behaviour policy [nat]; NaN where unknown.
        reward: (N,), as logged: physical units, unscaled.
        terminated: (N,) bool, the next state is a fall: nothing follows it.
        truncated: (N,) bool, the stretch ends here for another reason (recording stopped, masked gap): V(next) counts.
        episode: (N,) int64, ascending.
        physical, next_physical: (N, P), `groups` side by side: unit gravity, rad/s, rad, rad/s, m/s.
        command: (N, C), physical units. memory: (N, M), the graph's memory before the step.
        past: (N, K, P + A), physical state and action of the K steps before, newest first.
        groups: names and widths of the physical state.
    """

    observation: Tensor
    next_observation: Tensor
    action: Tensor
    action_mean: Tensor
    action_std: Tensor
    log_prob: Tensor
    reward: Tensor
    terminated: Tensor
    truncated: Tensor
    episode: Tensor
    physical: Tensor
    next_physical: Tensor
    command: Tensor
    memory: Tensor
    past: Tensor
    groups: tuple[tuple[str, int], ...]

    def __len__(self) -> int:
        return len(self.reward)

    @property
    def episode_end(self) -> Tensor:
        """(N,) bool: the next row does not continue this one."""
        return self.terminated | self.truncated

    def first_rows(self) -> Tensor:
        """The rows (E,) that continue no other: the first steps of the episodes."""
        begins = torch.ones(len(self), dtype=torch.bool)
        begins[1:] = self.episode_end[:-1]
        return begins.nonzero()[:, 0]

    @property
    def behavior_is_known(self) -> bool:
        """Whether every step carries the distribution that its action was drawn from."""
        return bool(torch.isfinite(self.log_prob).all() and torch.isfinite(self.action_mean).all())

    def select(self, rows: Tensor) -> Transitions:
        """The steps of an index (K,) or mask (N,); cut along whole episodes where traces matter."""
        kept = {name: getattr(self, name)[rows] for name in _TENSOR_FIELDS}
        return Transitions(**kept, groups=self.groups)

    def with_behavior(self, mean: Tensor, std: Tensor, log_prob: Tensor) -> Transitions:
        """The same steps, said to come from another distribution, such as a cloned policy where none was logged."""
        kept = {name: getattr(self, name) for name in _TENSOR_FIELDS}
        kept.update(action_mean=mean, action_std=std, log_prob=log_prob)
        return Transitions(**kept, groups=self.groups)

    def sha256(self) -> str:
        """Hash over every value, to key whatever is derived from them."""
        digest = hashlib.sha256(repr(self.groups).encode())
        for name in _TENSOR_FIELDS:
            tensor: Tensor = getattr(self, name)
            digest.update(f"{name}{tuple(tensor.shape)}".encode())
            digest.update(np.ascontiguousarray(tensor.numpy()).tobytes())
        return digest.hexdigest()


_TENSOR_FIELDS = tuple(field.name for field in fields(Transitions) if field.name != "groups")


def concatenate(parts: Sequence[Transitions]) -> Transitions:
    """Several sets one after the other; episodes are renumbered so that none is joined with another.

    Raises:
        TransitionsError: their physical states are not of the same groups.
    """
    others = [part.groups for part in parts if part.groups != parts[0].groups]
    if others:
        raise TransitionsError(
            f"the same physical state in every part: {_group_names(parts[0].groups)}",
            _group_names(others[0]),
            "Put logs with an estimate of the base velocity and logs without one into separate refinements.",
        )
    episodes, offset = [], 0
    for part in parts:
        episodes.append(part.episode - part.episode.min() + offset)
        offset = int(episodes[-1].max()) + 1
    joined = {name: torch.cat([getattr(part, name) for part in parts]) for name in _TENSOR_FIELDS}
    joined["episode"] = torch.cat(episodes)
    return Transitions(**joined, groups=parts[0].groups)


def _group_names(groups: tuple[tuple[str, int], ...]) -> str:
    return ", ".join(name for name, _ in groups)


def split_by_episode(
    transitions: Transitions, holdout_fraction: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Row indices (training, held out); an episode is never on both sides, for its steps resemble each other."""
    names = transitions.episode.unique()
    if len(names) < 2:
        raise TransitionsError(
            "at least 2 episodes to hold one out", f"{len(names)}", "Log more, shorter episodes, or split the log."
        )
    count = min(max(1, round(holdout_fraction * len(names))), len(names) - 1)
    held_names = names[torch.randperm(len(names), generator=generator)[:count]]
    held = torch.isin(transitions.episode, held_names)
    return (~held).nonzero().squeeze(1), held.nonzero().squeeze(1)


def from_columns(columns: Columns, graph: PolicyGraph, past_steps: int = 2) -> Transitions:
    """Build transitions from a data set's columns (one row a step, one `final` row an episode).

    A row's flags belong to the transition that starts in it. One that is not `valid`, or ends in a masked row, is left
    out and cuts the trace. `action_mean`, `action_std` and `log_prob` may be absent (foreign logs);
    `velocity_trunk_in_trunk` joins the physical state, and a recorded `observation` replaces the replayed one, where
    present.

    Raises:
        TransitionsError: a column is missing, an episode is not closed, or a valid row holds a non-finite number.
    """
    _check_columns(columns)
    episode = np.asarray(columns["episode"]).astype(np.int64)
    final_rows = np.asarray(columns["final"]).astype(bool)
    starts = _episode_starts(episode, final_rows)
    final = torch.as_tensor(final_rows)

    physical, groups = _physical_state(columns)
    action, command = _tensor(columns["action"]), _tensor(columns["command"])
    action = torch.where(final[:, None], 0.0, action)  # a closing row holds none
    reward = torch.where(final, 0.0, _tensor(columns["reward"]))
    recorded = _tensor(columns["observation"]) if "observation" in columns else None
    observation, memory = _replay(graph, physical, action, command, recorded, starts)
    past = _past_frames(physical, action, starts, past_steps)

    valid = torch.as_tensor(np.asarray(columns["valid"]).astype(bool)) & ~final
    _check_finite(valid, torch.cat([physical, action, command, reward[:, None]], dim=1))
    finite = torch.isfinite(torch.cat([physical, observation, past.flatten(1)], dim=1)).all(1)
    kept = valid & finite
    kept[:-1] &= (valid | final)[1:] & finite[1:]
    rows = kept.nonzero().squeeze(1)
    continues = torch.zeros_like(kept)
    continues[:-1] = kept[1:]  # a final row is never kept, so no episode continues into the next

    terminated = torch.as_tensor(np.asarray(columns["terminated"]).astype(bool))
    behavior = _behavior(columns, action)
    return Transitions(
        observation=observation[rows],
        next_observation=observation[rows + 1],
        action=action[rows],
        action_mean=behavior["action_mean"][rows],
        action_std=behavior["action_std"][rows],
        log_prob=behavior["log_prob"][rows],
        reward=reward[rows],
        terminated=terminated[rows],
        truncated=(~terminated & ~continues)[rows],
        episode=torch.as_tensor(episode)[rows],
        physical=physical[rows],
        next_physical=physical[rows + 1],
        command=command[rows],
        memory=memory[rows],
        past=past[rows],
        groups=groups,
    )


def observe_physical(graph: PolicyGraph, physical: Tensor, command: Tensor, memory: Tensor) -> Tensor:
    """The policy's observation (N, O) of physical states (N, P), commands (N, C) and memories (N, M)."""
    widths = [width for _, width in PHYSICAL_GROUPS]
    gravity, rate, position, velocity = physical[:, : sum(widths)].split(widths, dim=1)
    return graph.observe(gravity, rate, position, velocity, command, memory)


def _replay(
    graph: PolicyGraph, physical: Tensor, action: Tensor, command: Tensor, recorded: Tensor | None, starts: np.ndarray
) -> tuple[Tensor, Tensor]:
    """Observation and memory before it of every row, all episodes side by side, each from a memory of zeros."""
    contract = graph.contract
    lengths = np.diff(np.append(starts, len(physical)))
    longest_first = np.argsort(-lengths, kind="stable")
    starts, lengths = starts[longest_first], lengths[longest_first]
    observations = torch.empty(len(physical), contract.observation_dim)
    memories = torch.empty(len(physical), contract.memory_dim)
    memory = torch.zeros(len(starts), contract.memory_dim)
    with torch.no_grad():
        for step in range(lengths[0]):
            running = int((lengths > step).sum())
            rows = torch.as_tensor(starts[:running] + step)
            memory = memory[:running]
            if recorded is None:
                observation = observe_physical(graph, physical[rows], command[rows], memory)
            else:
                observation = recorded[rows]
            observations[rows], memories[rows] = observation, memory
            memory = graph.remember(memory, observation, action[rows], command[rows])
    return observations, memories


def _past_frames(physical: Tensor, action: Tensor, starts: np.ndarray, past_steps: int) -> Tensor:
    """(R, K, P + A), newest first; before an episode's first row its physical state repeats, with an action of zero."""
    frames = torch.cat([physical, action], dim=1)
    rows = torch.arange(len(physical))
    first = torch.zeros_like(rows)
    first[torch.as_tensor(starts)] = torch.as_tensor(starts)
    first = first.cummax(0).values
    past = torch.empty(len(physical), past_steps, frames.shape[1])
    for age in range(1, past_steps + 1):
        source = rows - age
        before_start = source < first
        frame = frames[torch.where(before_start, first, source)]
        frame[before_start, physical.shape[1] :] = 0.0
        past[:, age - 1] = frame
    return past


def _physical_state(columns: Columns) -> tuple[Tensor, tuple[tuple[str, int], ...]]:
    parts = [
        projected_gravity(_tensor(columns["orientation_trunk_in_world"])),
        _tensor(columns["angular_velocity_trunk_in_trunk"]),
        _tensor(columns["joint_position"]),
        _tensor(columns["joint_velocity"]),
    ]
    if "velocity_trunk_in_trunk" not in columns:
        return torch.cat(parts, dim=1), PHYSICAL_GROUPS
    parts.append(_tensor(columns["velocity_trunk_in_trunk"]))
    return torch.cat(parts, dim=1), (*PHYSICAL_GROUPS, VELOCITY_GROUP)


def _behavior(columns: Columns, action: Tensor) -> dict[str, Tensor]:
    if all(name in columns for name in BEHAVIOR_COLUMNS):
        return {name: _tensor(columns[name]) for name in BEHAVIOR_COLUMNS}
    unknown = torch.full_like(action, float("nan"))
    return {"action_mean": unknown, "action_std": unknown, "log_prob": unknown[:, 0]}


def _tensor(column: np.ndarray) -> Tensor:
    # A copy: columns are read-only memory maps, which torch must not alias.
    return torch.from_numpy(np.array(column, dtype=np.float32))


def _episode_starts(episode: np.ndarray, final: np.ndarray) -> np.ndarray:
    starts = np.flatnonzero(np.append(True, episode[1:] != episode[:-1]))
    ends = np.append(starts[1:], len(episode)) - 1
    if not final[ends].all() or final.sum() != len(ends):
        raise TransitionsError(
            "one final row at the end of each episode",
            f"{len(ends)} episodes with {int(final[ends].sum())} closed by a final row, {int(final.sum())} final rows",
            "Ingest the log anew; do not cut the columns of a data set.",
        )
    return starts


def _check_columns(columns: Columns) -> None:
    missing = [name for name in REQUIRED_COLUMNS if name not in columns]
    if missing:
        raise TransitionsError(
            f"the columns {', '.join(REQUIRED_COLUMNS)}",
            f"no {', '.join(missing)}",
            "Ingest the log anew with this version of the project.",
        )


def _check_finite(valid: Tensor, values: Tensor) -> None:
    bad = valid & ~torch.isfinite(values).all(1)
    if bad.any():
        raise TransitionsError(
            "finite signals, action, command and reward in every valid row",
            f"{int(bad.sum())} rows with NaN or infinity, the first at row {int(bad.nonzero()[0])}",
            "Mask such rows (valid = False) when the log is ingested.",
        )
