"""The sealed policy bundle: one file with the ONNX graph, its contract, golden vectors and lineage, under one SHA-256.

`policy.sealed_file` tells the layout. Whoever holds a `Bundle` holds a graph that passed the allow list, of the
contract's widths; `verify_bundle` shows that it still computes what was sealed, and that it is for this robot.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional, Tuple, Union

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as onnxruntime_errors

from policy.bundle_error import BundleError, untrusted
from policy.contract import OUTPUTS, SIGNALS, PolicyContract
from policy.contract_evidence import check_constants, check_evidence
from policy.contract_types import check_contract_types
from policy.golden_vectors import (
    GOLDEN_STEP_OUTPUTS,
    MINIMUM_GOLDEN_SEQUENCES,
    check_golden,
    golden_table,
    parse_golden,
)
from policy.onnx_allow_list import read_graph
from policy.onnx_shapes import check_shapes
from policy.sealed_file import MAGIC, MAX_FILE_BYTES, read_bounded, seal, unseal
from robot_configs.robot import RobotModel, canonical_json

__all__ = [
    "BUNDLES",
    "GOLDEN_STEP_OUTPUTS",
    "MAGIC",
    "MAX_FILE_BYTES",
    "MINIMUM_GOLDEN_SEQUENCES",
    "SUFFIX",
    "Bundle",
    "BundleError",
    "Lineage",
    "PolicyOutput",
    "PolicySession",
    "VerifyReport",
    "parse_bundle",
    "read_bundle",
    "verify_bundle",
    "write_bundle",
]

SUFFIX = ".go1policy"
BUNDLES = Path(__file__).resolve().parent / "bundles"  # the shipped ones
# Float32 arithmetic of different onnxruntime builds differs in the last digits; actions of a walk are of order one.
GOLDEN_TOLERANCE = 1e-4
MAX_VERSION = 2**31 - 1
_HEADER_FIELDS = {"contract", "golden", "lineage", "robot_sha256", "sections", "version"}
_SECTIONS = ("onnx", "golden")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_RUNTIME_ERRORS = (
    onnxruntime_errors.Fail,
    onnxruntime_errors.InvalidArgument,
    onnxruntime_errors.InvalidGraph,
    onnxruntime_errors.InvalidProtobuf,
    onnxruntime_errors.NotImplemented,
    onnxruntime_errors.RuntimeException,
)


@dataclass(frozen=True)
class Lineage:
    """Where a policy comes from.

    Attributes:
        stage: pretrain, refine, finetune, clone or import.
        parents: SHA-256 of the bundles it started from.
        data: content hashes of the data sets it learned from.
        code_version: of this project.
        seed: of the random generators.
        command: what made it, as typed.
        notes: measured figures of the stage, as text.
    """

    stage: str
    parents: Tuple[str, ...]
    data: Tuple[str, ...]
    code_version: str
    seed: int
    command: str
    notes: Tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle's content. `golden` maps `in.<signal>` and `out.<output>` to arrays (sequences, steps, width).

    Raises:
        BundleError: the graph holds what our exporter does not write, or graph, golden vectors and contract differ in
            their widths. However a bundle comes about, onnxruntime never sees another one.
    """

    contract: PolicyContract
    onnx_bytes: bytes
    golden: Dict[str, np.ndarray]
    lineage: Lineage
    version: int
    robot_sha256: str
    sha256: str

    def __post_init__(self) -> None:
        graph = read_graph(self.onnx_bytes, self.contract)
        check_golden(self.golden, self.contract)
        check_constants(graph, self.contract)
        for batch in (1, len(self.golden["in.command"])):
            check_shapes(graph, self.contract, batch)


class PolicyOutput(NamedTuple):
    """One step of a policy; arrays float32, (12,) but for observation (O,), next_memory (M,); log_prob a float."""

    joint_target: np.ndarray
    action: np.ndarray
    action_mean: np.ndarray
    action_std: np.ndarray
    log_prob: float
    observation: np.ndarray
    next_memory: np.ndarray


