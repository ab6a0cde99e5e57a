"""How a bundle fares on the twin, physics that no training engine has: the acceptance table of pretraining, by wire.

    python -m benchmarks.transfer policy/bundles/go1_velocity.go1policy --out docs/results/transfer

The simulator is another one; the conditions are no secret: the ranges of the preset `robust` were chosen to hold them.
Each condition is walked with the mean action, commands over the whole range: eight times 50 walks of 20 s are more
than two hours of twin time. What is finished is written at once, and a second call goes on where the first stopped; a
file of another measurement is refused, not written over.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List

from policy.bundle import read_bundle
from policy.code_version import code_version
from robot_configs.errors import Go1Error
from robot_configs.twin_conditions import load_condition
from sim.evaluate import DEFAULT_COMMANDS, Evaluation, evaluate_bundle


class TransferError(Go1Error):
    """Results that are not of the measurement asked for."""


@dataclass(frozen=True)
class Demand:
    """What a walk in one condition is held to.

    Attributes:
        falls: largest share of episodes that end in a fall.
        linear_m_s, yaw_rad_s: largest mean errors.
    """

    falls: float
    linear_m_s: float
    yaw_rad_s: float = float("inf")


NOMINAL = Demand(falls=0.0, linear_m_s=0.15, yaw_rad_s=0.20)
ABROAD = Demand(falls=0.02, linear_m_s=0.3)
DEMANDS: Dict[str, Demand] = {
    "nominal": NOMINAL,
    "rough_3cm": ABROAD,
    "slope": ABROAD,
    "payload_3kg": ABROAD,
    "one_weak_motor": ABROAD,
    "low_friction": ABROAD,
    "delay": ABROAD,
    "pushes": ABROAD,
}


def misses(result: Dict[str, Any], demand: Demand) -> List[str]:
    """What an evaluation's summary fails to meet, in words; nothing if it meets all."""
    error = result["velocity_error"]
    measured = {
        "falls": (result["falls"] / result["episodes"], demand.falls),
        "m/s": (error["linear_m_s"], demand.linear_m_s),
        "rad/s": (error["yaw_rad_s"], demand.yaw_rad_s),
    }
    # Not `value > bound`: what is not a number meets nothing.
    return [f"{name} {value:.3g} > {bound:g}" for name, (value, bound) in measured.items() if not value <= bound]


def table(results: Dict[str, Dict[str, Any]]) -> str:
    """Markdown of the conditions measured so far, in the order of `DEMANDS`."""
    lines = [
        "| condition | | falls | error [m/s] | error [rad/s] | return | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in DEMANDS:
        if name not in results:
            continue
        one = results[name]
        missed = misses(one, DEMANDS[name])
        error = one["velocity_error"]
        lines.append(
            f"| {name} | {load_condition(name).description} | {one['falls']} of {one['episodes']} | "
            f"{error['linear_m_s']:.3f} | {error['yaw_rad_s']:.3f} | {one['return_mean']:.0f} | "
            f"{'MISSED: ' + ', '.join(missed) if missed else 'met'} |"
        )
    return "\n".join(lines)


def finished(path: Path, measurement: Dict[str, Any]) -> Dict[str, Dict[str, Any]]:
    """Results of the same measurement that a call before has left, by condition; none where there is no file.

    Raises:
        TransferError: the file is of another measurement, or one of its conditions has changed since.
    """
    if not path.is_file():
        return {}
    content = json.loads(path.read_text())
    other = [name for name in measurement if content.get(name) != measurement[name]]
    walked_in: Dict[str, Any] = content.get("walked_in", {})
    other += [name for name in content["conditions"] if walked_in.get(name) != condition_content(name)]
    if other:
        raise TransferError(f"{path} of this measurement", f"another {', '.join(other)}", "Give another --out.")
    return dict(content["conditions"])


def condition_content(name: str) -> Dict[str, Any]:
    """A condition as JSON has it: its name says nothing of what its file says today."""
    content: Dict[str, Any] = json.loads(json.dumps(load_condition(name).to_dict()))
    return content


def write(out: Path, measurement: Dict[str, Any], results: Dict[str, Dict[str, Any]]) -> None:
    """Results and table beside each other, each complete or not at all."""
    walked_in = {name: condition_content(name) for name in results}
    content = {**measurement, "walked_in": walked_in, "conditions": results}
    for suffix, text in ((".json", json.dumps(content, indent=1)), (".md", table(results))):
        part = out.with_suffix(f"{suffix}.part")
        part.write_text(text + "\n")
        os.replace(part, out.with_suffix(suffix))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--conditions", nargs="+", choices=list(DEMANDS), default=list(DEMANDS))
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--episode-s", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True, help="without its ending: .json and .md are written")
    options = parser.parse_args()
    measurement = {
        "bundle_sha256": read_bundle(options.bundle).sha256,
        "episodes": options.episodes,
        "episode_s": options.episode_s,
        "seed": options.seed,
        "commands": DEFAULT_COMMANDS,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    results = finished(options.out.with_suffix(".json"), measurement)
    for name in options.conditions:
        if name in results:
            continue
        evaluation: Evaluation = evaluate_bundle(
            options.bundle, name, options.episodes, options.seed, options.episode_s, DEFAULT_COMMANDS, options.workers
        )
        results[name] = {**evaluation.to_dict(), "code_version": code_version()}
        write(options.out, measurement, results)
        print(f"{name}: {', '.join(misses(results[name], DEMANDS[name])) or 'met'}", flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
