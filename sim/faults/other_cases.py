"""Faults of the network, the body, the motors, the pilot, the clock and the disk, with what has to happen."""

from __future__ import annotations

import math
import zlib
from dataclasses import replace
from typing import Any, Dict, Iterator, Tuple

from robot_configs.robot import load_robot
from sim.faults.case import WORLDS, Expectation, FaultCase
from sim.faults.disk_faults import DiskFault
from sim.faults.pilot_faults import PilotFault, PilotFaultKind
from sim.twin.body_faults import Ice, JammedMotor, Lift, Push, Topple, WeakMotor
from sim.twin.network_faults import MALFORMED, LineFault

_DETECTABLE, _TOLERATED, _CONTAINED = Expectation.DETECTABLE, Expectation.TOLERATED, Expectation.CONTAINED
_REFUSED_TARGETS: Tuple[PilotFaultKind, ...] = ("nan", "infinite", "excess_gains", "negative_gains", "crash")
_LIMITED_TARGETS: Tuple[PilotFaultKind, ...] = ("huge", "constant", "saturated", "wild")
_SILENT = LineFault(loss=1.0)
_DIRECTIONS = tuple(index * math.pi / 4.0 for index in range(8))


def other_cases() -> Tuple[FaultCase, ...]:
    """All of them."""
    return (*_random_loss(), *_bursts(), *_delays(), *_copies(), *_malformed(), *_cable(), *_bodies(), *_motors(),
            *_pilots(), *_machine())  # fmt: skip


def _case(name: str, expectation: Expectation, repetition: int = 0, **faults: Any) -> FaultCase:
    """A case whose seed follows from its name, which begins with its group."""
    full_name = f"{name}/{repetition}" if repetition else name
    seed = zlib.crc32(full_name.encode())
    return FaultCase(full_name, name.split("/")[0], expectation, seed, seed % WORLDS, **faults)


def _random_loss() -> Iterator[FaultCase]:
    for percent in (1, 2, 5, 10, 15, 20, 25, 30):
        line = LineFault(loss=percent / 100.0)
        for repetition in range(2):
            yield _case(f"loss/{percent}_percent_both_ways", _TOLERATED, repetition, to_robot=line, from_robot=line)


def _bursts() -> Iterator[FaultCase]:
    """The gate lets a state be 20 ms old: what is longer has to stop the robot, what is shorter must not.

    A runner whose commands alone are lost cannot know it: LowState does not say which command acts.
    """
    for milliseconds in (6, 10, 14, 18, 24, 30, 50, 100, 300):
        expectation = _TOLERATED if milliseconds < 20 else _DETECTABLE
        lasts: Dict[str, Any] = {"duration_s": milliseconds / 1000.0}
        for repetition in range(2):
            yield _case(
                f"burst/{milliseconds}_ms_both_ways",
                expectation,
                repetition,
                to_robot=_SILENT,
                from_robot=_SILENT,
                **lasts,
            )
        yield _case(f"burst/{milliseconds}_ms_of_states", expectation, from_robot=_SILENT, **lasts)
        yield _case(f"burst/{milliseconds}_ms_of_commands", _CONTAINED, to_robot=_SILENT, **lasts)


def _delays() -> Iterator[FaultCase]:
    for milliseconds in (2, 4, 6, 10, 14, 20):
        ticks = milliseconds // 2
        for way, lines in (
            ("states", ("from_robot",)),
            ("commands", ("to_robot",)),
            ("both", ("from_robot", "to_robot")),
        ):
            constant: Any = LineFault(latency_ticks=(ticks, ticks))
            yield _case(f"latency/{milliseconds}_ms_{way}", _TOLERATED, **dict.fromkeys(lines, constant))
        jitter, overtaking = LineFault(latency_ticks=(0, ticks)), LineFault(latency_ticks=(0, ticks), keep_order=False)
        yield _case(f"jitter/up_to_{milliseconds}_ms", _TOLERATED, to_robot=jitter, from_robot=jitter)
        yield _case(f"reorder/within_{milliseconds}_ms", _TOLERATED, to_robot=overtaking, from_robot=overtaking)


