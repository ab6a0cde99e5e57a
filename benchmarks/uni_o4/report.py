"""Tables and pictures of the results there are, as a Markdown page with SVG files beside it.

Every table compares results of one budget and one version of the data (`comparison`). A target is met or missed only
where the interval of the figure says so (`significance`), and open otherwise.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.uni_o4.budgets import Budget
from benchmarks.uni_o4.cells import header, method_name, row, run_name, set_name, verdict
from benchmarks.uni_o4.comparison import Comparison, Record, compare, settings_now
from benchmarks.uni_o4.offline_table import offline_table
from benchmarks.uni_o4.ope_table import ope_table
from benchmarks.uni_o4.pictures import offline_curves, online_curves, predicted_against_true
from benchmarks.uni_o4.results import ResultStore
from benchmarks.uni_o4.significance import CONFIDENCE, drop_probability, gain_probability
from policy.whole_files import write_whole

BEGIN, END = "<!-- benchmarks.uni_o4: begin -->", "<!-- benchmarks.uni_o4: end -->"
SIGNIFICANCE = 1.0 - CONFIDENCE
_FEW = 4


def write_report(store: ResultStore, page: Path, root: Path, budget: Budget) -> None:
    """Write the page, or renew what stands between its two marks, so that text around them stays.

    Raises:
        BenchmarkError: the results of the budget come from different data of one name.
    """
    found = compare(store, budget)
    text = "\n".join(
        [
            BEGIN,
            f"Made by `python -m benchmarks.uni_o4 --out {root} --report {page}`.",
            "",
            *_sections(found, page, budget),
            END,
        ]
    )
    old = page.read_text(encoding="utf-8") if page.exists() else ""
    if BEGIN in old and END in old:
        text = old[: old.index(BEGIN)] + text + old[old.index(END) + len(END) :]
    elif old:
        text = f"{old.rstrip()}\n\n{text}\n"
    else:
        text += "\n"
    write_whole(page, text)


def _sections(found: Comparison, page: Path, budget: Budget) -> list[str]:
    pictures = page.parent / page.stem
    parts: list[str] = []
    if found.offline:
        parts += ["### Offline", "", *offline_table(found.offline, found.others), ""]
        parts += _pictures(offline_curves(found.offline, pictures), page)
    if found.ope:
        parts += ["### Offline evaluation against the truth", "", *ope_table(found.ope), ""]
        parts += _pictures(predicted_against_true(found.ope, pictures), page)
    if found.online:
        parts += ["### Offline to online", "", *online_table(found.online), ""]
        parts += _pictures(online_curves(found.online, pictures), page)
    if found.others:
        parts += ["### Of other settings", "", *others_table(found, budget), ""]
    if found.compared:
        parts += ["### What the figures come from", "", *provenance_table(found), ""]
    return parts or ["No result of this budget has been made yet."]


def _pictures(paths: Iterable[Path], page: Path) -> list[str]:
    return [line for path in paths for line in (f"![{path.stem}]({path.relative_to(page.parent)})", "")]


# ---- Online ----------------------------------------------------------------------------------------------------------


def online_table(records: Sequence[Record]) -> list[str]:
    """Start, lowest point and end of every run; whether it dropped beyond the noise, and whether it gained."""
    lines = header(["data", "method", "start", "lowest", "end", "no drop beyond noise", "end above start"])
    for record in records:
        scores = [point["score"] for point in record["curve"]]
        figures = [f"{value:.1f}" for value in (scores[0], min(scores), scores[-1])]
        verdicts = ("-", "-") if record["method"] == "scratch" else _online_verdicts(record)
        lines.append(row([run_name(record), method_name(records, record["method"]), *figures, *verdicts]))
    return [
        *lines,
        "",
        "Every point of a curve has the same episodes, and a verdict is one of their paired differences to the start "
        f"at {100 * SIGNIFICANCE:.0f} %; that of the drop allows for the number of points. Open: neither is shown.",
    ]


def _online_verdicts(record: Record) -> tuple[str, str]:
    episodes = [point["episode_scores"] for point in record["curve"]]
    if 0.5 ** len(episodes[0]) >= SIGNIFICANCE:
        return "open", "open"  # so few episodes that not even a change of every one of them would show
    held = drop_probability(episodes) >= SIGNIFICANCE
    if gain_probability(episodes[0], episodes[-1]) < SIGNIFICANCE:
        gained = "met"
    else:
        gained = "MISSED" if gain_probability(episodes[-1], episodes[0]) < SIGNIFICANCE else "open"
    return verdict(held), gained


# ---- What stands behind the figures ----------------------------------------------------------------------------------


def others_table(found: Comparison, budget: Budget) -> list[str]:
    """Results of other settings: in what they differ from the budget, and the score beside that of the budget.

    An option is worth its place where the score without it is lower.
    """
    lines = header(["part", "data", "method", "in what they differ", "score", "the budget's"])
    standard = {(record["part"], run_name(record), record["method"]): record for record in found.compared}
    for record in found.others:
        cells = [record["part"], run_name(record), method_name([record], record["method"])]
        beside = standard.get((record["part"], run_name(record), record["method"]))
        wanted = settings_now(record, budget, found.offline)
        told = "other methods or data" if wanted is None else _listed(differences(record["settings"], wanted))
        lines.append(row([*cells, told or "networks it began with", _score(record), _score(beside)]))
    return lines


def _listed(found: Sequence[str]) -> str:
    """A few by name; of many, which are hardly an ablation, their number: the result's file has them all."""
    return ", ".join(found) if len(found) <= _FEW else f"{len(found)} settings"


