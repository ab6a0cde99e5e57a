"""The runner's timing, as ratios in one run: `python -m benchmarks.runner` [--only TOPIC ...] [--json FILE].

    start-up    process start to first packets, memory
    lateness    500 Hz: the runner against a bare C loop and a naive Python loop, idle and with hogs
    tick        50 Hz: the policy beside a hog, against a plain onnxruntime session
    link        codec and socket, processor time a tick, against the vendor's binding
    lockstep    the twin against the clock, in process and over UDP

What is compared takes turns, so that whatever else the machine does meets all of it; the load is printed.
docs/timing.md has the figures and what limits them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Dict, List

from benchmarks import codec
from benchmarks.figures import Figure, load_average
from benchmarks.lockstep_speed import measure_lockstep
from benchmarks.loop_lateness import measure_lateness
from benchmarks.policy_tick import measure_policy_tick
from benchmarks.start_up import measure_start_up


def measure_link(rounds: int) -> List[Figure]:
    """The client's side of a tick: send one command, receive one state."""
    figures = codec.measure(rounds)
    ours = figures["our_tick_us"]
    against_link = ours / figures["vendor_tick_us"]
    against_examples = ours / figures["vendor_examples_tick_us"]
    return [
        Figure("our codec and link a tick", ours, "us"),
        Figure("vendor's binding a tick, fields as its examples do", figures["vendor_examples_tick_us"], "us"),
        Figure("vendor's binding a tick, our VendorLink", figures["vendor_tick_us"], "us"),
        Figure("ours / vendor's binding as in its examples", against_examples, "", at_most=0.2),
        Figure("ours / our VendorLink", against_link, ""),
    ]


def topics(rounds: int) -> Dict[str, Callable[[], List[Figure]]]:
    """What can be measured, by name."""
    return {
        "start-up": lambda: measure_start_up(rounds),
        "lateness": lambda: measure_lateness(rounds, walk_s=2.0),
        "tick": lambda: measure_policy_tick(rounds, round_s=12.0),
        "link": lambda: measure_link(10 * rounds),
        "lockstep": lambda: measure_lockstep(rounds, walk_s=3.0),
    }


def main() -> None:
    """Measure, print, and write the figures where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(topics(1)), help="some of the topics (default: all)")
    parser.add_argument("--rounds", type=int, default=3, help="of everything (default: 3)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    measured: Dict[str, List[Figure]] = {}
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    for name, measure in topics(arguments.rounds).items():
        if arguments.only and name not in arguments.only:
            continue
        before = load_average()
        measured[name] = measure()
        print(f"\n{name} (load average {before} before, {load_average()} after)")
        for figure in measured[name]:
            print(f"  {figure}", flush=True)
    if arguments.json:
        content = {name: [asdict(figure) for figure in figures] for name, figures in measured.items()}
        arguments.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
