"""Whether a gait-conditioned policy walks as it is told: measured against commanded gait over a grid, through the wire.

python -m benchmarks.gait_grid runs/gait/policy.go1policy --out docs/results/gait_grid
python -m benchmarks.gait_grid policy/bundles/go1_velocity.go1policy --blind --out docs/results/gait_grid_blind

Every combination of the lowest, the default and the highest value of each gait command is walked at one speed, and each
height of the trunk is stood at. The measures are of the twin's true motion (`sim.gait_shape`).
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from policy.bundle import Bundle, Lineage, read_bundle
from policy.code_version import code_version
from policy.contract import PolicyContract
from policy.export import export_bundle, load_graph
from policy.gait_contract import GAIT_FREQUENCY, SWING_HEIGHT, TRUNK_HEIGHT
from robot_configs.errors import Go1Error
from robot_configs.robot import load_robot
from sim.blind_gait import blind_to_gait
from sim.gait_quality import GaitRecord
from sim.gait_record import GaitRecordingError, record_gait
from sim.gait_shape import gait_shape

TERMS = (GAIT_FREQUENCY, SWING_HEIGHT, TRUNK_HEIGHT)
WHOLE = 0.98
"""Share of the asked time that a walk must have lasted; one that ended earlier ended in a fall or a fault."""


class GaitGridError(Go1Error):
    """A policy that no gait can be commanded of."""


@dataclass(frozen=True)
class GaitWalk:
    """One walk: values by the commands' names; `measured` is None where the robot did not walk to the end."""

    forward_m_s: float
    commanded: Dict[str, float]
    measured: Optional[Dict[str, float]]
    speed_m_s: Optional[float] = None
    joint_motion_rad_s: Optional[float] = None


def grid(contract: PolicyContract, forward_m_s: float) -> List[Tuple[float, Dict[str, float]]]:
    """Forward speed and gait of every walk: all combinations, then standing at each height of the trunk.

    Raises:
        GaitGridError
    """
    terms = {term.name: term for term in contract.commands}
    missing = [name for name in TERMS if name not in terms]
    if missing:
        raise GaitGridError(f"a policy with the commands {', '.join(TERMS)}", f"none of {missing}", "Train `gait`.")
    values = [(terms[name].lower, terms[name].rest, terms[name].upper) for name in TERMS]
    walks = [(forward_m_s, dict(zip(TERMS, gait, strict=True))) for gait in itertools.product(*values)]
    at_rest = {name: terms[name].rest for name in TERMS}
    return walks + [(0.0, {**at_rest, TRUNK_HEIGHT: height}) for height in values[TERMS.index(TRUNK_HEIGHT)]]


def walk(bundle: Bundle, condition: str, forward_m_s: float, gait: Dict[str, float], walk_s: float) -> GaitWalk:
    """Walk once and measure all but the first two seconds."""
    skip_s = 2.0
    commands = ",".join(
        f"{name}={value!r}" for name, value in {"vx": forward_m_s, "vy": 0.0, "yaw": 0.0, **gait}.items()
    )
    try:
        record = record_gait(bundle, condition, commands, walk_s, skip_s)
    except GaitRecordingError:
        return GaitWalk(forward_m_s, gait, None)
    if record.duration_s < WHOLE * (walk_s - skip_s):
        return GaitWalk(forward_m_s, gait, None)
    shape = gait_shape(record, load_robot().geometry.foot_radius)
    measured = dict(zip(TERMS, (shape.frequency_hz, shape.apex_height_m, shape.trunk_height_m), strict=True))
    return GaitWalk(forward_m_s, gait, measured, speed(record), float(np.sqrt(np.mean(record.joint_velocity**2))))


def speed(record: GaitRecord) -> float:
    """From the first to the last row, over the ground [m/s]."""
    way = record.position_trunk_in_world[-1, :2] - record.position_trunk_in_world[0, :2]
    return float(np.linalg.norm(way) / record.duration_s)


def errors(walks: Sequence[GaitWalk], name: str) -> np.ndarray:
    """Measured minus commanded of one term; standing feet have no frequency and no swing."""
    pairs = [(one.measured[name], one.commanded[name]) for one in walks if one.measured is not None]
    difference = np.array([measured - commanded for measured, commanded in pairs])
    return difference[~np.isnan(difference)]


def table(walks: Sequence[GaitWalk]) -> str:
    """Markdown: a row a walk, measured beside commanded, and the errors of them all below."""
    lines = [
        "| forward [m/s] | speed | frequency [Hz] | measured | swing [m] | measured | trunk [m] | measured | "
        "joints [rad/s] |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in walks:
        cells = [f"{one.forward_m_s:.2f}", "fell" if one.speed_m_s is None else f"{one.speed_m_s:.2f}"]
        for name, digits in zip(TERMS, (2, 3, 3), strict=True):
            value = float("nan") if one.measured is None else one.measured[name]
            cells += [f"{one.commanded[name]:.{digits}f}", "-" if np.isnan(value) else f"{value:.{digits}f}"]
        cells.append("-" if one.joint_motion_rad_s is None else f"{one.joint_motion_rad_s:.2f}")
        lines.append(f"| {' | '.join(cells)} |")
    fell = sum(one.measured is None for one in walks)
    lines += ["", f"{len(walks)} walks, {fell} of them not to the end. Measured minus commanded:", ""]
    lines += ["| | mean | mean magnitude | worst |", "|---|---|---|---|"]
    for name in TERMS:
        error = errors(walks, name)
        if len(error):
            figures = (error.mean(), np.abs(error).mean(), error[np.argmax(np.abs(error))])
            lines.append(f"| {name} | {' | '.join(f'{figure:+.3f}' for figure in figures)} |")
    return "\n".join(lines)


def as_json(one: GaitWalk) -> Dict[str, Any]:
    """A walk for JSON, which has no NaN: what standing feet do not have is null."""
    content = asdict(one)
    if one.measured is not None:
        content["measured"] = {name: None if np.isnan(value) else value for name, value in one.measured.items()}
    return content


def blind_bundle(plain: Bundle) -> Bundle:
    """A velocity policy that is commanded a gait and does not look at it."""
    robot = load_robot()
    graph = blind_to_gait(load_graph(plain), robot)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "blind.go1policy"
        lineage = Lineage("pretrain", (plain.sha256,), (), code_version(), 0, "benchmarks.gait_grid --blind")
        return export_bundle(graph, path, lineage, plain.version, robot)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--condition", default="nominal")
    parser.add_argument("--forward-m-s", type=float, default=0.5)
    parser.add_argument("--walk-s", type=float, default=8.0)
    parser.add_argument("--out", type=Path, required=True, help="without its ending: .json and .md are written")
    parser.add_argument(
        "--blind", action="store_true", help="a velocity policy's weights under the gait contract: what is to be beaten"
    )
    options = parser.parse_args()
    bundle = read_bundle(options.bundle)
    content = {"bundle_sha256": bundle.sha256, "blind": options.blind, "condition": options.condition}
    content.update(walk_s=options.walk_s, code_version=code_version())
    if options.blind:
        bundle = blind_bundle(bundle)
    walks = []
    for forward_m_s, gait in grid(bundle.contract, options.forward_m_s):
        walks.append(walk(bundle, options.condition, forward_m_s, gait, options.walk_s))
        print(f"{len(walks)}: {forward_m_s:g} m/s {gait} -> {walks[-1].measured}", flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    content["walks"] = [as_json(one) for one in walks]
    options.out.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n")
    options.out.with_suffix(".md").write_text(table(walks) + "\n")
    print(table(walks))


if __name__ == "__main__":
    main()
