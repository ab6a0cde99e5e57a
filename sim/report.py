"""The demo's report: one HTML file that needs nothing beside it, from the demo's summary.

It says in one sentence what was found, then shows it. A stage that did not help reads like one.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from policy.uni_o4.dynamics_report import CHOOSERS
from robot_configs.errors import Go1Error
from robot_configs.robot import load_robot
from sim.report_charts import candidates_chart, errors_chart, horizon_chart, returns_chart

STAGES = ("pretrained", "offline", "online")
"""In the order in which each starts from the one before it, or from its start where that was not promoted."""

_REQUIRED = (*STAGES, "settings", "differences", "dataset", "refine", "finetune", "wall_s")

_CSS = """
body { font: 16px/1.5 system-ui, sans-serif; color: #333; background: #fff; }
body { margin: 0 auto; padding: 1rem; max-width: 44rem; }
h1 { font-size: 1.5rem; line-height: 1.2; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.finding { border-left: 4px solid #0072b2; padding-left: 0.8rem; font-size: 1.1rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.7rem 0.25rem 0; text-align: right; white-space: nowrap; border-bottom: 1px solid #e4e4e4; }
th:first-child, td:first-child { text-align: left; } th { font-weight: 600; }
figure { margin: 1rem 0; break-inside: avoid; } figure svg { width: 100%; max-width: 36rem; height: auto; }
svg text { font-family: system-ui, sans-serif !important; }
figcaption, .note { font-size: 0.9rem; color: #5a5a5a; } pre { font-size: 0.75rem; white-space: pre-wrap; }
@media print { body { max-width: none; font-size: 10pt; } figure svg { max-width: 24rem; } }
@media print { details { display: none; } h2 { break-after: avoid; } }
"""


class ReportError(Go1Error):
    """A summary that is not the demo's."""


def write_report(summary: Mapping[str, Any], path: Path) -> None:
    """Write the report of a demo.

    Args:
        summary: what `sim.demo.run_demo` returns and writes as summary.json; either form.

    Raises:
        ReportError: a part is missing.
    """
    missing = [name for name in _REQUIRED if name not in summary]
    if missing:
        raise ReportError(
            f"a demo's summary with {', '.join(_REQUIRED)}", f"no {', '.join(missing)}", "Run `go1 demo` to its end."
        )
    path.write_text(_page(summary), encoding="utf-8")


def start_of(summary: Mapping[str, Any], stage: str) -> str:
    """The stage whose policy a learning stage went on from."""
    if stage == "online" and summary["offline"]["promoted"]:
        return "offline"
    return "pretrained"


def gain_of(summary: Mapping[str, Any], stage: str) -> Mapping[str, Any]:
    """Paired difference of the returns, a learning stage minus its start: `mean`, `ci95`."""
    gain: Mapping[str, Any] = summary["differences"][f"{stage}_minus_{start_of(summary, stage)}"]
    return gain


def finding(summary: Mapping[str, Any]) -> str:
    """One sentence on what came out, in plain text."""
    settings, first = summary["settings"], summary["pretrained"]
    low, high = first["return_ci95"]
    return (
        f"On the twin's {settings['condition']}, in {settings['episodes']} walks of {settings['episode_s']:.0f} s, the "
        f"pretrained policy returned {first['return_mean']:.0f} (95 % interval {low:.0f} to {high:.0f}); "
        f"{_verdict(summary, 'offline')}; {_verdict(summary, 'online')}."
    )


def _verdict(summary: Mapping[str, Any], stage: str) -> str:
    gain = gain_of(summary, stage)
    mean, (low, high) = gain["mean"], gain["ci95"]
    if mean == low == high == 0.0:
        effect = "left every return as it was"
    elif low > 0.0:
        effect = f"raised the return by {mean:.1f} ({low:.1f} to {high:.1f})"
    elif high < 0.0:
        effect = f"lowered the return by {-mean:.1f} ({-high:.1f} to {-low:.1f})"
    else:
        effect = f"changed the return by {mean:+.1f} ({low:+.1f} to {high:+.1f}), which may be chance,"
    promotion = "was promoted" if summary[stage]["promoted"] else "was not promoted"
    trial = f"{summary[stage]['trial']['mean']:+.1f} in its trial on other walks"
    return f"{stage} learning, from the {start_of(summary, stage)} policy, {effect} and {promotion} ({trial})"


def _page(summary: Mapping[str, Any]) -> str:
    settings = summary["settings"]
    subtitle = f"twin: {settings['condition']}, seed {settings['seed']}, {summary['wall_s'] / 60:.1f} minutes"
    body = "\n".join((_results(summary), _offline(summary), _online(summary), _method(settings)))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Go1 demo: {html.escape(str(settings["condition"]))}</title>
<style>{_CSS}</style>
</head>
<body>
<h1>One policy, refined from its own logs</h1>
<p class="note">{html.escape(subtitle)}</p>
<p class="finding">{html.escape(finding(summary))}</p>
{body}
</body>
</html>
"""


def _results(summary: Mapping[str, Any]) -> str:
    stages = {name: summary[name] for name in STAGES}
    measured = ("", "return", "95 %", "m/s", "rad/s", "falls/min")
    learned = ("", "started from", "steps", "minutes", "trial", "95 %", "promoted")
    differences = [
        (name.replace("_", " "), f"{entry['mean']:+.1f}", _interval(entry["ci95"], "+.1f"))
        for name, entry in summary["differences"].items()
    ]
    paired = _figure(
        returns_chart(stages),
        "A thin line is one episode: the same robot, noise and commands for every policy. A cross is a fall. "
        "Beside the dots: mean and 95 % interval.",
    )
    return f"""<h2>What it came to</h2>
{_table(measured, [_measured_row(name, stage) for name, stage in stages.items()])}
<p class="note">m/s and rad/s are mean errors of the velocity and of the turn rate.</p>
{_table(learned, [_learned_row(summary, name) for name in STAGES[1:]])}
<p class="note">Steps were walked for learning and for the trial, which is the gain over the stage's start on episodes
of its own. A stage whose trial does not gain is not promoted: the next goes on from its start.</p>
{paired}
{_table(("paired difference of the returns", "mean", "95 %"), differences)}
{_figure(errors_chart(stages), "Less is better.")}"""


def _measured_row(name: str, stage: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        name,
        f"{stage['return_mean']:.1f}",
        _interval(stage["return_ci95"], ".1f"),
        f"{stage['velocity_error']['linear_m_s']:.3f}",
        f"{stage['velocity_error']['yaw_rad_s']:.3f}",
        f"{stage['falls_per_minute']:.2f}",
    )


def _learned_row(summary: Mapping[str, Any], name: str) -> tuple[str, ...]:
    stage = summary[name]
    return (
        name,
        start_of(summary, name),
        f"{stage['steps_used']:,}",
        f"{stage['wall_s'] / 60:.1f}",
        f"{stage['trial']['mean']:+.1f}",
        _interval(stage["trial"]["ci95"], "+.1f"),
        "yes" if stage["promoted"] else "no",
    )


def _offline(summary: Mapping[str, Any]) -> str:
    refine = summary["refine"]
    model = refine["transition_model"]
    counts = ", ".join(f"{value:,} {name}" for name, value in summary["dataset"].items())
    judged_on = model.get("judged_on", CHOOSERS)  # summaries that do not say had no episodes set aside
    explained = refine["value"].get("explained_variance")
    value = f" The value function explains {explained:.0%} of the returns' variance." if explained is not None else ""
    scores = [
        (group.replace("_", " "), f"{score['ensemble']:.2f}", f"{score['linear']:.2f}")
        for group, score in model["one_step"].items()
    ]
    candidates = _figure(
        candidates_chart(refine["candidates"], refine["best"]),
        "What the transition model predicts of each candidate, before any of them walked.",
    )
    horizon = _figure(
        horizon_chart(model["horizon_error"], 1.0 / load_robot().control_hz),
        f"On {judged_on}, following the logged actions without looking. 1 is a signal's whole spread in the log.",
    )
    return f"""<h2>Offline</h2>
<p>Learned from {html.escape(counts)}.{value}</p>
{candidates}
{horizon}
{_table(("R² of one step's change, there", "transition model", "linear"), scores)}"""


def _online(summary: Mapping[str, Any]) -> str:
    headings = ("round", "steps", "falls", "mean reward", "KL", "chosen", "predicted gain", "95 %")
    rows = [_round_row(round_) for round_ in summary["finetune"]]
    return f"""<h2>Online</h2>
{_table(headings, rows)}
<p class="note">Reward as walked, with the exploration that learning needs.
KL is how far the round's update went [nat].</p>"""


def _round_row(round_: Mapping[str, Any]) -> tuple[str, ...]:
    head = (
        str(round_["round"]),
        f"{round_['steps']:,}",
        str(round_["falls"]),
        f"{round_['mean_reward']:.3f}",
        f"{round_['kl']:.3f}",
    )
    if round_["method"] != "ensemble":  # PPO predicts nothing
        return (*head, round_["method"], "–", "–")
    return (
        *head,
        round_["best"],
        f"{round_['predicted_gain']:+.3f}",
        _interval(round_["predicted_gain_interval"], "+.3f"),
    )


def _method(settings: Mapping[str, Any]) -> str:
    everything = html.escape(json.dumps(settings, indent=1, default=str))
    return f"""<h2>How it was measured</h2>
<p class="note">Every figure was measured through the robot's own wire protocol on the twin, whose physics is not the
trainer's, and scored with the twin's truth. Return is the sum of the task's reward over a walk; a fall ends the walk.
Intervals are bootstrap intervals over the episodes of this one seed;
other seeds of the learning can come out otherwise.</p>
<details><summary>All settings</summary><pre>{everything}</pre></details>"""


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(heading)}</th>" for heading in headings)
    lines = "\n".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{lines}\n</tbody></table></div>'


def _interval(interval: Sequence[float], pattern: str) -> str:
    low, high = interval
    return f"[{low:{pattern}}, {high:{pattern}}]"
