"""A pretraining run as a person asks for it: from named settings to a sealed bundle and pictures of how it went.

`go1 sim train` is this in one process; `torchrun --nproc-per-node 2 -m sim.pretrain` in several.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Optional, get_args

from policy.bundle import Bundle, Lineage, read_bundle
from policy.code_version import code_version
from policy.export import export_bundle
from policy.graph import PolicyGraph
from robot_configs.errors import Go1Error
from robot_configs.robot import load_robot
from sim.curve_log import Progress
from sim.earlier_run import EarlierRun, read_earlier_run
from sim.engines.choice import EngineChoice, EngineChoiceError, EngineName
from sim.presets import preset
from sim.pretrain import pretrain
from sim.pretrain_checkpoint import BUNDLE_FILE, iterations_done, last_checkpoint
from sim.pretrain_pictures import draw_curve, film_walk
from sim.pretrain_settings import PretrainSettings
from sim.randomization import FIRM_GROUND


def train_bundle(
    settings: PretrainSettings,
    out: Path,
    command_line: str,
    progress: Optional[Progress] = None,
    film: bool = True,
    begin_with: Optional[Path] = None,
) -> None:
    """Train, or go on, and leave a sealed bundle, curve.png and, if asked to, walk.gif in `out`; prints where.

    Args:
        begin_with: folder of a finished run whose actor and critic this one begins with.

    Raises:
        EngineChoiceError: the settings ask for what their engine has not.
        PretrainFolderError: the folder holds another run.
        EarlierRunError: `begin_with` can not be begun with.
    """
    _require_ground(settings, command_line)
    earlier: Optional[EarlierRun] = None
    if begin_with is not None:
        earlier = read_earlier_run(begin_with)
        settings = earlier.continued_by(settings)
    bundle = out / BUNDLE_FILE
    writes = int(os.environ.get("RANK", "0")) == 0
    done = iterations_done(last_checkpoint(settings, out))
    if done == settings.iterations and bundle.exists():
        if writes:
            print(f"{bundle}\nsha256 {read_bundle(bundle).sha256}\nfinished before; nothing to do")
        return
    if done and writes:
        print(f"going on after iteration {done} of {settings.iterations}", file=sys.stderr)
    graph = pretrain(settings, out, progress, earlier)
    if writes:
        finish_run(graph, settings, out, command_line, film, print)


def _require_ground(settings: PretrainSettings, command_line: str) -> None:
    """Before anything is built: PhysX's contacts are rigid, so that on Isaac Gym no ground is soft."""
    lower, upper = settings.task.randomization.ground_time_constant_s
    if settings.engine.name == "isaacgym" and (lower, upper) != FIRM_GROUND:
        expected = f"ground_time_constant_s of {FIRM_GROUND[0]:g} s on Isaac Gym, whose PhysX has rigid contacts only"
        remedy = f"Leave soft ground out: {command_line} --firm-ground"
        raise EngineChoiceError(expected, f"{lower:g} to {upper:g} s", remedy)


def finish_run(
    graph: PolicyGraph,
    settings: PretrainSettings,
    out: Path,
    command_line: str,
    film: bool,
    say: Callable[[str], None] = lambda line: None,
) -> Bundle:
    """Seal what a run has trained, and show it: the bundle, curve.png and, if asked to, walk.gif in its folder.

    Args:
        command_line: what a person typed, for the bundle's lineage.
        say: told of each file as it comes about, or why it did not.
    """
    bundle = out / BUNDLE_FILE
    parents = (settings.begin_with_run,) if settings.begin_with_run else ()
    lineage = Lineage("pretrain", parents, (), code_version(), settings.task.seed, command_line)
    sealed = export_bundle(graph, bundle, lineage, 1, load_robot())
    say(f"{bundle}\nsha256 {sealed.sha256}")
    say(draw_curve(out))
    if film:
        say(film_walk(bundle, out))
    return sealed


def main(words: Optional[Sequence[str]] = None) -> None:
    """For torchrun: each of its processes comes through here."""
    parser = argparse.ArgumentParser(prog="python -m sim.pretrain", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; the same one again goes on")
    parser.add_argument("--preset", metavar="NAME", default="standard", help="settings by name [%(default)s]")
    parser.add_argument("--seed", type=int, default=1, help="of everything random [%(default)s]")
    parser.add_argument("--steps", type=int, help="environment steps in all, instead of the preset's")
    parser.add_argument("--engine", choices=get_args(EngineName), default="mujoco", help="physics [%(default)s]")
    parser.add_argument("--device", default="cpu", help="of MuJoCo Warp or Isaac Gym: cpu or cuda:0 [%(default)s]")
    parser.add_argument("--engine-python", metavar="PYTHON", help="run Isaac Gym in this Python, which it needs here")
    parser.add_argument("--firm-ground", action="store_true", help="no soft ground, which Isaac Gym has not")
    parser.add_argument("--begin-with", type=Path, metavar="RUN", help="a finished run whose policy this begins with")
    parser.add_argument("--no-film", action="store_true", help="leave out walk.gif")
    options = parser.parse_args(words)
    command_line = shlex.join(["python", "-m", "sim.pretrain", *(sys.argv[1:] if words is None else words)])
    try:
        engine = EngineChoice(options.engine, options.device, options.engine_python)
        if engine.name == "isaacgym" and engine.python is None:
            remedy = "Name the Python that Isaac Gym is installed in, or train by `go1 sim train`."
            raise EngineChoiceError("--engine-python for Isaac Gym, which will not follow torch", "none", remedy)
        settings = preset(options.preset, options.seed, engine, options.steps, options.firm_ground)
        film = not options.no_film
        train_bundle(settings, options.out, command_line, film=film, begin_with=options.begin_with)
    except Go1Error as error:
        raise SystemExit(f"{parser.prog}: {error}") from None
