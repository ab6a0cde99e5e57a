"""Bundles onto a robot over the system's own OpenSSH: everything that decides happens on the robot's side.

The laptop sends bytes; `deploy.onboard.slot_command` on the robot verifies them with the robot's Python, onnxruntime
and description, and switches. No password is ever asked for or kept (BatchMode), the host key must be known.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from deploy.onboard.slot_command import MAX_ANSWER_BYTES
from deploy.onboard.slot_files import SIGNATURE_SUFFIX
from deploy.onboard.ssh_signature import MAX_SIGNATURE_BYTES
from deploy.onboard.store import DEFAULT_ROOT
from policy.bundle import MAX_FILE_BYTES, read_bundle
from policy.sealed_file import read_bounded
from robot_configs.errors import Go1Error

SSH_FAILED = 255
"""Exit status of ssh itself; the robot's command uses 0 and 2."""

TIMEOUT_S = 120.0
_HOST = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*@)?[A-Za-z0-9][A-Za-z0-9.:-]*")
_SSH_OPTIONS = ("BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3")


class FlashError(Go1Error):
    """The robot could not be reached, or what runs there is not this project."""


class RefusedByRobotError(Go1Error):
    """The robot answered and said no; expected, found and remedy are its own words."""


@dataclass(frozen=True)
class SshRobot:
    """A robot's computer as ssh reaches it.

    Attributes:
        host: [USER@]HOST.
        port: of its sshd; None takes ssh's own configuration.
        identity: private key file; None takes ssh's own.
        options: further `-o` options of ssh, KEY=VALUE.
        python: the Python there that has this project; words as for a shell.
        root: of the store there; ~ is that user's home.
    """

    host: str
    port: Optional[int] = None
    identity: Optional[Path] = None
    options: Tuple[str, ...] = ()
    python: str = "python3"
    root: str = DEFAULT_ROOT

    def __post_init__(self) -> None:
        if not _HOST.fullmatch(self.host):
            raise FlashError("a host as USER@HOST", repr(self.host), "For example pi@192.168.123.161.")

    def call(self, verb: str, content: bytes = b"") -> Dict[str, Any]:
        """Run one verb of the slot command there and return its result.

        Raises:
            FlashError: no connection, or no such command there.
            RefusedByRobotError: the robot refused.
        """
        command = f"{self.python} -m deploy.onboard.slot_command {shlex.quote(self.root)} {shlex.quote(verb)}"
        try:
            process = subprocess.run(
                [*self.ssh_words(), "--", self.host, command],
                input=content,
                capture_output=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        except FileNotFoundError:
            raise FlashError("the program ssh on this computer", "none", "Install openssh-client.") from None
        except subprocess.TimeoutExpired:
            raise FlashError(
                f"an answer of {self.host} within {TIMEOUT_S:.0f} s", "none", "Look at the connection; flash again."
            ) from None
        return self._result(process.returncode, process.stdout, process.stderr)

    def ssh_words(self) -> List[str]:
        """The ssh program with its options; host and remote command follow."""
        words = ["ssh", "-T"]
        for option in (*_SSH_OPTIONS, *self.options):
            words += ["-o", option]
        if self.port is not None:
            words += ["-p", str(self.port)]
        if self.identity is not None:
            words += ["-i", str(self.identity), "-o", "IdentitiesOnly=yes"]
        return words

    def _result(self, status: int, output: bytes, complaint: bytes) -> Dict[str, Any]:
        said = complaint.decode("utf-8", "replace").strip().splitlines()
        if status == SSH_FAILED:
            raise FlashError(f"an ssh connection to {self.host}", " / ".join(said[-3:]) or "none", _remedy(complaint))
        # A login shell may greet before the command speaks: the answer is the last line.
        lines = output[-MAX_ANSWER_BYTES:].decode("utf-8", "replace").strip().splitlines()
        try:
            answer = json.loads(lines[-1])
            if set(answer) == {"error"}:
                raise RefusedByRobotError(
                    str(answer["error"]["expected"]), str(answer["error"]["found"]), str(answer["error"]["remedy"])
                )
            return dict(answer["result"])
        except (ValueError, IndexError, KeyError, TypeError):
            raise FlashError(
                f"this project's slot command on {self.host} ({self.python})",
                " / ".join(said[-3:] or lines[-3:]) or f"nothing, exit status {status}",
                "Install it there (go1 robot install) and name its Python: --python go1/current/venv/bin/python.",
            ) from None


def flash(bundle: Path, robot: SshRobot, allow_downgrade: bool = False) -> Dict[str, Any]:
    """Send a bundle, with the signature beside it if there is one; returns the robot's status afterwards.

    Raises:
        BundleError: refused here already, before anything is sent.
        FlashError, RefusedByRobotError: see `SshRobot.call`.
    """
    read_bundle(bundle)
    content = read_bounded(bundle, MAX_FILE_BYTES)
    signature_path = bundle.with_name(bundle.name + SIGNATURE_SUFFIX)
    signature = read_bounded(signature_path, MAX_SIGNATURE_BYTES) if signature_path.is_file() else b""
    message = b"%d %d\n" % (len(content), len(signature)) + content + signature
    return robot.call("install-downgrade" if allow_downgrade else "install", message)


def _remedy(complaint: bytes) -> str:
    if b"Host key verification failed" in complaint or b"HOST IDENTIFICATION HAS CHANGED" in complaint:
        return "Check the robot's host key, then accept it once by hand: ssh USER@HOST true."
    if b"Permission denied" in complaint:
        return "Put your public key there (ssh-copy-id USER@HOST); passwords are not used. Or name a key: --identity."
    return "Check address, port and cable, and that sshd runs there."
