"""The `go1` command line, and nothing else: it parses, calls one function of the project, and prints what that returns.

argparse, not typer or click: this file runs on the robot too, where four packages are installed and no fifth is needed
for it. Every import of the project is inside the command that needs it, so that `go1 --help` is instant and the robot's
commands (`policy inspect`, `policy verify`, `robot run`) work where torch and mujoco do not exist.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import json
import math
import os
import shlex
import sys
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Sequence, Tuple

from robot_configs.errors import Go1Error

EXIT_UNFINISHED = 1
"""The command worked, and reports that what was asked for did not happen to the end."""

EXIT_ERROR = 2
"""Also argparse's own status for a wrong command line."""

EXIT_INTERRUPTED = 130
"""128 + SIGINT, as shells report it."""

EXIT_READER_GONE = 141
"""128 + SIGPIPE."""

Run = Callable[[argparse.Namespace], int]


def main(words: Optional[Sequence[str]] = None) -> int:
    """Run one command; returns its exit status. A `Go1Error` becomes a message, a defect of ours stays a traceback."""
    words = sys.argv[1:] if words is None else words
    options = build_parser().parse_args(words)
    # As typed: a bundle's lineage says which command made it.
    options.command_line = shlex.join(["go1", *words])
    try:
        return int(options.run(options))
    except Go1Error as error:
        report_error(error)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in (
            "sim",
            "deploy",
            "offline_data",
            "policy",
            "robot_configs",
        ):
            raise
        report_error(missing_package(error.name))
    except BrokenPipeError:
        # The reader (`| head`) has had enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_READER_GONE
    except OSError as error:
        if error.filename is None:
            raise
        report_error(
            Go1Error(f"to use {error.filename}", f"{error.strerror}", "Check the path, its permissions and free space.")
        )
    except KeyboardInterrupt:
        print("go1: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    return EXIT_ERROR


def report_error(error: Go1Error) -> None:
    """Print what was expected, what was found and what to do, a line each."""
    print(f"go1: expected {error.expected}\n     found    {error.found}\n     {error.remedy}", file=sys.stderr)


def missing_package(name: str) -> Go1Error:
    """What to say where a command needs a package that is not installed, as on the robot."""
    return Go1Error(
        f"the Python package {name}, which this command needs",
        "none of that name in this environment",
        "Run it on a computer with the training environment (`make venv`, or pip install '.[train]').",
    )


# Types of arguments. argparse turns their errors into one line and exit status 2.


def existing_file(text: str) -> Path:
    """A path to a file that is there."""
    path = Path(text)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"expected an existing file; found none at {text!r}")
    return path


def existing_folder(text: str) -> Path:
    """A path to a folder that is there."""
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"expected an existing folder; found none at {text!r}")
    return path


def count(text: str) -> int:
    """A whole number above zero."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above zero; found {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """A finite time above zero [s]."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a time above zero in seconds; found {text!r}")
    return value


