"""Before a session: what is refused while nothing has been sent and no trial begun, and what the person must know."""

from __future__ import annotations

import argparse
import sys

from robot_configs.errors import Go1Error


class NotATwinError(Go1Error):
    """What only a twin can do was asked of an address where a robot may be."""


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
