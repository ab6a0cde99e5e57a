"""Before a session: what is refused while nothing has been sent and no trial begun, and what the person must know."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from robot_configs.errors import Go1Error


class LogFolderError(Go1Error):
    """Logs cannot be written there."""


class NotATwinError(Go1Error):
    """What only a twin can do was asked of an address where a robot may be."""


def require_log_folder(folder: Path) -> None:
    """Make the folder of the logs, if it is not there.

    Raises:
        LogFolderError: it can not be made, is a file, or may not be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LogFolderError(
            f"to make the folder of the logs {folder}", f"{error.strerror}", "Name another folder with --log-dir."
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise LogFolderError(
            f"a folder of logs that this user may write to at {folder}",
            "one that is closed to it",
            "Change its permissions, or name another folder with --log-dir.",
        )


def require_twin(options: argparse.Namespace) -> None:
    """Refuse `--lockstep` and `--auto-rearm` for an address of another computer.

    In lockstep nothing paces the commands, and who gets up unasked gets up under somebody's hands.

    Raises:
        NotATwinError
    """
    from deploy.onboard.robot_address import is_this_computer

    host, port = options.robot
    asked = [name for name in ("lockstep", "auto_rearm") if getattr(options, name)]
    if not asked or options.twin_elsewhere or is_this_computer(host):
        return
    names = " and ".join("--" + name.replace("_", "-") for name in asked)
    raise NotATwinError(
        f"a twin on this computer (127.0.0.1:PORT) for {names}",
        f"{host}:{port}, where a robot may be",
        f"Leave {names} out. If that is a twin on another computer, say so: --twin-elsewhere.",
    )


def announce_keys(commands: str) -> None:
    """Print the remote's keys, before anything moves."""
    from deploy.onboard.remote_keys import key_help
    from deploy.onboard.session import REMOTE

    print(key_help(person_drives=commands.strip() == REMOTE), file=sys.stderr, flush=True)
