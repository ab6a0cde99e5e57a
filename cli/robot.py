"""`go1 robot`: the robot, or whatever answers in its place."""

from __future__ import annotations

import argparse
from pathlib import Path

from cli.arguments import COMMANDS_HELP, add_gait, add_robot_address, count, factor, seconds
from cli.commands import Commands
from cli.doctor import add_doctor
from cli.flash import add_flash
from cli.install import add_install
from cli.output import add_json, print_result
from cli.processes import add_processes, supervision
from cli.run_end import exit_status, for_people, report_log
from cli.run_start import announce_keys, require_twin
from cli.shadow import add_shadow, add_shadow_option, candidate, keep_report
from cli.slots import add_bundle_choice, bundle_to_run


def add_robot(commands: Commands) -> None:
    """The robot, or whatever answers in its place."""
    add_doctor(commands)
    add_shadow(commands)
    add_flash(commands)
    add_install(commands)
    run = commands.command(
        "run",
        run_robot_run,
        "Walk: gate, pilot and recorder on the robot's wire, each a process. Any way out leaves the robot damped.",
        "go1 robot run --bundle A.go1policy --robot 192.168.123.10:8007 --commands remote --duration 60 --log-dir logs",
    )
    add_bundle_choice(run)
    add_robot_address(run)
    run.add_argument("--commands", required=True, metavar="FILE|SPEC", help=COMMANDS_HELP.replace(" [%(default)s]", ""))
    add_gait(run)
    run.add_argument("--duration", type=seconds, required=True, help="walking time in all [s]")
    run.add_argument("--log-dir", type=Path, required=True, help="folder of the logs (MCAP)")
    run.add_argument(
        "--exploration", type=factor, default=0.0, help="of the action noise: 0 none, 1 the policy's own [0]"
    )
    run.add_argument("--seed", type=int, default=1, help="of the action noise [%(default)s]")
    run.add_argument("--episodes", type=count, help="at most this many walks; without it as many as the duration takes")
    run.add_argument("--episode-s", type=seconds, help="longest walk [s]; without it one walk of the whole duration")
    add_shadow_option(run)
    add_processes(run)
    add_json(run)


def run_robot_run(options: argparse.Namespace) -> int:
    """The runner. Exit status 1 when the session ended before its plan was done (a fault, the stop key, a signal), had
    a fault without `--auto-rearm`, lost records of its log, or the shadow must not drive."""
    from deploy.onboard.log_folder import foreseen_walk_s, require_log_folder
    from deploy.onboard.runner import run_on_robot

    require_twin(options)
    # Here as well as in the runner: a trial that has not begun need not be taken back.
    require_log_folder(options.log_dir, foreseen_walk_s(options.duration, options.episodes, options.episode_s))
    shadow = candidate(options)
    with bundle_to_run(options) as (bundle, ended):
        announce_keys(options.commands)
        summary = run_on_robot(
            bundle,
            options.robot,
            options.commands,
            options.duration,
            options.log_dir,
            lockstep=options.lockstep,
            sdk=options.sdk,
            exploration=options.exploration,
            seed=options.seed,
            episodes=options.episodes,
            episode_s=options.episode_s,
            auto_rearm=options.auto_rearm,
            supervision=supervision(options),
            shadow=shadow,
            gait=options.gait,
        )
        ended(summary)
    print_result(summary.to_dict() if options.json else for_people(summary), options.json)
    report_log(summary.recorder)
    may_drive = keep_report(summary, options.log_dir)
    return exit_status(summary, may_drive, rearmed=options.auto_rearm)
