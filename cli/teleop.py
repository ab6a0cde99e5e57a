"""`go1 teleop`: drive with keyboard or gamepad, and record what happens."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from cli.arguments import add_gait, address, existing_file, factor
from cli.commands import Commands
from cli.output import add_json, print_result
from cli.processes import add_real_time
from cli.run_end import exit_status, for_people, report_log
from cli.shadow import add_shadow_option, candidate, keep_report


def add_teleop(commands: Commands) -> None:
    """Drive."""
    teleop = commands.command(
        "teleop",
        run_teleop,
        "Drive the robot from this terminal, record, mark. Let go of the keys and it stands; lose it and it sits down.",
        "go1 teleop --robot 192.168.123.10:8007 --bundle A.go1policy --log-dir logs",
    )
    teleop.add_argument("--robot", type=address, required=True, metavar="HOST[:PORT]", help="the robot, or a twin")
    teleop.add_argument("--bundle", type=existing_file, required=True, help="a sealed policy, *.go1policy")
    teleop.add_argument("--log-dir", type=Path, required=True, help="folder of the logs (MCAP), continued if it exists")
    teleop.add_argument(
        "--commands",
        default="keyboard",
        metavar="WHAT",
        help="keyboard, gamepad, gamepad:/dev/input/js1, remote, a script (FILE.yaml) or constants [%(default)s]",
    )
    add_gait(teleop)
    teleop.add_argument("--gamepad-layout", choices=["xbox", "playstation"], default="xbox", help="[%(default)s]")
    teleop.add_argument(
        "--speed", type=factor, default=0.5, help="share of the policy's range that full deflection asks for [0.5]"
    )
    teleop.add_argument("--no-recording", action="store_true", help="do not record until asked to (key r)")
    teleop.add_argument(
        "--exploration", type=factor, default=0.0, help="of the action noise: 1 is the policy's own [0]"
    )
    teleop.add_argument("--seed", type=int, default=1, help="of the action noise [%(default)s]")
    teleop.add_argument(
        "--sdk", choices=["codec", "vendor"], default="codec", help="ours or the vendor's [%(default)s]"
    )
    add_shadow_option(teleop)
    add_real_time(teleop)
    add_json(teleop)


def run_teleop(options: argparse.Namespace) -> int:
    """Exit status 1 when the session ended otherwise than by the operator's quitting, had a fault, lost records of its
    log, or the shadow must not drive."""
    from deploy.host.cockpit import Seat, drive
    from deploy.host.teleop import TeleopSettings
    from deploy.onboard.log_folder import require_log_folder
    from deploy.onboard.shadow_process import shadow_beside
    from deploy.onboard.supervision import SupervisorSettings
    from policy.bundle import read_bundle
    from robot_configs.robot import load_robot

    require_log_folder(options.log_dir)
    robot, bundle, shadow = load_robot(), read_bundle(options.bundle), candidate(options)
    settings = TeleopSettings(
        speed=options.speed,
        exploration=options.exploration,
        seed=options.seed,
        record=not options.no_recording,
        gait=options.gait,
    )
    wish = SupervisorSettings(real_time=not options.no_real_time).gate_wish
    seat = Seat(options.commands, options.gamepad_layout, options.sdk, wish)
    if shadow is None:
        summary = drive(bundle, robot, options.robot, options.log_dir, seat, settings)
    else:
        with shadow_beside(shadow, bundle, robot) as beside:
            summary = drive(bundle, robot, options.robot, options.log_dir, seat, settings, (beside.window,))
            summary = replace(summary, shadow=beside.report(shadow.sha256, bundle.sha256))
    summary = replace(summary, bundle_sha256=bundle.sha256)
    print_result(summary.to_dict() if options.json else for_people(summary), options.json)
    report_log(summary.recorder)
    may_drive = keep_report(summary, options.log_dir)
    return exit_status(summary, may_drive)