class VerifyReport(NamedTuple):
    """Outcome of a golden replay that passed."""

    sequences: int
    steps: int
    largest_error: float


def write_bundle(
    path: Union[str, Path],
    contract: PolicyContract,
    onnx_bytes: bytes,
    golden: Dict[str, np.ndarray],
    lineage: Lineage,
    version: int,
    robot_sha256: str,
) -> Bundle:
    """Seal a bundle: written beside the place, synced, then moved there in one step."""
    table, golden_bytes = golden_table(golden)
    header = {
        "contract": json.loads(contract.to_json()),
        "golden": table,
        "lineage": asdict(lineage),
        "robot_sha256": robot_sha256,
        "version": version,
    }
    content = seal(header, [("onnx", onnx_bytes), ("golden", golden_bytes)])
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    with open(part, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(part, target)
    return read_bundle(target)


def read_bundle(path: Union[str, Path]) -> Bundle:
    """Read and check the seal; does not run the policy (see `verify_bundle`).

    Raises:
        BundleError: not a bundle, truncated, a changed byte, a missing or unknown field, a hostile graph.
        policy.contract.ContractError: a contract that contradicts itself.
    """
    return parse_bundle(read_bounded(Path(path), MAX_FILE_BYTES))


def parse_bundle(content: bytes) -> Bundle:
    """`read_bundle` for bytes that are already in memory, so that what was checked is what is used."""
    header, sections, sha256 = unseal(content, _SECTIONS)
    _exact_fields(header, _HEADER_FIELDS, "header")
    version, robot_sha256 = header["version"], header["robot_sha256"]
    if type(version) is not int or not 0 <= version <= MAX_VERSION:
        raise untrusted(f"a version from 0 to {MAX_VERSION}", f"{version!r:.80}")
    if type(robot_sha256) is not str or not _SHA256.fullmatch(robot_sha256):
        raise untrusted("a SHA-256 as robot_sha256", f"{robot_sha256!r:.80}")
    check_contract_types(header["contract"])
    return Bundle(
        contract=PolicyContract.from_json(canonical_json(header["contract"])),
        onnx_bytes=sections["onnx"],
        golden=parse_golden(header["golden"], sections["golden"]),
        lineage=_parse_lineage(header["lineage"]),
        version=version,
        robot_sha256=robot_sha256,
        sha256=sha256,
    )


def verify_bundle(bundle: Bundle, robot: RobotModel) -> VerifyReport:
    """Check that the policy is for this robot, that its contract is true, and that it computes what was sealed.

    Raises:
        policy.contract.ContractError: another robot, joint order, rate or gain; the field is named.
        BundleError: graph and contract disagree, or the golden vectors are not reproduced.
    """
    bundle.contract.check_robot(robot)
    check_evidence(bundle.golden, bundle.contract)
    session = PolicySession(bundle, robot)
    inputs = {name: bundle.golden[f"in.{name}"] for name, _ in SIGNALS if name != "memory"}
    sequences, steps = inputs["command"].shape[:2]
    memory = np.zeros((sequences, bundle.contract.memory_dim), dtype=np.float32)
    errors = []
    for step in range(steps):
        outputs = session.run_batch({name: array[:, step] for name, array in inputs.items()}, memory)
        memory = outputs["next_memory"]
        for name in GOLDEN_STEP_OUTPUTS if step + 1 < steps else OUTPUTS:
            golden = bundle.golden[f"out.{name}"]
            expected = golden[:, step] if name in GOLDEN_STEP_OUTPUTS else golden.squeeze(axis=1)
            errors.append(_golden_error(f"{name} at step {step}", outputs[name], expected))
    return VerifyReport(sequences, sequences * steps, max(errors))


class PolicySession:
    """A policy ready to run with onnxruntime alone, on one thread; keeps its memory between steps.

    Raises:
        policy.contract.ContractError: the policy is not for this robot.
        BundleError: onnxruntime does not accept the graph.
    """

    def __init__(self, bundle: Bundle, robot: RobotModel) -> None:
        bundle.contract.check_robot(robot)
        self.bundle = bundle
        self.contract = bundle.contract
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what onnxruntime has to say comes as an exception
        try:
            self._session = onnxruntime.InferenceSession(
                bundle.onnx_bytes, sess_options=options, providers=["CPUExecutionProvider"]
            )
        except _RUNTIME_ERRORS as error:
            raise untrusted("a graph that onnxruntime accepts", f"{error}") from None
        widths = self.contract.signal_widths()
        self._feed = {name: np.zeros((1, widths[name]), dtype=np.float32) for name, _ in SIGNALS}
        self._outputs = list(OUTPUTS)

    def reset(self) -> None:
        """Forget everything: history, last action, gait phase."""
        self._feed["memory"] = np.zeros_like(self._feed["memory"])

    def step(
        self,
        orientation: np.ndarray,
        angular_velocity: np.ndarray,
        joint_position: np.ndarray,
        joint_velocity: np.ndarray,
        command: np.ndarray,
        noise: Optional[np.ndarray] = None,
    ) -> PolicyOutput:
        """One control step on raw signals in wire order; without noise the action is the mean."""
        feed = self._feed
        feed["orientation_trunk_in_world"][:] = orientation
        feed["angular_velocity_trunk_in_trunk"][:] = angular_velocity
        feed["joint_position"][:] = joint_position
        feed["joint_velocity"][:] = joint_velocity
        feed["command"][:] = command
        feed["noise"][:] = 0.0 if noise is None else noise
        outputs = self._session.run(self._outputs, feed)
        feed["memory"] = outputs[-1]
        (target,), (action,), (mean,), (std,), (log_prob,), (observation,), (memory,) = outputs
        return PolicyOutput(target, action, mean, std, float(log_prob), observation, memory)

    def run_batch(self, signals: Dict[str, np.ndarray], memory: np.ndarray) -> Dict[str, np.ndarray]:
        """One step of many independent robots; does not touch this session's own memory.

        Raises:
            BundleError: the graph can not be computed with its contract's signals.
        """
        feed = {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in signals.items()}
        feed["memory"] = memory
        try:
            return dict(zip(self._outputs, self._session.run(self._outputs, feed)))
        except _RUNTIME_ERRORS as error:
            raise untrusted("a graph that runs on its contract's signals", f"{error}") from None


def _golden_error(what: str, found: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference of one output (B, width) from the golden one, if that is tolerable."""
    shape = expected.shape[:1] if what.startswith("log_prob") else expected.shape
    if found.shape != shape:
        raise untrusted(f"{what} of shape {shape}", f"{found.shape}")
    error = np.abs(found.reshape(expected.shape) - expected)
    if not np.all(error <= GOLDEN_TOLERANCE * np.maximum(1.0, np.abs(expected))):
        raise BundleError(
            f"the golden vectors' {what} within {GOLDEN_TOLERANCE}",
            f"a difference of {float(np.max(error)):.3g}",
            "This onnxruntime computes another policy than was sealed: do not run it; export it anew.",
        )
    return float(np.max(error))


def _exact_fields(content: Any, expected: Any, what: str) -> None:
    found = set(content) if isinstance(content, dict) else set()
    if found != set(expected):
        missing, unknown = sorted(set(expected) - found), sorted(found - set(expected))
        raise untrusted(f"a {what} with the fields {sorted(expected)}", f"missing: {missing}; unknown: {unknown}")


def _parse_lineage(content: Any) -> Lineage:
    _exact_fields(content, Lineage.__dataclass_fields__, "lineage")
    for name in ("stage", "code_version", "command"):
        if type(content[name]) is not str:
            raise untrusted(f"text as lineage.{name}", f"{content[name]!r:.80}")
    for name in ("parents", "data", "notes"):
        if type(content[name]) is not list or any(type(entry) is not str for entry in content[name]):
            raise untrusted(f"a list of texts as lineage.{name}", f"{content[name]!r:.80}")
    if type(content["seed"]) is not int:
        raise untrusted("a whole number as lineage.seed", f"{content['seed']!r:.80}")
    values: Dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in content.items()}
    return Lineage(**values)
