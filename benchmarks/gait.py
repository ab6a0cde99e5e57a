"""The gait of a bundle on the twin, through the wire: measures, a foot-contact diagram and the torques' spectrum.

python -m benchmarks.gait policy/bundles/go1_velocity.go1policy --out docs/results/gait

Steady walks, and one start and stop (0, 0.5 m/s forwards, 0); what is acceptable, and why, is in gait_limits.py.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
from matplotlib.figure import Figure

from benchmarks import figures
from benchmarks.gait_limits import LIMITS, STARTS_AND_STOPS, verdicts
from cli.output import without_nan
from policy.bundle import read_bundle
from robot_configs.robot import load_robot
from sim.gait_quality import RIPPLE_ABOVE_HZ, GaitQuality, GaitRecord, gait_quality, torque_spectrum
from sim.gait_record import record_gait
from sim.gait_shape import GaitShape, gait_shape
from sim.start_stop import StartStopRecord, start_stop, stride_mean, tilt_rad
from sim.start_stop_record import record_start_stop

COMMANDS = {
    "forwards": "vx=0.8,vy=0,yaw=0",
    "backwards": "vx=-0.8,vy=0,yaw=0",
    "sideways": "vx=0,vy=0.5,yaw=0",
    "turning": "vx=0,vy=0,yaw=1",
    "standing": "vx=0,vy=0,yaw=0",
}
_DIAGRAM_S = 3.0
_SPECTRUM_FROM_HZ = 0.5  # a fifth of the stride's frequency: what is slower wanders


def contact_diagram(record: GaitRecord, path: Path) -> None:
    """A bar for each time that a foot carries load, the last three seconds."""
    figure = Figure(figsize=(7.0, 2.0), layout="constrained")
    axes = figure.add_subplot()
    for foot, name in enumerate(record.foot_names):
        spans = contact_spans(record.contact[:, foot], record.step_s, _DIAGRAM_S)
        axes.broken_barh(spans, (foot - 0.35, 0.7), color="#333333")
        axes.text(-0.02, foot, name, ha="right", va="center", transform=axes.get_yaxis_transform())
    axes.set_yticks([])
    axes.set_xlim(0.0, min(record.duration_s, _DIAGRAM_S))
    axes.invert_yaxis()
    axes.set_xlabel("time [s]")
    figure.savefig(path, dpi=150)


def contact_spans(loaded: np.ndarray, step_s: float, shown_s: float) -> List[Tuple[float, float]]:
    """Begin and length [s] of the times that a foot carries load, of `loaded` (T,) bool; the last `shown_s` only."""
    rows = min(len(loaded), round(shown_s / step_s))
    edges = np.diff(np.concatenate([[False], loaded[-rows:], [False]]).astype(int))
    begins, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [(begin * step_s, (end - begin) * step_s) for begin, end in zip(begins, ends, strict=True)]


def start_stop_diagram(record: StartStopRecord, path: Path) -> None:
    """Forward speed and tilt over time; the speed also as the mean over a stride, which is judged."""
    time_s = np.arange(len(record.forward_velocity_m_s)) * record.step_s
    step_s = record.ticks_per_step * record.step_s
    figure = Figure(figsize=(7.0, 3.6), layout="constrained")
    speed, tilt = figure.subplots(2, 1, sharex=True)
    walk_s = [record.start_step * step_s, record.stop_step * step_s]
    told = [0.0, 0.0, record.commanded_m_s, record.commanded_m_s, 0.0, 0.0]
    mean = stride_mean(record.forward_velocity_m_s, record.step_s)
    speed.plot(time_s, record.forward_velocity_m_s, color="#c8c8c8", linewidth=0.8, label="speed")
    speed.plot(time_s, mean, color="#333333", linewidth=1.2, label="its mean over a stride")
    corners = [0.0, walk_s[0], walk_s[0], walk_s[1], walk_s[1], time_s[-1]]
    speed.plot(corners, told, color="#c03030", linewidth=0.9, linestyle="--", label="commanded")
    speed.set_ylabel("forwards [m/s]")
    speed.legend(frameon=False, fontsize=8, loc="upper right")
    tilt.plot(time_s, tilt_rad(record.orientation_trunk_in_world), color="#333333", linewidth=0.9)
    for moment in walk_s:
        tilt.axvline(moment, color="#c03030", linewidth=0.9, linestyle="--")
    tilt.set_ylim(bottom=0.0)
    tilt.set_ylabel("tilt [rad]")
    tilt.set_xlabel("time [s]")
    figure.savefig(path, dpi=150)


def spectrum_diagram(record: GaitRecord, path: Path) -> None:
    """Amplitude of the torques over frequency, the four legs' mean by kind of joint.

    Lines mark where ripple begins and, dashed, the policy's own rate.
    """
    frequency, power = torque_spectrum(record.joint_torque, record.step_s)
    figure = Figure(figsize=(7.0, 2.6), layout="constrained")
    # A panel a joint: a trot's spectrum is a comb, and three combs in one picture hide each other.
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    for joint, (name, axes) in enumerate(zip(("hip", "thigh", "calf"), panels, strict=True)):
        amplitude = np.sqrt(2.0 * power[1:, joint::3].mean(axis=1))
        axes.loglog(frequency[1:], amplitude, color="#333333", linewidth=0.7)
        axes.axvline(RIPPLE_ABOVE_HZ, color="#c03030", linewidth=0.9, zorder=0)
        axes.axvline(load_robot().control_hz, color="#c03030", linewidth=0.9, linestyle="--", zorder=0)
        axes.set_title(name, fontsize=9)
        axes.set_xlabel("frequency [Hz]")
    panels[0].set_xlim(left=_SPECTRUM_FROM_HZ)
    panels[0].set_ylim(bottom=1e-3)
    panels[0].set_ylabel("torque amplitude [Nm]")
    figure.savefig(path, dpi=150)


def table(measures: dict[str, GaitQuality], shapes: dict[str, GaitShape]) -> str:
    """The measures as markdown."""
    lines = [
        "| command | duty factor | steps/s | asymmetry | drag | stamp [weights] | ripple | joints [rad/s] | "
        "strides [Hz] | apex [m] | trunk [m] |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, one in measures.items():
        shape = shapes[name]
        duty = " ".join(f"{share:.2f}" for share in one.duty_factor)
        lines.append(
            f"| {name} (`{COMMANDS[name]}`) | {duty} | {one.step_rate_hz:.1f} | {one.left_right_asymmetry:.3f} | "
            f"{one.drag:.3f} | {one.stamp:.2f} | {one.torque_ripple:.3f} | {one.joint_motion_rad_s:.2f} | "
            f"{shape.frequency_hz:.2f} | {shape.apex_height_m:.3f} | {shape.trunk_height_m:.3f} |"
        )
    return "\n".join(lines)


def verdict_table(judged: Sequence[figures.Figure]) -> str:
    """What was measured beside what is accepted, and why, as markdown."""
    lines = ["| measure | found | at most | | why |", "|---|---|---|---|---|"]
    for limit, figure in zip(LIMITS, judged, strict=True):
        unit = "" if limit.unit == "-" else f" {limit.unit}"
        found, bound = f"{figure.value:.3f}{unit}", f"{limit.at_most:.3g}{unit}"
        lines.append(f"| {figure.name} | {found} | {bound} | {figure.verdict} | {limit.reason} |")
    return "\n".join(lines)


def main(words: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--condition", default="nominal")
    parser.add_argument("--walk-s", type=float, default=12.0)
    parser.add_argument("--out", type=Path, required=True, help="folder of the diagrams, gait.json and gait.md")
    options = parser.parse_args(words)
    options.out.mkdir(parents=True, exist_ok=True)
    bundle = read_bundle(options.bundle)
    measures, shapes = {}, {}
    foot_radius_m = load_robot().geometry.foot_radius
    for name, commands in COMMANDS.items():
        record = record_gait(bundle, options.condition, commands, options.walk_s)
        measures[name], shapes[name] = gait_quality(record), gait_shape(record, foot_radius_m)
        contact_diagram(record, options.out / f"contacts_{name}.png")
        spectrum_diagram(record, options.out / f"torques_{name}.png")
    begun = record_start_stop(bundle, options.condition)
    start_stop_diagram(begun, options.out / "start_stop.png")
    starts_and_stops = asdict(start_stop(begun))
    judged = verdicts({**{name: asdict(one) for name, one in measures.items()}, STARTS_AND_STOPS: starts_and_stops})
    text = f"{table(measures, shapes)}\n\n{verdict_table(judged)}"
    content: Dict[str, Any] = {"bundle_sha256": bundle.sha256, "condition": options.condition, "walk_s": options.walk_s}
    content["measures"] = {name: {**asdict(one), **asdict(shapes[name])} for name, one in measures.items()}
    content["starts_and_stops"] = starts_and_stops
    content["verdicts"] = [{**asdict(one), "verdict": one.verdict} for one in judged]
    (options.out / "gait.json").write_text(json.dumps(without_nan(content), indent=1) + "\n")
    (options.out / "gait.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
