"""The project onto the robot's computer, over the system's own OpenSSH: beside what runs there, then switched.

    FOLDER/releases/<version>-<hash>/   wheel, requirements, unit file, venv/; `complete` once it has proved itself
    FOLDER/current -> releases/...      switched by one rename; `previous` is the one before, older ones are removed
    FOLDER/logs/

Every step is a short shell script that can be read before it is run (`--dry-run`) and may be cut off anywhere: until
the switch, what was installed before stays what runs. Bundles are not touched (`deploy.host.flash`).
"""

from __future__ import annotations

import io
import shlex
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from deploy.host.flash import SshRobot
from deploy.host.service_unit import UNIT_NAME, Service
from deploy.host.wheel import CHECKOUT, Wheel
from robot_configs.errors import Go1Error

OLDEST_PYTHON = (3, 8)
STEP_TIMEOUT_S = 900.0  # a robot's pip unpacks onnxruntime onto an SD card
SYSTEM_UNITS = "/etc/systemd/system"

_PROBE = """\
import getpass, os, platform, sys
print("python", "%d.%d" % sys.version_info[:2]); print("machine", platform.machine())
print("user", getpass.getuser()); print("home", os.path.expanduser("~")); import venv
"""
# Older ones do not know the arm64 wheels' tags; Ubuntu 18.04 puts a pip of 2016 into every new environment.
_PIP_IS_RECENT = """\
import sys, pip
sys.exit(tuple(int(part) for part in pip.__version__.split(".")[:2]) < (20, 3))
"""
_VERIFY_SHIPPED = """\
import sys, onnxruntime, numpy
from policy.bundle import BUNDLES, SUFFIX, read_bundle, verify_bundle
from robot_configs.robot import load_robot
for path in sorted(BUNDLES.glob("*" + SUFFIX)):
    error = verify_bundle(read_bundle(path), load_robot()).largest_error
    print("%s: golden vectors replayed, largest difference %.2g" % (path.name, error))
print("Python %d.%d.%d" % sys.version_info[:3], "numpy", numpy.__version__, "onnxruntime", onnxruntime.__version__)
"""


class InstallError(Go1Error):
    """A step of the installation failed; what ran before still does."""


@dataclass(frozen=True)
class InstallSettings:
    """What to install how.

    Attributes:
        python: program on the robot's computer that makes the environment, Python 3.8 or newer.
        folder: on the robot's computer, absolute or below the user's home.
        wheels: local folder of wheels for a robot without internet; None lets the robot's pip ask its index.
        robot_address: HOST[:PORT] of the motor controller, as seen from there.
        duration_s: walking after which a session of the service ends [s].
        service_user: who runs the service; None: the user of the ssh connection.
        unit_folder: where the machine's systemd looks for units.
    """

    python: str
    robot_address: str
    duration_s: float
    folder: str = "go1"
    wheels: Optional[Path] = None
    service_user: Optional[str] = None
    unit_folder: str = SYSTEM_UNITS


@dataclass(frozen=True)
class RobotComputer:
    """What the probe found there."""

    python: Tuple[int, int]
    machine: str
    user: str
    home: str


@dataclass(frozen=True)
class Step:
    """One remote shell script, and what is sent into it."""

    title: str
    script: str
    content: bytes = b""


def probe(robot: SshRobot, python: str) -> RobotComputer:
    """Who and what is at the other end; changes nothing.

    Raises:
        InstallError: no connection, or no usable Python there.
    """
    answer = run_step(robot, Step("look at the computer", f"exec {shlex.quote(python)} -c {shlex.quote(_PROBE)}"))
    found: Dict[str, str] = dict(line.split(" ", 1) for line in answer.splitlines() if " " in line)
    major, minor = (int(part) for part in found["python"].split("."))
    if (major, minor) < OLDEST_PYTHON:
        raise InstallError(
            "Python 3.8 or newer on the robot's computer",
            f"{python} is Python {major}.{minor}",
            "Install one beside it (Ubuntu 18.04: apt-get install python3.8-venv) and name it: --python python3.8.",
        )
    return RobotComputer((major, minor), found["machine"], found["user"], found["home"])


def plan(computer: RobotComputer, settings: InstallSettings, slots: str, wheel: Wheel) -> List[Step]:
    """The steps of an installation, in order; each may be repeated.

    Args:
        slots: the store of bundles there; ~ is that user's home.

    Raises:
        ServiceError: a service user or path that will not do.
        InstallError: no constraints to install by.
    """
    folder = _absolute(settings.folder, computer.home)
    service = Service(
        user=settings.service_user or computer.user,
        folder=folder,
        slots=_absolute(slots, computer.home),
        robot_address=settings.robot_address,
        duration_s=settings.duration_s,
    )
    release = f"{folder}/releases/{wheel.release}"
    files = {wheel.name: wheel.content, "constraints.txt": _constraints(), UNIT_NAME: service.unit().encode()}
    source, newer_pip = "", "-m pip"
    if settings.wheels is not None:
        files.update({f"wheels/{path.name}": path.read_bytes() for path in sorted(settings.wheels.glob("*.whl"))})
        # A wheel of pip runs as it lies there: what makes a new pip need not be the old one.
        source, newer_pip = "--no-index --find-links wheels ", '"$(echo wheels/pip-*.whl)/pip"'
    values = {
        "folder": shlex.quote(folder),
        "release": shlex.quote(release),
        "name": shlex.quote(wheel.release),
        "python": shlex.quote(settings.python),
        "requirement": shlex.quote(f"./{wheel.name}[onboard]"),
        "source": source,
        "pip_is_recent": shlex.quote(_PIP_IS_RECENT),
        "newer_pip": newer_pip,
        "verify": shlex.quote(_VERIFY_SHIPPED),
        "unit": UNIT_NAME,
        "unit_folder": shlex.quote(settings.unit_folder),
    }
    return [
        Step("copy the project", _COPY.format(**values), _tar(files)),
        Step("make its environment", _ENVIRONMENT.format(**values)),
        Step("replay the shipped policies there", _VERIFY.format(**values)),
        Step("switch to it", _SWITCH.format(**values)),
        Step("install the service", _SERVICE.format(**values)),
    ]


