"""The gait of a bundle on the twin, through the wire: measures, a foot-contact diagram and the torques' spectrum.

python -m benchmarks.gait policy/bundles/go1_velocity.go1policy --out docs/results/gait
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from policy.bundle import read_bundle
from robot_configs.robot import load_robot
from sim.gait_quality import RIPPLE_ABOVE_HZ, GaitQuality, GaitRecord, gait_quality, torque_spectrum
from sim.gait_record import record_gait
from sim.gait_shape import GaitShape, gait_shape

COMMANDS = {
    "forwards": "vx=0.8,vy=0,yaw=0",
    "backwards": "vx=-0.8,vy=0,yaw=0",
    "sideways": "vx=0,vy=0.5,yaw=0",
    "turning": "vx=0,vy=0,yaw=1",
    "standing": "vx=0,vy=0,yaw=0",
}
_DIAGRAM_S = 3.0


def contact_diagram(record: GaitRecord, path: Path) -> None:
    """A bar for each time that a foot carries load, the last three seconds."""
    rows = min(len(record.contact), round(_DIAGRAM_S / record.step_s))
    figure = Figure(figsize=(7.0, 2.0), layout="constrained")
    axes = figure.add_subplot()
    for foot, name in enumerate(record.foot_names):
        loaded = np.concatenate([[False], record.contact[-rows:, foot], [False]])
        begins, ends = (np.flatnonzero(np.diff(loaded.astype(int)) == sign) for sign in (1, -1))
        spans = [
            (begin * record.step_s, (end - begin) * record.step_s) for begin, end in zip(begins, ends, strict=True)
        ]
        axes.broken_barh(spans, (foot - 0.35, 0.7), color="#333333")
        axes.text(-0.02, foot, name, ha="right", va="center", transform=axes.get_yaxis_transform())
    axes.set_yticks([])
    axes.set_xlim(0.0, rows * record.step_s)
    axes.invert_yaxis()
    axes.set_xlabel("time [s]")
    figure.savefig(path, dpi=150)


def spectrum_diagram(record: GaitRecord, path: Path) -> None:
    """Amplitude of the torques over frequency, the four legs' mean by kind of joint."""
    frequency, power = torque_spectrum(record.joint_torque, record.step_s)
    figure = Figure(figsize=(7.0, 3.0), layout="constrained")
    axes = figure.add_subplot()
    for joint, name in enumerate(("hip", "thigh", "calf")):
        amplitude = np.sqrt(2.0 * power[1:, joint::3].mean(axis=1))
        axes.loglog(frequency[1:], amplitude, label=name, linewidth=0.9)
    axes.axvline(RIPPLE_ABOVE_HZ, color="#c8c8c8", zorder=0)
    axes.axvline(load_robot().control_hz, color="#c8c8c8", linestyle="--", zorder=0)
    axes.set_ylim(bottom=1e-3)
    axes.set_xlabel("frequency [Hz]")
    axes.set_ylabel("torque amplitude [Nm]")
    axes.legend(frameon=False)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--condition", default="nominal")
    parser.add_argument("--walk-s", type=float, default=12.0)
    parser.add_argument("--out", type=Path, required=True, help="folder of the diagrams, gait.json and gait.md")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    bundle = read_bundle(options.bundle)
    measures, shapes = {}, {}
    foot_radius_m = load_robot().geometry.foot_radius
    for name, commands in COMMANDS.items():
        record = record_gait(bundle, options.condition, commands, options.walk_s)
        measures[name], shapes[name] = gait_quality(record), gait_shape(record, foot_radius_m)
        contact_diagram(record, options.out / f"contacts_{name}.png")
        spectrum_diagram(record, options.out / f"torques_{name}.png")
    text = table(measures, shapes)
    content = {"bundle_sha256": bundle.sha256, "condition": options.condition, "walk_s": options.walk_s}
    content["measures"] = {name: {**asdict(one), **asdict(shapes[name])} for name, one in measures.items()}
    (options.out / "gait.json").write_text(json.dumps(content, indent=1) + "\n")
    (options.out / "gait.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
