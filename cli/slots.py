"""`go1 robot run --slots`: a session of the store's active bundle, whose end decides about a bundle on trial."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Iterator, List, Optional, Tuple

from cli.arguments import existing_file

if TYPE_CHECKING:
    from deploy.onboard.slot_state import SlotState
    from deploy.onboard.store import SlotSession
    from deploy.onboard.summary import RunSummary

    Ended = Callable[[RunSummary], None]


def add_bundle_choice(parser: argparse.ArgumentParser) -> None:
    """A file, or what was flashed."""
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--bundle", type=existing_file, help="a sealed policy, *.go1policy")
    choice.add_argument(
        "--slots", type=Path, metavar="DIR", help="the active bundle of this store, as flashed: ~/.go1/store"
    )


@contextlib.contextmanager
def bundle_to_run(options: argparse.Namespace) -> Iterator[Tuple[Path, Ended]]:
    """The bundle's path, and what to give the session's summary to at the end.

    A bundle on trial whose session is never reported has failed. Errors that come before anything is sent to the robot,
    or because nothing ever came back, are no failure of the bundle's.
    """
    if options.slots is None:
        yield options.bundle, lambda summary: None
        return
    from deploy.onboard.command_text import CommandError
    from deploy.onboard.control_loop import SilentRobotError
    from deploy.onboard.lease import LeaseError
    from deploy.onboard.link import LinkError, PacketNotSentError
    from deploy.onboard.lockstep_link import NotInLockstepError
    from deploy.onboard.log_folder import LogFolderError
    from deploy.onboard.runner import RunnerError
    from deploy.onboard.shadow_report import ShadowError
    from deploy.onboard.store import BundleStore

    store = BundleStore(options.slots)
    held: Optional[SlotSession] = None
    try:
        with store.session() as session:
            held = session
            tell(beginning_lines(session))
            try:
                yield session.bundle_path, lambda summary: report_evidence(session, summary)
            except PacketNotSentError:
                raise
            except (
                CommandError,
                LeaseError,
                LinkError,
                LogFolderError,
                NotInLockstepError,
                RunnerError,
                ShadowError,
                SilentRobotError,
            ):
                session.undecided()
                raise
    finally:
        if held is not None:
            tell(end_lines(held, store.state()))


def report_evidence(session: SlotSession, summary: RunSummary) -> None:
    """Tell the store what its session shows of the bundle."""
    from deploy.onboard.trial_evidence import Evidence, evidence_of
    from robot_configs.robot import load_robot

    evidence = evidence_of(summary, load_robot().control_hz)
    if evidence is Evidence.WALKED:
        session.faultless()
    elif evidence is Evidence.NOTHING:
        session.undecided()


def tell(lines: List[str]) -> None:
    """To standard error: standard output is the summary's."""
    for line in lines:
        print(f"go1: {line}", file=sys.stderr, flush=True)


def beginning_lines(session: SlotSession) -> List[str]:
    """Which bundle drives, and whether it does because another has failed."""
    lines = []
    if session.taken_out is not None:
        lines.append(f"the policy {session.taken_out} has FAILED its trial and is taken out; back to the one before it")
    lines.append(f"this session drives the policy {session.slot}, {'on trial' if session.on_trial else 'confirmed'}")
    return lines


def end_lines(session: SlotSession, state: SlotState) -> List[str]:
    """What became of the bundle that has just run, and what to do about it.

    Args:
        state: of the store, after the session.
    """
    from deploy.onboard.slot_state import BEGUN, LEAST_WALK_S, UNTRIED

    policy = f"the policy {session.slot}"
    if state.active != session.slot:
        active = "none" if state.active is None else str(state.active)
        return [f"{policy} is not the active one any more: meanwhile that has become {active}"]
    if not session.on_trial:
        return [f"{policy} is confirmed"]
    if session.trial == UNTRIED:
        return [f"{policy} is on trial, and has not walked for {LEAST_WALK_S:g} s in one session yet"]
    if session.trial == BEGUN:
        following = "nothing is left to run" if state.previous is None else f"the next session runs {state.previous}"
        return [f"{policy} was on trial, and the trial has FAILED: {following}"]
    return [f"{policy} is on trial, and has walked without fault: go1 robot confirm, or go1 robot rollback"]
