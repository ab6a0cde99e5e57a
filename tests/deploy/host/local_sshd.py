"""A real OpenSSH server on the loopback interface, for the current user, with keys and a home of its own."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Optional, Tuple

LOOPBACK = "127.0.0.1"
START_LIMIT_S = 20.0

_CONFIGURATION = """\
ListenAddress {address}
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
PrintMotd no
SetEnv HOME={home}
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True)
class LocalSshd:
    """A running server.

    Attributes:
        host: USER@HOST for ssh.
        identity: the private key that it accepts.
        options: what `ssh -o` needs to know its host key, KEY=VALUE.
        home: HOME of every session, an empty folder.
    """

    host: str
    port: int
    identity: Path
    options: Tuple[str, ...]
    home: Path


def missing_openssh() -> Optional[str]:
    """Why no server can be started here; None if it can."""
    for program in ("ssh", "ssh-keygen", _sshd()):
        if shutil.which(program) is None:
            return f"needs {Path(program).name}: apt-get install openssh-server openssh-client"
    return None


@contextmanager
def local_sshd(folder: Path) -> Iterator[LocalSshd]:
    """Start one with its files in `folder`; it ends with the context."""
    for name in ("host_key", "client_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    shutil.copy(folder / "client_key.pub", folder / "authorized_keys")
    home, port = folder / "home", _free_port()
    home.mkdir()
    (folder / "known_hosts").write_text(f"[{LOOPBACK}]:{port} {(folder / 'host_key.pub').read_text()}")
    configuration = folder / "sshd_config"
    configuration.write_text(_CONFIGURATION.format(address=LOOPBACK, port=port, folder=folder, home=home))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where sshd, started as root, locks its unprivileged half in
    with open(folder / "sshd.log", "wb") as log:
        process = subprocess.Popen([_sshd(), "-D", "-e", "-f", str(configuration)], stderr=log)
    try:
        _wait_for(port, process, folder / "sshd.log")
        options = (f"UserKnownHostsFile={folder / 'known_hosts'}", "GlobalKnownHostsFile=/dev/null")
        yield LocalSshd(f"{getpass.getuser()}@{LOOPBACK}", port, folder / "client_key", options, home)
    finally:
        process.terminate()
        process.wait()


def _sshd() -> str:
    """sshd insists on being started by its full path."""
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin") or "/usr/sbin/sshd"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline_s = time.monotonic() + START_LIMIT_S
    while True:
        try:
            socket.create_connection((LOOPBACK, port), timeout=1.0).close()
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline_s, f"sshd did not start: {log.read_text()}"
            time.sleep(0.05)
