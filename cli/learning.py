"""`go1 refine` and `go1 finetune`: Uni-O4."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional

from cli.arguments import add_robot_address, count, count_or_none, existing_file, existing_folder
from cli.commands import Commands
from cli.output import add_json, print_result, progress_bars
from cli.run_start import announce_keys, require_twin

if TYPE_CHECKING:
    from policy.candidate_gate import Trial


def add_learning(commands: Commands) -> None:
    """Uni-O4."""
    improve = commands.command(
        "refine",
        run_refine,
        "Improve a policy offline, from data sets, by Uni-O4; without --init, from the cloned behaviour, kept beside. "
        "Where it was stopped, the same command goes on.",
        "go1 refine datasets/monday datasets/tuesday --init walk.go1policy --out better.go1policy",
    )
    improve.add_argument(
        "datasets", type=existing_folder, nargs="+", metavar="DATASET", help="folder of a data set; several are joined"
    )
    improve.add_argument(
        "--init",
        type=existing_file,
        metavar="BUNDLE",
        help="the policy that made the logs, the last of them if several",
    )
    improve.add_argument("--out", type=Path, required=True, metavar="BUNDLE", help="the bundle to write")
    improve.add_argument(
        "--method",
        choices=["ensemble", "uni_o4"],
        default="ensemble",
        help="ensemble improves inside a model of the logs; uni_o4 follows the paper in its sizes: four clones of the "
        "logs, Q of 1024 x 1024, V of 512 x 512 x 512, hours of work [%(default)s]",
    )
    improve.add_argument(
        "--report-share",
        type=float,
        default=0.05,
        help="of the episodes, set aside: on them the report measures the transition model, and nothing learns from "
        "them or is chosen by them; with 0 it measures on episodes that chose, and says so [%(default)s]",
    )
    improve.add_argument("--seed", type=int, default=0, help="of everything random [%(default)s]")
    add_json(improve)
    online = commands.command(
        "finetune",
        run_finetune,
        "Improve a policy online: rounds of walking, updating, verifying and swapping. Where it was stopped, by a fall "
        "too, the same command goes on.",
        "go1 finetune --bundle better.go1policy --robot 127.0.0.1:8007 --lockstep --auto-rearm --steps 9000 --out more",
    )
    online.add_argument("--bundle", type=existing_file, required=True, help="the policy to start from")
    add_robot_address(online)
    online.add_argument(
        "--steps", type=count, required=True, help="policy steps to log in all; at least 50 in each round"
    )
    online.add_argument("--out", type=Path, required=True, help="folder of everything; the same one again resumes")
    online.add_argument("--rounds", type=count, default=2, help="equal parts of the steps [%(default)s]")
    online.add_argument(
        "--method",
        choices=["ensemble", "ppo"],
        default="ensemble",
        help="ensemble improves inside a model of all logs; ppo on the round's own steps, as in the paper but with "
        "clip 0.2, 10 epochs, minibatches of 512 and no value clip (there 0.05, 30, 128, with one) [%(default)s]",
    )
    online.add_argument(
        "--data",
        type=existing_folder,
        action="append",
        default=[],
        metavar="DATASET",
        help="learn from it too; repeatable",
    )
    online.add_argument("--seed", type=int, default=0, help="of learner, exploration and commands [%(default)s]")
    online.add_argument(
        "--trial-walks",
        type=count_or_none,
        default=10,
        metavar="N",
        help="walks of 10 s on the nominal twin, of each round's policy and of the one before, in which it must not do "
        "clearly worse before it drives; 0 goes by the logs alone [%(default)s]",
    )
    add_json(online)


def run_refine(options: argparse.Namespace) -> int:
    """Offline. A refinement that could show no improvement returns its start, and says so."""
    from deploy.host.refine import refine
    from deploy.host.refine_settings import RefineSettings
    from policy.uni_o4.dynamics import DynamicsSettings

    dynamics = DynamicsSettings(report_fraction=options.report_share)
    settings = RefineSettings(method=options.method, seed=options.seed, dynamics=dynamics)
    with progress_bars() as advance:
        result = refine(options.datasets, options.init, options.out, settings, advance, options.command_line)
    content = {name: value for name, value in result.report.items() if name != "settings"}
    print_result({"bundle": str(options.out), "sha256": result.bundle.sha256, **content}, options.json)
    return 0


def run_finetune(options: argparse.Namespace) -> int:
    """Online, on whatever answers at the address."""
    from deploy.host.finetune import finetune
    from deploy.host.finetune_settings import FinetuneSettings
    from policy.uni_o4.online import OnlineSettings

    require_twin(options)
    settings = FinetuneSettings(
        options.steps,
        options.rounds,
        options.method,
        earlier_data=tuple(options.data),
        seed=options.seed,
        online=OnlineSettings(seed=options.seed),
    )
    collect = functools.partial(log_on_robot, options)
    with progress_bars() as advance:
        trial = trial_on_twin(options.trial_walks, options.seed, functools.partial(advance, "trial on the twin"))
        result = finetune(options.bundle, collect, options.out, settings, advance, options.command_line, trial)
    print_result({"bundle": str(result.bundle), "rounds": result.rounds}, options.json)
    return 0


def trial_on_twin(walks: int, seed: int, progress: Callable[[int, int], None]) -> Optional[Trial]:
    """How a round's policy is tried; None for no walks."""
    from sim.twin_trial import twin_trial

    return twin_trial("nominal", walks, seed, progress=progress) if walks else None


def log_on_robot(options: argparse.Namespace, bundle: Path, steps: int, log_dir: Path, seed: int) -> None:
    """One session, with the policy's own noise and random commands over its whole range.

    Raises:
        SessionEndedEarly: a fall, the stop key, a lost link; on a robot nobody stands up again unasked.
    """
    from deploy.host.finetune_logs import SessionEndedEarly
    from deploy.host.finetune_steps import episode_length_s
    from deploy.onboard.runner import run_on_robot
    from robot_configs.robot import load_robot

    duration_s = steps / load_robot().control_hz
    commands = f"random:seed={seed},hold_s=4,stand_fraction=0.1"
    announce_keys(commands)
    summary = run_on_robot(
        bundle,
        options.robot,
        commands,
        duration_s,
        log_dir,
        lockstep=options.lockstep,
        sdk=options.sdk,
        exploration=1.0,
        seed=seed,
        episode_s=episode_length_s(duration_s),
        auto_rearm=options.auto_rearm,
    )
    if summary.steps < steps:
        raise SessionEndedEarly(steps, summary.steps, summary.stop_reason or ", ".join(summary.faults))