def factor(text: str) -> float:
    """A finite factor of at least zero [-]."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a factor of at least zero; found {text!r}")
    return value


def address(text: str) -> Tuple[str, int]:
    """HOST:PORT."""
    host, separator, port = text.rpartition(":")
    if not host or not separator or not port.isdecimal() or not 0 < int(port) < 65536:
        raise argparse.ArgumentTypeError(f"expected HOST:PORT, as in 192.168.123.10:8007; found {text!r}")
    return host, int(port)


class Commands:
    """One level of sub-commands: `go1 NAME`, or `go1 GROUP NAME`."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def group(self, name: str, summary: str) -> Commands:
        """A word that only leads to further words."""
        return Commands(self._commands.add_parser(name, help=summary, description=summary))

    def command(self, name: str, run: Run, summary: str, example: str) -> argparse.ArgumentParser:
        """A word that does something; the caller adds its options."""
        parser = self._commands.add_parser(
            name,
            help=summary,
            description=summary,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        parser.set_defaults(run=run)
        return parser


def build_parser() -> argparse.ArgumentParser:
    """All commands, in the order of the loop that they serve."""
    parser = argparse.ArgumentParser(
        prog="go1", description="One policy for the Unitree Go1: from simulation to the robot and back."
    )
    commands = Commands(parser)
    add_demo(commands)
    add_sim(commands.group("sim", "Train, watch and measure policies in simulation; stand in for the robot."))
    add_policy(commands.group("policy", "Look into a bundle and check it."))
    add_robot(commands.group("robot", "Run a policy on the robot, or on its twin."))
    add_data(commands.group("data", "Turn logs into data sets."))
    add_learning(commands)
    return parser


def add_json(parser: argparse.ArgumentParser) -> None:
    """The choice that `print_result` obeys."""
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def print_result(content: Mapping[str, Any], as_json: bool) -> None:
    """To standard output, for programs or for people. What is not a number becomes null: JSON has no NaN."""
    if as_json:
        print(json.dumps(without_nan(content), indent=2, sort_keys=True, allow_nan=False))
    else:
        print_outline(content)


def without_nan(content: Any) -> Any:
    """The same with None for NaN and infinities."""
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, Mapping):
        return {name: without_nan(value) for name, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [without_nan(value) for value in content]
    return content


@contextlib.contextmanager
def progress_bars() -> Iterator[Callable[..., None]]:
    """Bars on standard error, so that standard output stays the result's; yields `advance(stage, done, total)`."""
    from rich.console import Console
    from rich.progress import Progress

    tasks: Dict[str, Any] = {}
    with Progress(*Progress.get_default_columns(), console=Console(stderr=True)) as progress:

        def advance(stage: str, done: int, total: int, *_: Any) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage)
            progress.update(tasks[stage], completed=done, total=total)

        yield advance


def print_outline(content: Mapping[str, Any], indent: str = "") -> None:
    """A line for each value, nested mappings indented, lists of mappings one a line."""
    width = max((len(name) for name in content), default=0)
    for name, value in content.items():
        if isinstance(value, Mapping) and value:
            print(f"{indent}{name}:")
            print_outline(value, indent + "  ")
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):
            print(f"{indent}{name}:")
            for entry in value:
                print(f"{indent}  " + ", ".join(f"{key} {shown(item)}" for key, item in entry.items()))
        else:
            print(f"{indent}{name:{width}}  {shown(value)}")


