"""The sealed policy bundle: one file with the ONNX graph, its contract, golden vectors and lineage, under one SHA-256.

Layout (little endian)::

    magic 8 | header size u32 | header: canonical JSON | sections, back to back | SHA-256 of all bytes before it, 32

The header lists the sections with their sizes. Nothing is parsed before the digest over the whole file agrees. No
pickle, no archive, no compression: there is nothing to unpack that could be larger than the file.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

import numpy as np
import onnxruntime

from policy.contract import OUTPUTS, SIGNALS, PolicyContract
from robot_configs.errors import Go1Error
from robot_configs.robot import RobotModel, canonical_json

MAGIC = b"GO1POL\x00\x01"
MAX_FILE_BYTES = 16 * 2**20
MINIMUM_GOLDEN_SEQUENCES = 64
SUFFIX = ".go1policy"
BUNDLES = Path(__file__).resolve().parent / "bundles"  # the shipped ones
# Float32 arithmetic of different onnxruntime builds differs in the last digits; actions of a walk are of order one.
GOLDEN_TOLERANCE = 1e-4
# What every golden step holds; the last one of a sequence also has the observation and the memory.
GOLDEN_STEP_OUTPUTS = ("joint_target", "action", "action_mean", "action_std", "log_prob")
_HEADER_KEYS = {"contract", "golden", "lineage", "robot_sha256", "sections", "version"}
_DIGEST_BYTES = 32


class BundleError(Go1Error):
    """A bundle that is damaged, incomplete, foreign, or does not do what it says."""


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
    """A bundle's content. `golden` maps `in.<signal>` and `out.<output>` to arrays (sequences, steps, width)."""

    contract: PolicyContract
    onnx_bytes: bytes
    golden: Dict[str, np.ndarray]
    lineage: Lineage
    version: int
    robot_sha256: str
    sha256: str


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
    names = sorted(golden)
    arrays = [np.ascontiguousarray(golden[name], dtype="<f4") for name in names]
    golden_bytes = b"".join(array.tobytes() for array in arrays)
    header = {
        "contract": json.loads(contract.to_json()),
        "golden": [[name, list(array.shape)] for name, array in zip(names, arrays)],
        "lineage": asdict(lineage),
        "robot_sha256": robot_sha256,
        "sections": [["onnx", len(onnx_bytes)], ["golden", len(golden_bytes)]],
        "version": version,
    }
    header_bytes = canonical_json(header).encode()
    body = MAGIC + struct.pack("<I", len(header_bytes)) + header_bytes + onnx_bytes + golden_bytes
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    with open(part, "wb") as stream:
        stream.write(body + hashlib.sha256(body).digest())
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(part, target)
    return read_bundle(target)


def read_bundle(path: Union[str, Path]) -> Bundle:
    """Read and check the seal; does not run the policy (see `verify_bundle`).

    Raises:
        BundleError: not a bundle, truncated, a changed byte, a missing or unknown field.
        policy.contract.ContractError: a contract that contradicts itself.
    """
    content = _sealed_content(Path(path))
    (header_size,) = struct.unpack_from("<I", content, len(MAGIC))
    start = len(MAGIC) + 4
    header = _parse_header(content[start : start + header_size])
    sections: Dict[str, bytes] = {}
    offset = start + header_size
    for name, size in header["sections"]:
        sections[name] = content[offset : offset + size]
        offset += size
    if offset != len(content) or set(sections) != {"onnx", "golden"}:
        raise _broken("sections onnx and golden that fill the file", f"{sorted(sections)} ending at byte {offset}")
    return Bundle(
        contract=PolicyContract.from_json(canonical_json(header["contract"])),
        onnx_bytes=sections["onnx"],
        golden=_parse_golden(header["golden"], sections["golden"]),
        lineage=_parse_lineage(header["lineage"]),
        version=int(header["version"]),
        robot_sha256=str(header["robot_sha256"]),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def verify_bundle(bundle: Bundle, robot: RobotModel) -> VerifyReport:
    """Check that the policy is for this robot and still computes what it did when it was sealed.

    Raises:
        policy.contract.ContractError: another robot, joint order, rate or gain; the field is named.
        BundleError: graph and contract disagree, or the golden vectors are not reproduced.
    """
    bundle.contract.check_robot(robot)
    session = PolicySession(bundle, robot)
    inputs = {name: bundle.golden[f"in.{name}"] for name, _ in SIGNALS if name != "memory"}
    sequences, steps = inputs["command"].shape[:2]
    memory = np.zeros((sequences, bundle.contract.memory_dim), dtype=np.float32)
    largest = 0.0
    for step in range(steps):
        outputs = session.run_batch({name: array[:, step] for name, array in inputs.items()}, memory)
        memory = outputs["next_memory"]
        for name in GOLDEN_STEP_OUTPUTS if step + 1 < steps else OUTPUTS:
            row = step if name in GOLDEN_STEP_OUTPUTS else 0
            expected = bundle.golden[f"out.{name}"][:, row]
            error = float(np.max(np.abs(outputs[name].reshape(expected.shape) - expected)))
            if not error <= GOLDEN_TOLERANCE * max(1.0, float(np.max(np.abs(expected)))):
                raise BundleError(
                    f"the golden vectors' {name} at step {step} within {GOLDEN_TOLERANCE}",
                    f"a difference of {error:.3g}",
                    "This onnxruntime computes another policy than was sealed: do not run it; export it anew.",
                )
            largest = max(largest, error)
    return VerifyReport(sequences, sequences * steps, largest)


class PolicySession:
    """A policy ready to run with onnxruntime alone, on one thread; keeps its memory between steps.

    Raises:
        policy.contract.ContractError: the policy is not for this robot.
        BundleError: the graph's inputs or outputs are not those of its contract.
    """

    def __init__(self, bundle: Bundle, robot: RobotModel) -> None:
        bundle.contract.check_robot(robot)
        self.bundle = bundle
        self.contract = bundle.contract
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            bundle.onnx_bytes, sess_options=options, providers=["CPUExecutionProvider"]
        )
        self._check_border()
        widths = self.contract.signal_widths()
        self._feed = {name: np.zeros((1, widths[name]), dtype=np.float32) for name, _ in SIGNALS}
        self._outputs = list(OUTPUTS)

    def reset(self) -> None:
        """Forget everything: history, last action, gait phase."""
        self._feed["memory"] = np.zeros((1, self.contract.memory_dim), dtype=np.float32)

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
        feed["orientation_trunk_in_world"][0] = orientation
        feed["angular_velocity_trunk_in_trunk"][0] = angular_velocity
        feed["joint_position"][0] = joint_position
        feed["joint_velocity"][0] = joint_velocity
        feed["command"][0] = command
        feed["noise"][0] = 0.0 if noise is None else noise
        target, action, mean, std, log_prob, observation, memory = self._session.run(self._outputs, feed)
        feed["memory"] = memory
        return PolicyOutput(target[0], action[0], mean[0], std[0], float(log_prob[0]), observation[0], memory[0])

    def run_batch(self, signals: Dict[str, np.ndarray], memory: np.ndarray) -> Dict[str, np.ndarray]:
        """One step of many independent robots; does not touch this session's own memory."""
        feed = {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in signals.items()}
        feed["memory"] = memory
        return dict(zip(self._outputs, self._session.run(self._outputs, feed)))

    def _check_border(self) -> None:
        """Names and widths of the graph's inputs and outputs, against the contract."""
        wanted_in = self.contract.signal_widths()
        found_in = {node.name: node.shape[1] for node in self._session.get_inputs() if len(node.shape) == 2}
        if found_in != wanted_in:
            raise _broken(f"graph inputs {wanted_in}", str(found_in))
        found_out = tuple(node.name for node in self._session.get_outputs())
        if found_out != OUTPUTS:
            raise _broken(f"graph outputs {OUTPUTS}", str(found_out))


