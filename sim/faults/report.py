"""docs/faults.md: what the matrix found, as tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import List, Optional

import numpy as np

from sim.faults.case import DAMPING_LIMIT_S, Expectation
from sim.faults.flood import FloodResult
from sim.faults.paired_loss import PairedLoss
from sim.faults.unnoticed import WHY_FAULTS_PASS
from sim.faults.verdict import Outcome, Verdict

_MEANINGS = {
    Expectation.DETECTABLE: "the wire shows it at once: damping within 40 ms, latched",
    Expectation.PLAUSIBILITY: "only a contradiction between sensors shows it: damping within 200 ms, latched",
    Expectation.TOLERATED: "must not stop the robot: it walks on",
    Expectation.CONTAINED: "may walk on or be damped; past the tilt limit, damping within 40 ms of it",
}
_HEADER = (
    "cases | damped in time | walked on | missed | stopped needlessly | unsafe | damping, median | damping, worst | "
    "commands outside limits"
)
_MACHINE = "machine"


def write_report(
    verdicts: Sequence[Verdict],
    loss: Optional[PairedLoss],
    floods: Sequence[FloodResult],
    command: str,
    bundle_sha256: str,
) -> str:
    """The whole document in Markdown; the same verdicts give the same text."""
    lines = [
        "# Fault matrix",
        "",
        f"Written by `{command}`; bundle `{bundle_sha256[:12]}`. Every case stands the twin up through the wire, walks",
        "it with the remote's stick, breaks one thing in a random phase of the gait, and watches every command that",
        "leaves. Runner, gate, pilot, codec and schedule are the robot's own; time is virtual, so a case repeats to",
        "the bit. A monitor that shares no code with the gate holds each command to go1.yaml's limits, against the",
        "twin's true state. `sim/faults/` has the cases and their classes, set before the first run but for three:",
        "`intermittent` and `spike` of `tick` (a state whose tick is out of line counts as lost, until it can be told",
        "from a restart) and `replay/100_percent_of_states_20_ms_old` (20 ms is how old a state may be).",
        "",
        *_summary(verdicts),
        "",
        "## By class",
        "",
        *_table("class", [e.value for e in Expectation], lambda v: v.case.expectation.value, verdicts),
        "",
        *(f"- **{e.value}**: {meaning}" for e, meaning in _MEANINGS.items()),
        "",
        "Time to damping counts from the fault's onset to the first damping command that leaves the runner; for",
        "contained faults from the moment the trunk passes the tilt limit (0 where it was damped before).",
        "",
        "## By what breaks",
        "",
        *_table("group", list(dict.fromkeys(v.case.group for v in verdicts)), lambda v: v.case.group, verdicts),
        "",
        *_sensor_table(verdicts),
        *_lists(verdicts),
        *WHY_FAULTS_PASS.splitlines(),
        "",
        *_walking(verdicts),
        *_machine_section(verdicts),
        *_loss_section(loss),
        *_flood_section(floods),
        *_LIMITS_OF_THE_METHOD,
    ]
    return "\n".join(lines) + "\n"


def _summary(verdicts: Sequence[Verdict]) -> List[str]:
    expected = sum(v.as_expected for v in verdicts)
    commands = sum(v.result.commands for v in verdicts)
    outside = sum(sum(v.result.violations.values()) for v in verdicts)
    moved = sum(v.outcome is Outcome.UNSAFE and not v.result.violations for v in verdicts)
    return [
        f"**{len(verdicts)} cases, {expected} as expected. {commands} commands, {outside} outside the limits; "
        f"{moved} cases of motion after damping without a person's re-arming.**"
    ]


def _table(title: str, rows: Sequence[str], key: Callable[[Verdict], str], verdicts: Sequence[Verdict]) -> List[str]:
    lines = [f"| {title} | {_HEADER} |", "|---" * 10 + "|"]
    for row in rows:
        mine = [v for v in verdicts if key(v) == row]
        if not mine:
            continue
        counts = [sum(v.outcome is outcome for v in mine) for outcome in Outcome]
        times = [v.damping_s for v in mine if v.damping_s is not None and v.outcome is not Outcome.STOPPED]
        median = _milliseconds(float(np.median(times))) if times else "-"
        worst = _milliseconds(max(times)) if times else "-"
        outside = sum(sum(v.result.violations.values()) for v in mine)
        cells = [len(mine), *counts, median, worst, outside]
        lines.append(f"| {row} | " + " | ".join(map(str, cells)) + " |")
    return lines


def _sensor_table(verdicts: Sequence[Verdict]) -> List[str]:
    sensors = [v for v in verdicts if v.case.sensor is not None]
    if not sensors:
        return []
    kinds = list(dict.fromkeys(v.case.sensor.kind for v in sensors if v.case.sensor is not None))
    lines = ["## Sensors: cases as expected, of all", "", "| channel | " + " | ".join(kinds) + " |"]
    lines.append("|---" * (len(kinds) + 1) + "|")
    for group in dict.fromkeys(v.case.group for v in sensors):
        cells = []
        for kind in kinds:
            mine = [v for v in sensors if v.case.group == group and v.case.sensor and v.case.sensor.kind == kind]
            letter = mine[0].case.expectation.value[0].upper() if mine else ""
            cells.append(f"{letter} {sum(v.as_expected for v in mine)}/{len(mine)}" if mine else "-")
        lines.append(f"| {group} | " + " | ".join(cells) + " |")
    return [*lines, "", "The letter is the class; `-` is what the wire cannot carry.", ""]


def _lists(verdicts: Sequence[Verdict]) -> List[str]:
    titles = {
        Outcome.UNSAFE: "Unsafe: a command outside the limits, or motion without re-arming",
        Outcome.MISSED: "Missed: should have been damped in time",
        Outcome.STOPPED: "Stopped needlessly: should have walked on",
    }
    lines = []
    for outcome, title in titles.items():
        mine = [v for v in verdicts if v.outcome is outcome]
        lines += [f"## {title} ({len(mine)})", ""]
        if outcome is Outcome.MISSED and mine:
            fell = sum(v.result.tilted_s is not None for v in mine)
            walked = sum(v.result.tilted_s is None and v.result.damped_s is None for v in mine)
            lines += [f"{fell} of them fell, {walked} walked on to the end; the others were damped too late.", ""]
        if not mine:
            lines += ["None.", ""]
            continue
        lines += ["| case | class | what happened | speed error |", "|---|---|---|---|"]
        for v in mine:
            error = _speed(v.result.speed_error_m_s)
            lines.append(f"| {v.case.name} | {v.case.expectation.value} | {_story(v)} | {error} |")
        lines.append("")
    return lines


def _walking(verdicts: Sequence[Verdict]) -> List[str]:
    """How much worse the robot walks with what did not stop it, missed faults included."""
    walked = [v for v in verdicts if v.result.damped_s is None and v.result.tilted_s is None]
    if not walked:
        return []
    lines = ["## How well it walks on", "", "Mean error of the horizontal speed in the second after the onset.", ""]
    lines += ["| group | cases | median | worst | worst case |", "|---|---|---|---|---|"]
    for group in dict.fromkeys(v.case.group for v in walked):
        mine = [v for v in walked if v.case.group == group]
        worst = max(mine, key=lambda v: v.result.speed_error_m_s)
        median = float(np.median([v.result.speed_error_m_s for v in mine]))
        errors = f"{_speed(median)} | {_speed(worst.result.speed_error_m_s)}"
        lines.append(f"| {group} | {len(mine)} | {errors} | {worst.case.name} |")
    return [*lines, "", "`machine` is the healthy robot.", ""]


def _story(verdict: Verdict) -> str:
    result = verdict.result
    if result.violations:
        return "outside limits: " + ", ".join(f"{kind} {count}" for kind, count in sorted(result.violations.items()))
    fell = "" if result.tilted_s is None else f"fell after {_milliseconds(result.tilted_s)}, "
    if verdict.unsafe and result.moved_again_s is not None:
        times = _milliseconds(result.damped_s or 0.0), _milliseconds(result.moved_again_s)
        return "damped after {}, moved again after {}".format(*times)
    if result.damped_s is None:
        return fell + ("not damped" if fell else "walked on")
    return f"{fell}damped after {_milliseconds(result.damped_s)}: {result.reasons or 'no reason given'}"


def _machine_section(verdicts: Sequence[Verdict]) -> List[str]:
    mine = [v for v in verdicts if v.case.group == _MACHINE]
    if not mine:
        return []
    same = "identical" if len({v.result.commands_sha256 for v in mine}) == 1 else "**not identical**"
    lines = [
        "## Wall clock and disk",
        "",
        f"{len(mine)} runs with one seed; their commands are {same} to the byte.",
        "",
    ]
    for verdict in mine:
        if verdict.case.disk is not None:
            error = verdict.result.recorder_error or "no error"
            lines.append(
                f"- {verdict.case.name}: the recorder says {error!r}, {verdict.result.records_dropped} records lost"
            )
    return [*lines, ""]


def _loss_section(loss: Optional[PairedLoss]) -> List[str]:
    if loss is None:
        return []
    sound, lossy = loss.falls()
    lines = [
        f"## {loss.loss:.0%} random loss in both directions",
        "",
        f"{len(loss.sound)} pairs of walks of {loss.episode_s:g} s on random commands, same seeds. "
        f"Falls or faults: {sound} without loss, {lossy} with.",
        "",
        "| error | without loss | with loss | difference (95 % interval) |",
        "|---|---|---|---|",
    ]
    for name, unit in (("linear_error_m_s", "m/s"), ("yaw_error_rad_s", "rad/s")):
        means = [float(np.mean([getattr(walk, name) for walk in walks])) for walks in (loss.sound, loss.lossy)]
        mean, low, high = loss.difference(name)
        label = name.split("_")[0]
        lines.append(
            f"| {label} [{unit}] | {means[0]:.4f} | {means[1]:.4f} | {mean:+.4f} ({low:+.4f} to {high:+.4f}) |"
        )
    return [*lines, ""]


def _flood_section(floods: Sequence[FloodResult]) -> List[str]:
    if not floods:
        return []
    lines = ["## Floods on real sockets", "", "A second process sends random datagrams as fast as it can.", ""]
    lines += ["Strangers do not get past the runner's connected socket; a robot that drowns may only be damped.", ""]
    lines += [
        "| where to | datagrams sent | the runner's faults | walked | commands outside limits |",
        "|---|---|---|---|---|",
    ]
    for flood in floods:
        faults = ", ".join(flood.faults) or "none"
        outside = sum(flood.violations.values())
        lines.append(f"| {flood.target} | {flood.datagrams} | {faults} | {flood.walked_s:g} s | {outside} |")
    return [*lines, ""]


def _milliseconds(time_s: float) -> str:
    return f"{1000.0 * time_s:.0f} ms"


def _speed(error_m_s: float) -> str:
    return "-" if math.isnan(error_m_s) else f"{error_m_s:.2f} m/s"


_LIMITS_OF_THE_METHOD = (
    "## What this does not show",
    "",
    "- The pilot shares the loop's process here; a stalled or killed process is the three-process runner's matter.",
    "  `pilot/late_*` shows what its gate sees then; `pilot/stalls_the_loop_*` is what one process must suffer, and",
    "  why there are three.",
    "- A sensor fault falsifies what LowState says; the motors' own loops go on with the true encoder values.",
    "- Delays are whole ticks of 2 ms. A command that is lost or replayed on its way to the robot cannot be seen from",
    "  LowState, which does not echo it, and LowCmd has no authentication.",
    "- The limits, {} and {}, are of virtual time: a real loop's lateness comes on top.".format(
        *(f"{1000.0 * DAMPING_LIMIT_S[e]:.0f} ms" for e in (Expectation.DETECTABLE, Expectation.PLAUSIBILITY))
    ),
)