def shown(value: Any) -> str:
    """A value as a person writes it: numbers without their float dust, lists without brackets."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return " ".join(shown(item) for item in value) or "-"
    return "-" if value in (None, "", {}) else str(value)


# go1 demo


def add_demo(commands: Commands) -> None:
    """The whole loop once."""
    parser = commands.command(
        "demo",
        run_demo,
        "Go once round the loop on the twin's mattress: evaluate, log, refine, evaluate, fine-tune, evaluate.",
        "go1 demo --seed 1 --out runs/demo",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs/demo"), help="folder of the summary and report [%(default)s]"
    )
    parser.add_argument("--seed", type=int, default=1, help="of everything random [%(default)s]")


def run_demo(options: argparse.Namespace) -> int:
    """`make demo` ends here."""
    from sim.demo import run_demo as demo

    demo(out=options.out, seed=options.seed)
    return 0


# go1 sim


def add_sim(commands: Commands) -> None:
    """Worlds."""
    train = commands.command(
        "train", run_sim_train, "Pretrain the velocity task by PPO.", "go1 sim train --out runs/pretrain --seed 1"
    )
    train.add_argument(
        "--out", type=Path, required=True, help="folder of the bundle, the learning curve and the settings"
    )
    train.add_argument("--seed", type=int, default=1, help="of everything random [%(default)s]")
    train.add_argument("--steps", type=count, default=24_000_000, help="environment steps in all [%(default)s]")

    play = commands.command(
        "play",
        run_sim_play,
        "Render a bundle on the twin, without a display, into a GIF or a video.",
        "go1 sim play policy/bundles/walk.go1policy --condition mattress --out walk.gif",
    )
    add_bundle(play)
    add_condition(play)
    play.add_argument("--commands", default="random:seed=1,hold_s=4,stand_fraction=0", help=COMMANDS_HELP)
    play.add_argument("--duration", type=seconds, default=10.0, help="length [s] [%(default)s]")
    play.add_argument("--out", type=Path, required=True, help="file to write; its ending chooses the format")

    twin = commands.command(
        "twin",
        run_sim_twin,
        "Be a Go1 on the network: answer the robot's own protocol until interrupted.",
        "go1 sim twin --condition mattress --lockstep",
    )
    add_condition(twin)
    twin.add_argument("--host", default="127.0.0.1", help="address to listen on [%(default)s]")
    twin.add_argument("--port", type=int, default=8007, help="UDP port to listen on [%(default)s]")
    twin.add_argument("--lockstep", action="store_true", help="step once for each command, as fast as they come")
    twin.add_argument("--seed", type=int, default=1, help="of the sensors' noise and the pushes [%(default)s]")
    twin.add_argument("--duration", type=seconds, help="stop after this much simulated time [s]")

    measure = commands.command(
        "eval",
        run_sim_eval,
        "Measure a bundle on the twin, through the wire: return, tracking error, falls, energy.",
        "go1 sim eval policy/bundles/walk.go1policy --condition nominal --episodes 20 --seed 1 --json",
    )
    add_bundle(measure)
    add_condition(measure)
    measure.add_argument("--episodes", type=count, default=20, help="number of walks [%(default)s]")
    measure.add_argument("--seed", type=int, default=1, help="two bundles are compared on the same seed [%(default)s]")
    measure.add_argument("--episode-s", type=seconds, default=10.0, help="length of a walk [s] [%(default)s]")
    measure.add_argument("--commands", default="random:hold_s=4,stand_fraction=0.1", help=COMMANDS_HELP)
    add_json(measure)


def add_bundle(parser: argparse.ArgumentParser) -> None:
    """The policy to use."""
    parser.add_argument("bundle", type=existing_file, metavar="BUNDLE", help="a sealed policy, *.go1policy")


def add_condition(parser: argparse.ArgumentParser) -> None:
    """The twin's world."""
    parser.add_argument(
        "--condition", default="nominal", metavar="NAME|FILE.yaml", help="the twin's world [%(default)s]"
    )


COMMANDS_HELP = (
    "a script (FILE.yaml), constants (vx=0.5,yaw=0), random:seed=3,hold_s=4,stand_fraction=0.1, or remote [%(default)s]"
)


def run_sim_train(options: argparse.Namespace) -> int:
    """Pretraining."""
    from policy.bundle import Lineage
    from policy.code_version import code_version
    from policy.export import export_bundle
    from robot_configs.robot import load_robot
    from sim.pretrain import PretrainSettings, pretrain
    from sim.velocity_task import VelocityTaskSettings

    settings = PretrainSettings(steps=options.steps, task=VelocityTaskSettings(seed=options.seed))
    with progress_bars() as advance:
        graph = pretrain(settings, options.out, functools.partial(advance, "iterations"))
    path = options.out / "policy.go1policy"
    lineage = Lineage("pretrain", (), (), code_version(), options.seed, options.command_line)
    print(f"{path}\nsha256 {export_bundle(graph, path, lineage, 1, load_robot()).sha256}")
    return 0


def run_sim_play(options: argparse.Namespace) -> int:
    """A film."""
    from sim.play import play_bundle

    play_bundle(options.bundle, options.condition, options.commands, options.duration, options.out)
    return 0