def _sealed_content(path: Path) -> bytes:
    if not path.is_file():
        raise BundleError(f"a policy bundle at {path}", "no file", "Check the path.")
    size = path.stat().st_size
    if not len(MAGIC) + 4 + _DIGEST_BYTES < size <= MAX_FILE_BYTES:
        raise _broken(f"a file of at most {MAX_FILE_BYTES} bytes with a seal", f"{size} bytes")
    content = path.read_bytes()
    if content[: len(MAGIC)] != MAGIC:
        raise BundleError("a policy bundle", f"a file that starts with {content[:8]!r}", "Give a .go1policy file.")
    body, digest = content[:-_DIGEST_BYTES], content[-_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise _broken("the seal (SHA-256) to match the content", "another one: bytes were changed or lost")
    return body


def _parse_header(text: bytes) -> Dict[str, Any]:
    try:
        header = json.loads(text.decode())
    except ValueError as error:
        raise _broken("a header in JSON", f"{error}") from None
    found = set(header) if isinstance(header, dict) else set()
    if found != _HEADER_KEYS:
        missing, unknown = sorted(_HEADER_KEYS - found), sorted(found - _HEADER_KEYS)
        raise _broken(f"the fields {sorted(_HEADER_KEYS)}", f"missing: {missing}; unknown: {unknown}")
    return dict(header)


def _parse_golden(table: List[List[Any]], content: bytes) -> Dict[str, np.ndarray]:
    expected = {f"in.{name}" for name, _ in SIGNALS if name != "memory"} | {f"out.{name}" for name in OUTPUTS}
    if {name for name, _ in table} != expected:
        raise _broken(f"golden vectors {sorted(expected)}", f"{sorted(name for name, _ in table)}")
    golden, offset = {}, 0
    for name, shape in table:
        count = int(np.prod(shape))
        if len(shape) != 3 or shape[0] < MINIMUM_GOLDEN_SEQUENCES or offset + 4 * count > len(content):
            raise _broken(f"{name} with at least {MINIMUM_GOLDEN_SEQUENCES} sequences", f"shape {shape}")
        golden[name] = np.frombuffer(content, dtype="<f4", count=count, offset=offset).reshape(shape)
        offset += 4 * count
    return golden


def _parse_lineage(content: Dict[str, Any]) -> Lineage:
    expected = set(Lineage.__dataclass_fields__)
    if not isinstance(content, dict) or set(content) != expected:
        raise _broken(f"a lineage with the fields {sorted(expected)}", f"{sorted(content)}")
    values: Dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in content.items()}
    return Lineage(**values)


def _broken(expected: str, found: str) -> BundleError:
    return BundleError(expected, found, "The file can not be trusted: copy or export it again.")