_COPY = """\
mkdir -p {release} {folder}/logs
tar -x -C {release}
"""
_ENVIRONMENT = """\
cd {release}
if [ -e complete ]; then echo "already there"; exit 0; fi
{python} -m venv --clear venv
if ! venv/bin/python -c {pip_is_recent}; then
  venv/bin/python {newer_pip} install --quiet {source}--upgrade pip
fi
venv/bin/python -m pip install --quiet --disable-pip-version-check {source}--constraint constraints.txt {requirement}
"""
# In another folder, so that nothing but what was installed can be imported.
_VERIFY = """\
cd {release}/venv
bin/python -c {verify}
bin/go1 --help > /dev/null
touch {release}/complete
"""
_SWITCH = """\
cd {folder}
before=$(readlink current || true)
ln -sfn releases/{name} current.new
mv -T current.new current
if [ -n "$before" ] && [ "$before" != releases/{name} ]; then ln -sfn "$before" previous; fi
for old in releases/*; do
  if [ "$old" != "$(readlink current)" ] && [ "$old" != "$(readlink previous || true)" ]; then rm -rf "$old"; fi
done
echo "current is {name}"
"""
_SERVICE = """\
cd {release}
if [ -w {unit_folder} ]; then become=; elif sudo -n true 2>/dev/null; then become="sudo -n"; else
  echo "needs root; run there: sudo install -m 644 $PWD/{unit} {unit_folder}/ && sudo systemctl daemon-reload"; exit 0
fi
$become install -m 644 {unit} {unit_folder}/
if [ -d /run/systemd/system ]; then $become systemctl daemon-reload; fi
echo "{unit} is in {unit_folder}; it starts by hand only: systemctl start {unit}"
"""


def as_script(steps: List[Step], host: str) -> str:
    """The steps for a person: a shell script to read, or to paste into a shell on `host`.

    A step that is sent something is shown as a comment: what it reads from its standard input is not at hand there.
    """
    parts = [f"# What go1 robot install runs on {host}, each step by itself with sh -eu."]
    for number, step in enumerate(steps, start=1):
        head = f"# {number} of {len(steps)}: {step.title}"
        lines = step.script.rstrip("\n").split("\n")
        if step.content:
            head += f". Reads a tar of {len(step.content)} bytes, which only the program can send:"
            parts.append("\n".join([head, *(f"#   {line}" for line in lines)]))
        else:
            # In a shell of its own: a step that fails must not end the one it was pasted into.
            parts.append("\n".join([head, "(", "set -eu", *lines, ")"]))
    return "\n\n".join(parts)


def run_step(robot: SshRobot, step: Step) -> str:
    """Run a step's script with the robot's `sh -eu`; returns what it printed.

    Raises:
        InstallError: no ssh, no connection, or a command of it failed.
    """
    command = [*robot.ssh_words(), "--", robot.host, f"exec sh -euc {shlex.quote(step.script)}"]
    try:
        process = subprocess.run(command, input=step.content, capture_output=True, timeout=STEP_TIMEOUT_S, check=False)
    except FileNotFoundError:
        raise InstallError("the program ssh on this computer", "none", "Install openssh-client.") from None
    except subprocess.TimeoutExpired:
        raise InstallError(
            f"{robot.host} to {step.title} within {STEP_TIMEOUT_S:.0f} s", "no end", "Look at the robot; repeat."
        ) from None
    if process.returncode != 0:
        said = process.stderr.decode("utf-8", "replace").strip().splitlines()
        raise InstallError(
            f"{robot.host} to {step.title}",
            " / ".join(said[-4:]) or f"exit status {process.returncode}",
            "Put that right and repeat: what was installed before is untouched.",
        )
    return process.stdout.decode("utf-8", "replace").strip()


def _absolute(path: str, home: str) -> str:
    if path.startswith("~/"):
        path = path[2:]
    return path if path.startswith("/") else f"{home}/{path}"


def _constraints() -> bytes:
    path = CHECKOUT / "constraints.txt"
    if not path.is_file():
        raise InstallError("constraints.txt beside the project's sources", "none", "Run this from a checkout.")
    return path.read_bytes()


def _tar(files: Dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()