def run_sim_twin(options: argparse.Namespace) -> int:
    """The robot's stand-in."""
    from sim.twin.server import run_twin

    run_twin(options.condition, options.host, options.port, options.lockstep, options.seed, options.duration)
    return 0


def run_sim_eval(options: argparse.Namespace) -> int:
    """The measure of a policy."""
    from sim.evaluate import evaluate_bundle

    with progress_bars() as advance:
        evaluation = evaluate_bundle(
            options.bundle,
            options.condition,
            options.episodes,
            options.seed,
            options.episode_s,
            options.commands,
            progress=functools.partial(advance, "episodes"),
        )
    print_result(evaluation.to_dict() if options.json else evaluation.summary(), options.json)
    return 0


# go1 policy


def add_policy(commands: Commands) -> None:
    """Bundles."""
    inspect = commands.command(
        "inspect",
        run_policy_inspect,
        "Show a bundle's contract and lineage.",
        "go1 policy inspect policy/bundles/walk.go1policy --json",
    )
    add_bundle(inspect)
    add_json(inspect)
    verify = commands.command(
        "verify",
        run_policy_verify,
        "Replay a bundle's golden vectors with onnxruntime, as the robot does before its motors energise.",
        "go1 policy verify policy/bundles/walk.go1policy",
    )
    add_bundle(verify)


def run_policy_inspect(options: argparse.Namespace) -> int:
    """What is in the file; the seal is checked, the policy is not run."""
    from policy.bundle import read_bundle

    bundle = read_bundle(options.bundle)
    content = {
        "sha256": bundle.sha256,
        "version": bundle.version,
        "robot_sha256": bundle.robot_sha256,
        "lineage": dataclasses.asdict(bundle.lineage),
        "contract": dataclasses.asdict(bundle.contract),
        "golden": {name: list(array.shape) for name, array in bundle.golden.items()},
        "onnx_bytes": len(bundle.onnx_bytes),
    }
    print_result(content, options.json)
    return 0


def run_policy_verify(options: argparse.Namespace) -> int:
    """Whether it still is what was sealed, and whether it is for this robot."""
    from policy.bundle import read_bundle, verify_bundle
    from robot_configs.robot import load_robot

    bundle = read_bundle(options.bundle)
    report = verify_bundle(bundle, load_robot())
    print(
        f"{options.bundle}: version {bundle.version}, {report.sequences} golden sequences ({report.steps} steps) "
        f"replayed, largest difference {report.largest_error:.2g}\nsha256 {bundle.sha256}"
    )
    return 0


# go1 robot


def add_robot(commands: Commands) -> None:
    """The robot, or whatever answers in its place."""
    run = commands.command(
        "run",
        run_robot_run,
        "Walk: gate, pilot and recorder on the robot's wire. Any way out of it leaves the robot damped.",
        "go1 robot run --bundle A.go1policy --robot 192.168.123.10:8007 --commands remote --duration 60 --log-dir logs",
    )
    run.add_argument("--bundle", type=existing_file, required=True, help="a sealed policy, *.go1policy")
    add_robot_address(run)
    run.add_argument("--commands", required=True, metavar="FILE|SPEC", help=COMMANDS_HELP.replace(" [%(default)s]", ""))
    run.add_argument("--duration", type=seconds, required=True, help="walking time in all [s]")
    run.add_argument("--log-dir", type=Path, required=True, help="folder of the logs (MCAP)")
    run.add_argument(
        "--exploration", type=factor, default=0.0, help="of the action noise: 0 none, 1 the policy's own [0]"
    )
    run.add_argument("--seed", type=int, default=1, help="of the action noise [%(default)s]")
    run.add_argument("--episodes", type=count, help="at most this many walks; without it as many as the duration takes")
    run.add_argument("--episode-s", type=seconds, help="longest walk [s]; without it one walk of the whole duration")
    add_json(run)


