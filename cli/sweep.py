"""`go1 sim sweep`: pretraining over seeds and conditions."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

from cli.arguments import count, existing_file, factor
from cli.commands import Commands
from cli.exit_status import EXIT_UNFINISHED
from cli.output import progress_bars


def add_sweep(commands: Commands) -> None:
    """Many runs."""
    sweep = commands.command(
        "sweep",
        run_sim_sweep,
        "Pretrain over seeds and conditions by Ray; the same command again goes on where it stopped.",
        "go1 sim sweep --preset quick --seed 1 2 3 --set task.num_envs=256,512 --out runs/sweep",
    )
    sweep.add_argument("--out", type=Path, required=True, help="folder of the trials' folders, sweep.csv and sweep.md")
    sweep.add_argument("--plan", type=existing_file, metavar="FILE.yaml", help="what to run, instead of the next five")
    sweep.add_argument("--preset", nargs="+", metavar="NAME", help="settings by name, see go1 sim train [standard]")
    sweep.add_argument("--seed", nargs="+", type=int, metavar="N", help="of everything random about a trial [1]")
    sweep.add_argument(
        "--set",
        action="append",
        metavar="PATH=VALUE,VALUE",
        help="a setting and the values that it takes, as in task.num_envs=256,512; again for another setting",
    )
    sweep.add_argument("--steps", type=count, help="environment steps of each trial, instead of its preset's")
    sweep.add_argument(
        "--begin-with", type=Path, metavar="RUN", help="folder of a finished run whose networks each trial begins with"
    )
    sweep.add_argument(
        "--no-film", action="store_true", help="leave out each trial's walk.gif, half a minute of drawing"
    )
    sweep.add_argument(
        "--cpus-per-trial", type=count, help="cores set aside for a trial [all of the machine: one trial at a time]"
    )
    sweep.add_argument("--gpus-per-trial", type=factor, default=0.0, help="for engines that use one [%(default)s]")
    sweep.add_argument("--address", help="a running Ray cluster whose machines share --out [Ray is started here]")


def run_sim_sweep(options: argparse.Namespace) -> int:
    """Many runs."""
    from sim.sweep import SweepResources, run_sweep
    from sim.sweep_plan import SweepPlanError, parse_assignment, plan_of, read_plan
    from sim.sweep_table import as_markdown, trial_row, write_tables

    given = [name for name in ("preset", "seed", "set", "steps", "begin_with") if getattr(options, name) is not None]
    if options.plan is not None and given:
        raise SweepPlanError(
            "either --plan or options", f"--plan and --{given[0].replace('_', '-')}", "Write it into the plan."
        )
    if options.plan is not None:
        plan = read_plan(options.plan)
    else:
        varied = dict(parse_assignment(text) for text in options.set or ())
        plan = plan_of(options.preset, options.seed, varied, options.steps, options.begin_with)
    trials = plan.trials()
    resources = SweepResources(options.cpus_per_trial, options.gpus_per_trial, options.address)
    with progress_bars() as advance:
        show = functools.partial(advance, "trials")
        film = not options.no_film
        records = run_sweep(trials, options.out, resources, options.command_line, show, film=film)
    rows = [trial_row(trial, record, options.out / trial.name) for trial, record in zip(trials, records)]
    write_tables(rows, plan.paths, options.out)
    print(as_markdown(rows), end="")
    return 0 if all(record.status == "finished" for record in records) else EXIT_UNFINISHED