def _copies() -> Iterator[FaultCase]:
    """A replay behind every state hides the fresh ones: what is seen is a robot of the past, older than a state may be.

    20 ms is what it may be, as in `latency/20_ms_states`; a stop was expected before the limit included its bound.
    What acts on the robot is the last command that came: against replayed commands the protocol has no defence.
    """
    for percent in (20, 100):
        doubled = LineFault(duplicate=percent / 100.0)
        yield _case(f"duplicate/{percent}_percent", _TOLERATED, to_robot=doubled, from_robot=doubled)
        for age_ms in (20, 100, 500):
            old = LineFault(replay=percent / 100.0, replay_age_ticks=age_ms // 2)
            stops = _DETECTABLE if percent == 100 and age_ms > 20 else _TOLERATED
            yield _case(f"replay/{percent}_percent_of_states_{age_ms}_ms_old", stops, from_robot=old)
            yield _case(f"replay/{percent}_percent_of_commands_{age_ms}_ms_old", _CONTAINED, to_robot=old)


def _malformed() -> Iterator[FaultCase]:
    """Behind every state they hide it; behind commands, which the motors take as they come, they hide nothing."""
    for kind in MALFORMED:
        for percent in (20, 100):
            bad = LineFault(malformed=percent / 100.0, malformed_kind=kind)
            stops = _DETECTABLE if percent == 100 else _TOLERATED
            yield _case(f"malformed/{kind}_behind_{percent}_percent_of_states", stops, from_robot=bad)
            yield _case(f"malformed/{kind}_behind_{percent}_percent_of_commands", _TOLERATED, to_robot=bad)


def _cable() -> Iterator[FaultCase]:
    for repetition in range(12):
        yield _case("cable/unplugged_and_back", _DETECTABLE, repetition, cable="unplugged", duration_s=0.3)
    for repetition in range(6):
        yield _case("cable/switch_without_power_and_back", _DETECTABLE, repetition, cable="silent", duration_s=0.3)
        yield _case("cable/cut_for_good", _DETECTABLE, repetition, cable="unplugged")
        yield _case(
            "cable/back_and_rearmed_by_a_person", _DETECTABLE, repetition, cable="unplugged", duration_s=0.3, rearm=True
        )


def _bodies() -> Iterator[FaultCase]:
    for index, direction in enumerate(_DIRECTIONS):
        for speed, expectation in ((0.3, _TOLERATED), (0.6, _CONTAINED), (1.0, _CONTAINED), (2.0, _CONTAINED)):
            yield _case(f"push/{speed}_m_s_towards_{45 * index}_degrees", expectation, body=Push(speed, direction))
        yield _case(f"fall/thrown_over_about_{45 * index}_degrees", _CONTAINED, body=Topple(90.0, direction))
    for height in (0.05, 0.15, 0.3):
        yield _case(f"lift/held_{height}_m_up", _CONTAINED, body=Lift(height))
        yield _case(f"lift/dropped_from_{height}_m", _CONTAINED, body=Lift(height, hold_s=0.6))
    for friction in (0.3, 0.15, 0.08, 0.03):
        yield _case(f"ice/friction_{friction}", _CONTAINED, body=Ice(friction))


def _motors() -> Iterator[FaultCase]:
    for joint, name in enumerate(load_robot().joint_names):
        yield _case(f"motor/{name}_dead", _CONTAINED, body=WeakMotor(joint, 0.0))
        yield _case(f"motor/{name}_at_half_strength", _CONTAINED, body=WeakMotor(joint, 0.5))
        yield _case(f"motor/{name}_jammed", _CONTAINED, body=JammedMotor(joint))


def _pilots() -> Iterator[FaultCase]:
    for repetition in range(3):
        for kind in _REFUSED_TARGETS:
            yield _case(f"pilot/{kind}", _DETECTABLE, repetition, pilot=PilotFault(kind))
        for kind in _LIMITED_TARGETS:
            yield _case(f"pilot/{kind}", _CONTAINED, repetition, pilot=PilotFault(kind))
        yield _case("pilot/late_by_15_ms", _TOLERATED, repetition, pilot=PilotFault("late", 0.015))
        yield _case("pilot/late_by_25_ms", _DETECTABLE, repetition, pilot=PilotFault("late", 0.025))
        yield _case("pilot/late_by_200_ms", _DETECTABLE, repetition, pilot=PilotFault("late", 0.200))
        yield _case("pilot/stalls_the_loop_for_15_ms", _TOLERATED, repetition, pilot=PilotFault("stall", 0.015))
        yield _case("pilot/stalls_the_loop_for_25_ms", _CONTAINED, repetition, pilot=PilotFault("stall", 0.025))
        yield _case("pilot/stalls_the_loop_for_200_ms", _CONTAINED, repetition, pilot=PilotFault("stall", 0.200))


def _machine() -> Iterator[FaultCase]:
    """All with one seed: not a byte on the wire may depend on the wall clock or on the disk."""
    alone = _case("machine/left_alone", _TOLERATED)
    yield alone
    for jump_s in (-1e9, -3600.0, -1.0, 1.0, 3600.0, 1e9):
        yield replace(alone, name=f"machine/wall_clock_set_by_{jump_s:+.0f}_s", wall_clock_jump_s=jump_s)
    yield replace(alone, name="machine/disk_full", disk=DiskFault("full"))
    yield replace(alone, name="machine/disk_stalls_for_1_s", disk=DiskFault("stall", 1.0))