def add_robot_address(parser: argparse.ArgumentParser) -> None:
    """Where the robot is and how to talk to it."""
    parser.add_argument("--robot", type=address, required=True, metavar="HOST:PORT", help="the robot, or a twin")
    parser.add_argument("--lockstep", action="store_true", help="with a twin in lockstep: under a virtual clock")
    parser.add_argument(
        "--sdk", choices=["codec", "vendor"], default="codec", help="ours or the vendor's [%(default)s]"
    )
    parser.add_argument("--auto-rearm", action="store_true", help="stand up again after a fault; only with a twin")


def run_robot_run(options: argparse.Namespace) -> int:
    """The runner. Exit status 1 when the session ended before its plan was done: a fault, the stop key, a signal."""
    from deploy.onboard.runner import run_on_robot

    summary = run_on_robot(
        options.bundle,
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
    )
    print_result(summary.to_dict(), options.json)
    return EXIT_UNFINISHED if summary.stop_reason else 0


# go1 data


def add_data(commands: Commands) -> None:
    """Logs and data sets."""
    ingest = commands.command(
        "ingest",
        run_data_ingest,
        "Make a data set of a folder of logs.",
        "go1 data ingest logs --out datasets/monday",
    )
    ingest.add_argument("logs", type=existing_folder, metavar="LOGDIR", help="folder of MCAP logs")
    ingest.add_argument("--out", type=Path, required=True, help="folder of the data set")
    add_json(ingest)
    check = commands.command(
        "check",
        run_data_check,
        "Report the quality of logs: gaps, jitter, saturation, frozen sensors, coverage.",
        "go1 data check logs",
    )
    check.add_argument("logs", type=existing_folder, metavar="LOGDIR", help="folder of MCAP logs")
    add_json(check)
    info = commands.command(
        "info", run_data_info, "Count what a data set holds.", "go1 data info datasets/monday --json"
    )
    info.add_argument("dataset", type=existing_folder, metavar="DATASET", help="folder of a data set")
    add_json(info)
    importers = commands.group("import", "Make a data set of somebody else's recordings.")
    uni_o4 = importers.command(
        "uni-o4",
        run_import_uni_o4,
        "Import the real Go1 recordings that Uni-O4's authors published (HDF5).",
        "go1 data import uni-o4 uni_o4_go1_real --out datasets/uni_o4",
    )
    uni_o4.add_argument("recordings", type=existing_folder, metavar="DIR", help="folder of sessions of .hdf5 files")
    uni_o4.add_argument("--out", type=Path, required=True, help="folder of the data set")


def run_data_ingest(options: argparse.Namespace) -> int:
    """Logs to a data set. Exit status 1 when a file had to be left out: the report says which and why."""
    from offline_data.ingest import ingest

    with progress_bars() as advance:
        report = ingest(options.logs, options.out, on_file=lambda _, index, files: advance("files", index + 1, files))
    print_result(report.to_dict(), options.json)
    return EXIT_UNFINISHED if report.failures else 0


def run_data_check(options: argparse.Namespace) -> int:
    """What the logs are worth. Exit status 1 when a file could not be read as a log."""
    from offline_data.quality import check_logs

    report = check_logs(options.logs)
    if options.json:
        print_result(report.to_dict(), as_json=True)
    else:
        print(report)
    return EXIT_UNFINISHED if report.failures else 0


def run_data_info(options: argparse.Namespace) -> int:
    """What the data set holds."""
    from offline_data.dataset import Dataset

    print_result(Dataset.open(options.dataset).info().to_dict(), options.json)
    return 0


def run_import_uni_o4(options: argparse.Namespace) -> int:
    """Others' logs to a data set."""
    from offline_data.import_uni_o4 import import_uni_o4

    print(import_uni_o4(options.recordings, options.out))
    return 0


# go1 refine, go1 finetune