def differences(settings: Mapping[str, Any], wanted: Mapping[str, Any], above: str = "") -> list[str]:
    """`path value` of every setting that is not as wanted, sorted by path; both as JSON has them."""
    found: list[str] = []
    for name in sorted({*settings, *wanted}):
        path, value, other = f"{above}{name}", settings.get(name), wanted.get(name)
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            found += differences(value, other, f"{path}.")
        elif value != other or (name in settings) != (name in wanted):
            found.append(f"{path} {value if name in settings else 'not there'}")
    return found


def _score(record: Record | None) -> str:
    return f"{record['score']:.1f}" if record is not None and "score" in record else "-"


def provenance_table(found: Comparison) -> list[str]:
    """Updates, episodes, seeds and code of every method above; a mixture of code or versions stands out."""
    lines = header(["part", "method", "updates", "episodes", "runs", "code"])
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in found.compared:
        groups[record["part"], record["method"]].append(record)
    for (part, method), records in groups.items():
        settings = records[0]["settings"]
        codes = Counter(record["code"] for record in records)
        text = ", ".join(f"{code} ({count})" for code, count in codes.items())
        mixed = f"MIXED: {text}" if len(codes) > 1 else next(iter(codes))
        episodes = str(settings.get("episodes", settings.get("ope", {}).get("episodes", "-")))
        lines.append(row([part, method_name(records, method), _updates(settings), episodes, str(len(records)), mixed]))
    commits: dict[str, set[str]] = defaultdict(set)
    for record in found.compared:
        packages = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
        commits[packages].add(record["code_version"])
    lines += [
        "",
        "Code is a hash over the source that the figures depend on, without comments. Packages and commits:",
        "",
    ]
    lines += [f"- {packages}; {', '.join(sorted(names))}" for packages, names in commits.items()]
    data = {set_name(record): record["data"] for record in found.compared}
    lines += [
        f"- {name}: {each['steps']} steps, {each['source']}, {each['sha256'][:12]}" for name, each in data.items()
    ]
    return lines


def _updates(settings: Mapping[str, Any]) -> str:
    """Gradient steps, or what a method counts instead."""
    if "updates" in settings:
        return str(settings["updates"])
    if "steps" in settings:
        return f"{settings['steps']} steps"
    if "critics" in settings:
        return f"{settings['critics']['updates']} of the critics, {settings['published']['updates']} a member"
    if "improvement" in settings:
        return f"at most {settings['improvement']['iterations']} iterations"
    return "-"
