"""`go1 robot run --slots`: a session of the store's active bundle, whose end decides about a bundle on trial."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import Callable, Iterator, Tuple

from cli.arguments import existing_file

Ended = Callable[[bool], None]


def add_bundle_choice(parser: argparse.ArgumentParser) -> None:
    """A file, or what was flashed."""
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--bundle", type=existing_file, help="a sealed policy, *.go1policy")
    choice.add_argument("--slots", type=Path, metavar="DIR", help="the active bundle of this store, as flashed")


@contextlib.contextmanager
def bundle_to_run(options: argparse.Namespace) -> Iterator[Tuple[Path, Ended]]:
    """The bundle's path, and what to tell at the end: whether the session was without fault.

    A bundle on trial whose session is never reported has failed. Errors that come before anything is sent to the robot
    are no failure of the bundle's.
    """
    if options.slots is None:
        yield options.bundle, lambda faultless: None
        return
    from deploy.onboard.command_text import CommandError
    from deploy.onboard.control_loop import SilentRobotError
    from deploy.onboard.link import LinkError, PacketNotSentError
    from deploy.onboard.runner import RunnerError
    from deploy.onboard.shadow_report import ShadowError
    from deploy.onboard.store import BundleStore

    with BundleStore(options.slots).session() as session:

        def ended(faultless: bool) -> None:
            if faultless:
                session.faultless()

        try:
            yield session.bundle_path, ended
        except PacketNotSentError:
            raise
        except (CommandError, LinkError, RunnerError, ShadowError, SilentRobotError):
            session.not_started()
            raise
