"""`go1 sim`: worlds."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

from cli.arguments import COMMANDS_HELP, add_bundle, add_condition, count, existing_file, seconds
from cli.commands import Commands
from cli.output import add_json, print_result, progress_bars
from cli.sweep import add_sweep


def add_sim(commands: Commands) -> None:
    """Worlds."""
    _add_train(commands)
    add_sweep(commands)
    _add_play(commands)
    _add_twin(commands)
    _add_eval(commands)


def _add_train(commands: Commands) -> None:
    train = commands.command(
        "train",
        run_sim_train,
        "Pretrain the velocity task by PPO; the same command again goes on with an interrupted run.",
        "go1 sim train --preset quick --out runs/quick --seed 1",
    )
    train.add_argument(
        "--out", type=Path, required=True, help="folder of the bundle, the learning curve and the settings"
    )
    train.add_argument("--seed", type=int, default=1, help="of everything random [%(default)s]")
    train.add_argument(
        "--preset",
        metavar="NAME",
        default="standard",
        help="settings by name, see docs/pretraining.md; one that is not there tells which are [%(default)s]",
    )
    train.add_argument("--steps", type=count, help="environment steps in all, instead of the preset's")
    train.add_argument(
        "--engine", choices=["mujoco", "mujoco_warp", "isaacgym"], default="mujoco", help="physics [%(default)s]"
    )
    train.add_argument("--device", default="cpu", help="of MuJoCo Warp or Isaac Gym: cpu or cuda:0 [%(default)s]")
    train.add_argument(
        "--engine-python", metavar="PYTHON", help="run Isaac Gym in this Python, for it ends at Python 3.8"
    )
    train.add_argument(
        "--firm-ground", action="store_true", help="leave out the preset's soft ground, which Isaac Gym has not"
    )
    train.add_argument(
        "--begin-with",
        type=Path,
        metavar="RUN",
        help="folder of a finished run whose actor and critic this begins with",
    )
    train.add_argument("--no-film", action="store_true", help="leave out walk.gif, half a minute of drawing at the end")


def _add_play(commands: Commands) -> None:
    play = commands.command(
        "play",
        run_sim_play,
        "Render a bundle on the twin, without a display, into a GIF or a video.",
        "go1 sim play policy/bundles/go1_velocity.go1policy --condition mattress --out walk.gif",
    )
    add_bundle(play)
    add_condition(play)
    play.add_argument("--commands", default="random:seed=1,hold_s=4,stand_fraction=0", help=COMMANDS_HELP)
    play.add_argument(
        "--duration",
        type=seconds,
        default=10.0,
        help="walking [s]; standing up and lying down come on top [%(default)s]",
    )
    play.add_argument(
        "--out", type=Path, default=Path("walk.gif"), help="file to write; its ending chooses the format [%(default)s]"
    )
    play.add_argument(
        "--beside", type=existing_file, metavar="BUNDLE", help="another policy, filmed to the right on the same ground"
    )
    play.add_argument(
        "--small", action="store_true", help="the walk alone, at 288 x 162 and 12.5 frames a second: fit for a page"
    )


def _add_twin(commands: Commands) -> None:
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


def _add_eval(commands: Commands) -> None:
    measure = commands.command(
        "eval",
        run_sim_eval,
        "Measure a bundle on the twin, through the wire or batched: return, tracking error, falls, energy.",
        "go1 sim eval policy/bundles/go1_velocity.go1policy --condition nominal --episodes 20 --seed 1 --json",
    )
    add_bundle(measure)
    add_condition(measure)
    measure.add_argument("--episodes", type=count, default=20, help="number of walks [%(default)s]")
    measure.add_argument("--seed", type=int, default=1, help="two bundles are compared on the same seed [%(default)s]")
    measure.add_argument("--episode-s", type=seconds, default=10.0, help="length of a walk [s] [%(default)s]")
    measure.add_argument("--commands", default="random:hold_s=4,stand_fraction=0.1", help=COMMANDS_HELP)
    measure.add_argument(
        "--batched", action="store_true", help="all walks side by side without the wire: faster; says what it left out"
    )
    add_json(measure)


def run_sim_train(options: argparse.Namespace) -> int:
    """Pretraining."""
    if options.engine == "isaacgym" and options.engine_python is None:
        from sim.engines.isaacgym_modules import import_isaacgym

        import_isaacgym()  # before torch, which everything below imports
    from sim.engines.choice import EngineChoice
    from sim.presets import preset
    from sim.pretrain_command import train_bundle

    engine = EngineChoice(options.engine, options.device, options.engine_python)
    settings = preset(options.preset, options.seed, engine, options.steps, options.firm_ground)
    with progress_bars() as advance:
        show = functools.partial(advance, "iterations")
        film = not options.no_film
        train_bundle(settings, options.out, options.command_line, show, film, options.begin_with)
    return 0


def run_sim_play(options: argparse.Namespace) -> int:
    """A film of one policy, or of two side by side."""
    from sim.play import FULL, SMALL, play_bundle

    film = SMALL if options.small else FULL
    if options.beside is not None:
        from sim.side_by_side import play_side_by_side

        both = (options.bundle, options.beside)
        named_alike = options.bundle.stem == options.beside.stem
        policies = {str(bundle) if named_alike else bundle.stem: bundle for bundle in both}
        play_side_by_side(policies, options.condition, options.commands, options.duration, options.out, film=film)
        return 0
    play_bundle(options.bundle, options.condition, options.commands, options.duration, options.out, film=film)
    return 0


def run_sim_twin(options: argparse.Namespace) -> int:
    """The robot's stand-in."""
    from sim.twin.server import run_twin

    run_twin(options.condition, options.host, options.port, options.lockstep, options.seed, options.duration)
    return 0


def run_sim_eval(options: argparse.Namespace) -> int:
    """The measure of a policy."""
    from sim.evaluate import Evaluation, evaluate_bundle
    from sim.twin_batch.evaluation import evaluate_bundle_batched

    asked = (options.bundle, options.condition, options.episodes, options.seed, options.episode_s, options.commands)
    evaluation: Evaluation
    with progress_bars() as advance:
        if options.batched:
            evaluation = evaluate_bundle_batched(*asked, progress=functools.partial(advance, "policy steps"))
        else:
            evaluation = evaluate_bundle(*asked, progress=functools.partial(advance, "episodes"))
    print_result(evaluation.to_dict() if options.json else evaluation.summary(), options.json)
    return 0
