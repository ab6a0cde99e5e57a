"""Mutation testing of the code that stands between a policy and the motors, and of what lets a bundle in.

    python -m benchmarks.mutants                                  # whatever has not been tried yet
    python -m benchmarks.mutants policy/sealed_file.py --seconds 60
    python -m benchmarks.mutants --report                         # what is known, nothing is run

`benchmarks.mutant_sources` changes one place of one module, `benchmarks.mutant_trials` runs its tests on it. What came
out is kept, mutant by mutant, so that a run may be broken off at any time and goes on where it was. A mutant that was
noticed stays so; one that was not is tried again when the tests have changed. `--afresh` forgets everything.

A mutant that no test notices must stand in equivalent_mutants.yaml, with the argument why it does the same. The exit
status is 1 for one that does not, and for an entry that some test notices or that has gone.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import hashlib
import io
import json
import os
import sys
import time
from pathlib import Path
from typing import Optional, Sequence

import pytest
import yaml

from benchmarks.mutant_sources import ROOT, Mutant, mutants_of
from benchmarks.mutant_trials import QUIET, Trial, start, survey

EQUIVALENT = Path(__file__).resolve().with_name("equivalent_mutants.yaml")


def _onboard(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/deploy/onboard/{name}.py" for name in names)


def _policy(*names: str) -> tuple[str, ...]:
    return tuple(f"tests/policy/{name}.py" for name in names)


_GATE = _onboard("gate/test_gate", "gate/test_state_limits", "gate/test_state_age", "gate/test_state_history")
_WIRE = _onboard("test_wire", "test_wire_damage", "test_wire_fixed_point")
_FILE = _policy("test_sealed_file", "test_bounded_json")
TESTS: dict[str, tuple[str, ...]] = {
    "deploy/onboard/gate.py": _GATE,
    "deploy/onboard/reasons.py": _onboard("test_reasons"),
    "deploy/onboard/target.py": (*_GATE, *_onboard("test_modes")),
    "deploy/onboard/target_limits.py": _onboard("test_target_limits", "test_target_refusals", "test_target_torque"),
    "deploy/onboard/tick_clock.py": _onboard("test_tick_clock"),
    "deploy/onboard/state_checks.py": (*_onboard("test_state_checks"), *_GATE),
    "deploy/onboard/plausibility.py": _onboard(
        "plausibility/test_monitor", "plausibility/test_joints", "plausibility/test_rotation"
    ),
    "deploy/onboard/signal_lists.py": _onboard("test_signal_lists"),
    "deploy/onboard/sensor_jumps.py": _onboard("test_sensor_jumps"),
    "deploy/onboard/frozen_sensors.py": _onboard("test_frozen_sensors"),
    "deploy/onboard/gravity_checks.py": _onboard("test_gravity_checks"),
    "deploy/onboard/modes.py": _onboard("test_modes"),
    "deploy/onboard/remote.py": _onboard("test_remote"),
    "deploy/onboard/chords.py": _onboard("test_chords"),
    "deploy/onboard/stillness.py": _onboard("test_stillness"),
    "deploy/onboard/landing.py": _onboard("test_landing"),
    "deploy/onboard/schedule.py": _onboard("test_schedule"),
    "deploy/onboard/episode_schedule.py": _onboard("test_episode_schedule"),
    "deploy/onboard/remote_schedule.py": _onboard("test_remote_schedule"),
    "deploy/onboard/operator_schedule.py": _onboard("test_operator_schedule"),
    "deploy/onboard/control_loop.py": _onboard(
        *(f"test_control_loop{part}" for part in ("", "_breakdown", "_faults", "_halt", "_time"))
    ),
    "deploy/onboard/pilot_seat.py": _onboard("test_pilot_seat"),
    "deploy/onboard/shared_slot.py": _onboard("test_shared_slot"),
    "deploy/onboard/exchange.py": _onboard("test_exchange"),
    "deploy/onboard/gate_process.py": _onboard("test_gate_process"),
    "deploy/onboard/pulse_watch.py": _onboard("test_pulse_watch"),
    "deploy/onboard/guard.py": _onboard("test_guard"),
    "deploy/onboard/lease.py": _onboard("test_lease"),
    "deploy/onboard/packet_layout.py": (*_onboard("test_packet_layout"), *_WIRE),
    "deploy/onboard/joint_command.py": _WIRE,
    "deploy/onboard/robot_state.py": (*_WIRE, *_onboard("test_low_state_codec")),
    "deploy/onboard/low_cmd_codec.py": (*_onboard("test_low_cmd_codec"), *_WIRE),
    "deploy/onboard/low_state_codec.py": (*_onboard("test_low_state_codec"), *_WIRE),
    "deploy/onboard/wire.py": _WIRE,
    "policy/sealed_file.py": _FILE,
    "policy/bounded_json.py": _FILE,
    "policy/contract_types.py": _policy("test_contract_types"),
    "policy/contract_evidence.py": _policy("test_contract_evidence"),
    "policy/golden_vectors.py": _policy("test_golden_vectors"),
    "policy/bundle.py": (*_policy("test_bundle_replay", "test_policy_session"), *_FILE),
    "policy/protobuf_reader.py": _policy("test_protobuf_reader"),
    "policy/onnx_messages.py": _policy("onnx/test_messages"),
    "policy/onnx_allow_list.py": _policy("onnx/test_allow_list", "onnx/test_border"),
    "policy/onnx_shapes.py": _policy("onnx/test_shapes", "onnx/test_operator_shapes"),
}
"""Which files must notice a change of a module."""


class Results:
    """What is known of a module's mutants: a line of JSON for each trial, the newest counts."""

    def __init__(self, module: str, folder: Path) -> None:
        self._path = folder / (module.replace("/", ".") + ".jsonl")
        contents = b"".join((ROOT / name).read_bytes() for name in TESTS[module])
        self._tests = hashlib.sha256(contents).hexdigest()
        lines = self._path.read_text(encoding="utf-8").splitlines() if self._path.is_file() else []
        self._known = {entry["mutant"]: entry for entry in map(json.loads, lines)}

    def forget(self) -> None:
        """Begin anew."""
        self._path.unlink(missing_ok=True)
        self._known = {}

    def add(self, mutant: Mutant, noticed_by: Optional[str]) -> None:
        """Keep the outcome of a trial, on disk before the next one."""
        entry = {"mutant": mutant.digest, "noticed_by": noticed_by, "tests": self._tests}
        self._known[mutant.digest] = entry
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with open(self._path, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")

    def is_tried(self, mutant: Mutant) -> bool:
        """Whether there is nothing to learn from another trial."""
        entry = self._known.get(mutant.digest)
        return entry is not None and (entry["noticed_by"] is not None or entry["tests"] == self._tests)

    def survived(self, mutant: Mutant) -> bool:
        """Whether the last trial passed all tests; False if there was none."""
        entry = self._known.get(mutant.digest)
        return entry is not None and entry["noticed_by"] is None


def try_all(module: str, mutants: Sequence[Mutant], results: Results, jobs: int, seconds: float) -> None:
    """Try what has not been tried, `jobs` at a time; begin no trial when `seconds` are over."""
    waiting = [mutant for mutant in mutants if not results.is_tried(mutant)]
    if not waiting:
        return
    baseline = survey(module, TESTS[module])
    running: dict[int, Trial] = {}
    begun, started_s = 0, time.monotonic()
    while running or (begun < len(waiting) and time.monotonic() - started_s < seconds):
        while len(running) < jobs and begun < len(waiting) and time.monotonic() - started_s < seconds:
            trial = start(waiting[begun], TESTS[module], baseline)
            running[trial.process] = trial
            begun += 1
        process, status = os.wait()
        trial = running.pop(process)
        noticed_by = trial.noticed_by(status)
        results.add(trial.mutant, noticed_by)
        if noticed_by is None:
            print(f"\rnot noticed: {trial.mutant}", flush=True)
        spent_s = time.monotonic() - started_s
        print(f"\r{module} {begun - len(running)}/{len(waiting)} {spent_s:.0f} s", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)


def report(tried: dict[str, tuple[list[Mutant], Results]]) -> int:
    """Print the table and what is wrong; the exit status."""
    entries = yaml.safe_load(EQUIVALENT.read_text(encoding="utf-8"))
    argued = {(entry["module"], entry["before"], entry["after"]) for entry in entries}
    print("\n| module | mutants | tried | noticed | equivalent | survivors |\n|---|---|---|---|---|---|")
    failures, stale = 0, set()
    for module, (mutants, results) in tried.items():
        known = [mutant for mutant in mutants if results.is_tried(mutant)]
        unnoticed = [mutant for mutant in known if results.survived(mutant)]
        survivors = [mutant for mutant in unnoticed if mutant.key not in argued]
        failures += len(survivors)
        counts = (len(mutants), len(known), len(known) - len(unnoticed), len(unnoticed) - len(survivors))
        print(f"| {module} | {' | '.join(map(str, counts))} | {len(survivors)} |")
        for mutant in survivors:
            print(f"not noticed: {mutant}", file=sys.stderr)
        if len(known) == len(mutants):
            stale |= {key for key in argued if key[0] == module} - {mutant.key for mutant in unnoticed}
    for key in sorted(stale):
        print(f"argued to be equivalent, but noticed or gone: {' | '.join(key)}", file=sys.stderr)
    return 1 if failures or stale else 0


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Try the mutants of the modules named, or of all; 0 if none survives that is not argued for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", default=list(TESTS), help=f"of {', '.join(TESTS)}")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="longest time on each module [no limit]")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="mutants at a time [%(default)s]")
    parser.add_argument("--results", type=Path, default=ROOT / "build/mutants", help="folder [%(default)s]")
    parser.add_argument("--afresh", action="store_true", help="forget what was tried before")
    parser.add_argument("--report", action="store_true", help="only print what is known")
    options = parser.parse_args(arguments)
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    if not options.report:
        _import_libraries(sorted({name for module in options.modules for name in TESTS[module]}))
    tried = {}
    for module in options.modules:
        mutants, results = mutants_of(module), Results(module, options.results)
        if options.afresh:
            results.forget()
        if not options.report:
            try_all(module, mutants, results, options.jobs, options.seconds)
        tried[module] = mutants, results
    return report(tried)


def _import_libraries(tests: Sequence[str]) -> None:
    """Collecting once imports every library that the children then find in memory."""
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main([*QUIET, "--collect-only", *tests])
    gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