def add_learning(commands: Commands) -> None:
    """Uni-O4."""
    improve = commands.command(
        "refine",
        run_refine,
        "Improve a policy offline, from a data set, by Uni-O4; without --init, from the cloned behaviour.",
        "go1 refine datasets/monday --init walk.go1policy --out better.go1policy",
    )
    improve.add_argument("dataset", type=existing_folder, metavar="DATASET", help="folder of a data set")
    improve.add_argument("--init", type=existing_file, metavar="BUNDLE", help="the policy that made the logs")
    improve.add_argument("--out", type=Path, required=True, metavar="BUNDLE", help="the bundle to write")
    improve.add_argument(
        "--method", choices=["ensemble", "uni_o4"], default="ensemble", help="uni_o4 is as published [%(default)s]"
    )
    improve.add_argument("--seed", type=int, default=0, help="of everything random [%(default)s]")
    add_json(improve)
    online = commands.command(
        "finetune",
        run_finetune,
        "Improve a policy online: rounds of walking, updating, verifying and swapping. Resumes where it was stopped.",
        "go1 finetune --bundle better.go1policy --robot 127.0.0.1:8007 --lockstep --steps 20000 --out runs/online",
    )
    online.add_argument("--bundle", type=existing_file, required=True, help="the policy to start from")
    add_robot_address(online)
    online.add_argument("--steps", type=count, required=True, help="policy steps to log in all")
    online.add_argument("--out", type=Path, required=True, help="folder of everything; the same one again resumes")
    online.add_argument("--rounds", type=count, default=2, help="equal parts of the steps [%(default)s]")
    online.add_argument(
        "--method", choices=["ensemble", "ppo"], default="ensemble", help="ppo is as published [%(default)s]"
    )
    online.add_argument(
        "--data",
        type=existing_folder,
        action="append",
        default=[],
        metavar="DATASET",
        help="learn from it too; repeatable",
    )
    online.add_argument("--seed", type=int, default=0, help="of learner, noise and commands [%(default)s]")
    add_json(online)


def run_refine(options: argparse.Namespace) -> int:
    """Offline. A refinement that could show no improvement returns its start, and says so."""
    from deploy.host.refine import RefineSettings, refine

    settings = RefineSettings(method=options.method, seed=options.seed)
    with progress_bars() as advance:
        result = refine(options.dataset, options.init, options.out, settings, advance, options.command_line)
    content = {name: value for name, value in result.report.items() if name != "settings"}
    print_result({"bundle": str(options.out), "sha256": result.bundle.sha256, **content}, options.json)
    return 0


def run_finetune(options: argparse.Namespace) -> int:
    """Online, on whatever answers at the address."""
    from deploy.host.finetune import FinetuneSettings, finetune

    settings = FinetuneSettings(
        options.steps, options.rounds, options.method, earlier_data=tuple(options.data), seed=options.seed
    )
    collect = functools.partial(log_on_robot, options)
    with progress_bars() as advance:
        result = finetune(options.bundle, collect, options.out, settings, advance, options.command_line)
    print_result({"bundle": str(result.bundle), "rounds": result.rounds}, options.json)
    return 0


def log_on_robot(options: argparse.Namespace, bundle: Path, steps: int, log_dir: Path, seed: int) -> None:
    """One round's walking, with the policy's own noise and random commands over its whole range."""
    from deploy.onboard.runner import run_on_robot
    from robot_configs.robot import load_robot

    summary = run_on_robot(
        bundle,
        options.robot,
        f"random:seed={seed},hold_s=4,stand_fraction=0.1",
        steps / load_robot().control_hz,
        log_dir,
        lockstep=options.lockstep,
        sdk=options.sdk,
        exploration=1.0,
        seed=seed,
        episode_s=20.0,
        auto_rearm=options.auto_rearm,
    )
    if summary.steps < steps:
        raise Go1Error(
            f"{steps} policy steps in this round",
            f"{summary.steps}: {summary.stop_reason}",
            "See to the robot, then give the same command again: it resumes with this round.",
        )


if __name__ == "__main__":
    sys.exit(main())
