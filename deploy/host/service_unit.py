"""The systemd unit of the runner on the robot's computer.

It starts by hand only. There is no [Install] section, so `systemctl enable` refuses it, and Restart=no: after a crash,
a stop or a power cut a robot must not begin to move until a person says so.
"""

from __future__ import annotations

from dataclasses import dataclass

from robot_configs.errors import Go1Error

UNIT_NAME = "go1-runner.service"
STOP_LIMIT_S = 20
"""How long a session may take to damp the robot and close its log before systemd kills it [s]."""

# Type=simple and not =exec, and no directive newer than systemd 237: the robot's computers run Ubuntu 18.04.
_UNIT = """\
# Written by `go1 robot install`. Start by hand: systemctl start {unit_name}; stop (damps the robot): systemctl stop.
[Unit]
Description=Go1 runner: walks as the remote control says
After=network-online.target
Wants=network-online.target

[Service]
Type=simple
User={user}
ExecStart={folder}/current/venv/bin/go1 robot run --slots {slots} --robot {robot_address} \
--commands remote --duration {duration_s:g} --log-dir {folder}/logs
WorkingDirectory={folder}
# Never a motion that nobody asked for.
Restart=no
# SIGTERM goes to the supervisor alone, which ends its processes in order and damps the robot.
KillMode=mixed
TimeoutStopSec={stop_limit_s}
# Real-time priority and locked memory, for a user who is not root.
AmbientCapabilities=CAP_SYS_NICE CAP_IPC_LOCK
CapabilityBoundingSet=CAP_SYS_NICE CAP_IPC_LOCK
LimitRTPRIO=90
LimitMEMLOCK=infinity
RestrictRealtime=no
NoNewPrivileges=yes
ProtectSystem=full
"""


class ServiceError(Go1Error):
    """A service that would not run, or should not."""


@dataclass(frozen=True)
class Service:
    """What the unit runs, and as whom.

    Attributes:
        user: account on the robot's computer; never root.
        folder: absolute, where the project is installed there.
        slots: absolute, the store of bundles there.
        robot_address: HOST[:PORT] of the motor controller.
        duration_s: walking after which a session ends by itself [s].
    """

    user: str
    folder: str
    slots: str
    robot_address: str
    duration_s: float

    def __post_init__(self) -> None:
        if self.user == "root":
            raise ServiceError(
                "a user other than root for the service",
                "root",
                "Name one of the robot's ordinary accounts with --service-user.",
            )
        for name in ("user", "folder", "slots", "robot_address"):
            value = getattr(self, name)
            # A unit file has quoting rules of its own: what would need them is refused.
            if not value or any(character.isspace() or character in "%$\\\"'" for character in value):
                raise ServiceError(f"a {name} without blanks, quotes, %, $ and \\", repr(value), "Choose another.")
        for name in ("folder", "slots"):
            if not getattr(self, name).startswith("/"):
                raise ServiceError(f"an absolute path as {name}", getattr(self, name), "Begin it with /.")

    def unit(self) -> str:
        """The text of the unit file."""
        return _UNIT.format(
            unit_name=UNIT_NAME,
            user=self.user,
            folder=self.folder,
            slots=self.slots,
            robot_address=self.robot_address,
            duration_s=self.duration_s,
            stop_limit_s=STOP_LIMIT_S,
        )
