"""What `go1 robot flash` runs on the robot, `python3 -m deploy.onboard.slot_command ROOT VERB`: answers in JSON.

`install` reads from standard input: a line "BUNDLE_BYTES SIGNATURE_BYTES", the bundle, its signature. One stream of one
ssh connection needs no file name on the other side, no scp, and no shell quoting. A cut connection is a short read.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any, BinaryIO, Dict, List, Tuple

from deploy.onboard.ssh_signature import MAX_SIGNATURE_BYTES
from deploy.onboard.store import BundleStore
from deploy.onboard.store_error import StoreError
from policy.bundle import MAX_FILE_BYTES
from robot_configs.errors import Go1Error

VERBS = ("install", "install-downgrade", "rollback", "confirm", "status")
MAX_ANSWER_BYTES = 65536
_MAX_FIRST_LINE = 64


def main(arguments: List[str], stream: BinaryIO) -> int:
    """Carry out one verb; prints {"result": ...} or {"error": {expected, found, remedy}}, exit status 0 or 2."""
    try:
        root, verb = _root_and_verb(arguments)
        answer: Dict[str, Any] = {"result": carry_out(root, verb, stream)}
    except Go1Error as error:
        answer = {"error": {"expected": error.expected, "found": error.found, "remedy": error.remedy}}
    print(json.dumps(answer, sort_keys=True))
    return 2 if "error" in answer else 0


def _root_and_verb(arguments: List[str]) -> Tuple[str, str]:
    if len(arguments) != 2 or arguments[1] not in VERBS:
        raise StoreError(f"ROOT and one of {', '.join(VERBS)}", f"{arguments}", "Use the same version on both sides.")
    return arguments[0], arguments[1]


def carry_out(root: str, verb: str, stream: BinaryIO) -> Dict[str, Any]:
    """One of `VERBS` on the store at `root`; the store's status afterwards, as plain values.

    Raises:
        Go1Error: whatever the store refuses.
    """
    store = BundleStore(root)
    if verb == "rollback":
        store.rollback()
    elif verb == "confirm":
        store.confirm()
    elif verb != "status":
        content, signature = receive(stream)
        installed = store.install(content, signature, allow_downgrade=verb == "install-downgrade")
        return {**store.status(), "installed": asdict(installed)}
    return store.status()


def receive(stream: BinaryIO) -> Tuple[bytes, bytes]:
    """Bundle and signature, bounded before they are read.

    Raises:
        StoreError: sizes out of bounds, or fewer bytes than were announced.
    """
    line = stream.readline(_MAX_FIRST_LINE)
    words = line.split()
    if len(words) != 2 or not all(word.isdigit() for word in words) or not line.endswith(b"\n"):
        raise StoreError("the sizes of bundle and signature", repr(line), "Use the same version on both sides.")
    sizes = [int(word) for word in words]
    for size, limit in zip(sizes, (MAX_FILE_BYTES, MAX_SIGNATURE_BYTES)):
        if size > limit:
            raise StoreError(f"at most {limit} bytes", f"{size}", "Give a policy bundle and its signature.")
    contents = [stream.read(size) for size in sizes]
    if [len(content) for content in contents] != sizes or stream.read(1):
        raise StoreError(f"{sizes} bytes", "another number: the connection was cut", "Flash again.")
    return contents[0], contents[1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdin.buffer))
