"""The demo's report, from a summary that is put together by the demo's own types."""

from __future__ import annotations

import copy
import html
import json
import re
from collections import Counter
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offline_data.dataset import DatasetInfo
from policy.uni_o4.dynamics_report import CHOOSERS, UNSEEN, DynamicsReport, HorizonError, OneStepScore
from sim.demo import DemoSettings
from sim.evaluate import EpisodeResult, Evaluation, paired_difference
from sim.report import ReportError, finding, start_of, write_report

BEFORE = (100.0, 110.0, 120.0, 130.0)


def _evaluation(returns: tuple[float, ...]) -> Evaluation:
    episodes = []
    for seed, value in enumerate(returns):
        ending = "terminated" if seed == 0 else "truncated"
        episodes.append(EpisodeResult(seed, 500, value, 0.31, 0.25, 0.5, 0.6, seed == 0, ending, 80.0, 0.9))
    return Evaluation("0" * 64, "mattress", 10.0, "random:hold_s=4", tuple(episodes))


def _summary(offline: tuple[float, ...] = BEFORE, online: tuple[float, ...] = BEFORE) -> dict[str, Any]:
    """A demo of four episodes; both learning stages promoted."""
    stages = {"pretrained": _evaluation(BEFORE), "offline": _evaluation(offline), "online": _evaluation(online)}
    summary: dict[str, Any] = {"settings": asdict(DemoSettings(episodes=4)), "wall_s": 600.0}
    for name, evaluation in stages.items():
        summary[name] = {**evaluation.to_dict(), "bundle": f"{name}.go1policy", "steps_used": 41_234, "wall_s": 200.0}
    for name in ("offline", "online"):
        summary[name].update(trial={"mean": 4.0, "ci95": (1.0, 7.0)}, promoted=True, started_from="start.go1policy")
    summary["differences"] = {
        f"{after}_minus_{before}": paired_difference(stages[before], stages[after])
        for before, after in (("pretrained", "offline"), ("offline", "online"), ("pretrained", "online"))
    }
    summary["dataset"] = DatasetInfo(52, 40_000, 12, 39, 0, 1, 812, 0).to_dict()
    candidates = [
        {"name": name, "kl": kl, "score": 1.0 + gain, "gain": gain, "gain_interval": [gain - 0.1, gain + 0.1]}
        for name, kl, gain in (("start", 0.0, 0.0), ("iteration 1", 0.06, 0.5), ("iteration 2", 0.12, 0.4))
    ]
    model = DynamicsReport(
        UNSEEN,
        3,
        1500,
        {"angular_velocity": OneStepScore(0.75, 0.5), "reward": OneStepScore(0.5, 0.25)},
        HorizonError((0.1, 0.2), (0.2, 0.4), (0.3, 0.6)),
        {},
    )
    summary["refine"] = {
        "candidates": candidates,
        "best": "iteration 1",
        "value": {"explained_variance": 0.71, "curve": []},
        "transition_model": asdict(model),
    }
    head = {"round": 1, "steps": 10_000, "falls": 3, "mean_reward": 0.625, "bundle_sha256": "0" * 64, "wall_s": 60.0}
    figures = {"best": "iteration 4", "kl": 0.08, "predicted_gain": 0.31, "predicted_gain_interval": [0.2, 0.42]}
    summary["finetune"] = [{**head, "method": "ensemble", **figures}]
    return summary


def _page(summary: dict[str, Any], folder: Path) -> str:
    write_report(summary, folder / "report.html")
    return (folder / "report.html").read_text(encoding="utf-8")


class _Elements(HTMLParser):
    """Tags, attributes and text of a page; fails on a tag that closes another."""

    VOID = {"meta", "br", "hr", "img", "link"}

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_page_is_whole_and_needs_nothing_beside_it(tmp_path: Path) -> None:
    page = _page(_summary(), tmp_path)
    elements = _Elements(page)
    assert elements.tags["svg"] == 4
    assert not {"script", "link", "img", "iframe", "object", "image"} & set(elements.tags)
    assert not [value for name, value in elements.attributes if name == "src"]
    # Every reference is to something in the page; addresses are XML namespaces, which nobody fetches.
    links = {value for name, value in elements.attributes if name in ("href", "xlink:href")}
    identifiers = [value for name, value in elements.attributes if name == "id"]
    assert links <= {f"#{identifier}" for identifier in identifiers}
    assert set(re.findall(r"url\(#?([^)]*)\)", page)) <= set(identifiers)
    assert {value for name, value in elements.attributes if "http" in value} == {
        value for name, value in elements.attributes if name.startswith("xmlns")
    }
    assert "@import" not in page


def test_no_two_elements_share_an_identifier(tmp_path: Path) -> None:
    identifiers = [value for name, value in _Elements(_page(_summary(), tmp_path)).attributes if name == "id"]
    assert [name for name, uses in Counter(identifiers).items() if uses > 1] == []


def test_the_figures_of_the_summary_are_on_the_page(tmp_path: Path) -> None:
    text = " ".join(_Elements(_page(_summary(), tmp_path)).texts)
    # 115 is the mean return of 100, 110, 120, 130; one fall in 4 x 500 steps at 50 Hz is 1.5 a minute.
    for figure in (
        "115.0",
        "0.310",
        "0.250",
        "1.50",
        "41,234",
        "812 masked",
        "71%",
        "0.75",
        "+0.310",
        "[+0.200, +0.420]",
    ):
        assert figure in text, figure


def test_the_same_summary_gives_the_same_page_also_when_read_back_from_its_file(tmp_path: Path) -> None:
    summary = _summary(offline=(104.0, 113.0, 125.0, 132.0))
    page = _page(summary, tmp_path)
    assert _page(summary, tmp_path) == page
    assert _page(json.loads(json.dumps(summary, default=str)), tmp_path) == page


def test_a_gain_with_an_interval_above_zero_raised_the_return() -> None:
    # Every episode gains 10: mean and both ends of the interval are 10.
    gained = tuple(value + 10.0 for value in BEFORE)
    sentence = finding(_summary(offline=gained, online=gained))
    assert (
        "offline learning, from the pretrained policy, raised the return by 10.0 (10.0 to 10.0) and was promoted"
        in sentence
    )
    assert "(+4.0 in its trial on other walks)" in sentence
    assert "online learning, from the offline policy, left every return as it was and was promoted" in sentence


def test_a_loss_is_called_a_loss() -> None:
    lost = tuple(value - 5.0 for value in BEFORE)
    assert "lowered the return by 5.0 (5.0 to 5.0)" in finding(_summary(offline=lost, online=lost))


@pytest.mark.parametrize("shift", [0.5, -0.5])
def test_a_difference_whose_interval_holds_zero_may_be_chance(shift: float) -> None:
    mixed = tuple(value + shift + change for value, change in zip(BEFORE, (8.0, -8.0, 8.0, -8.0), strict=True))
    sentence = finding(_summary(offline=mixed, online=mixed))
    assert f"changed the return by {shift:+.1f} (" in sentence
    assert "may be chance" in sentence


def test_online_learning_is_compared_with_what_it_started_from() -> None:
    summary = _summary(offline=tuple(value - 5.0 for value in BEFORE), online=tuple(value + 2.0 for value in BEFORE))
    assert "online learning, from the offline policy, raised the return by 7.0" in finding(summary)
    summary["offline"]["promoted"] = False
    sentence = finding(summary)
    assert "lowered the return by 5.0 (5.0 to 5.0) and was not promoted" in sentence
    assert "online learning, from the pretrained policy, raised the return by 2.0" in sentence
    assert [start_of(summary, stage) for stage in ("offline", "online")] == ["pretrained", "pretrained"]


def test_it_is_one_sentence() -> None:
    sentence = finding(_summary())
    assert sentence.endswith(".")
    assert re.search(r"[.!?]\s", sentence) is None


def test_names_cannot_become_markup(tmp_path: Path) -> None:
    summary = _summary()
    summary["settings"]["condition"] = "<script>soft & wet</script>"
    summary["finetune"][0]["best"] = "<b>iteration</b>"
    summary["refine"]["candidates"][1]["name"] = summary["refine"]["best"] = "<i>one</i> & only"
    elements = _Elements(_page(summary, tmp_path))
    assert not {"script", "b", "i"} & set(elements.tags)
    assert "chosen: <i>one</i> & only" in "".join(elements.texts)


def test_plain_ppo_rounds_and_the_published_method_predict_nothing(tmp_path: Path) -> None:
    summary = _summary()
    for name in ("best", "predicted_gain", "predicted_gain_interval"):
        del summary["finetune"][0][name]
    summary["finetune"][0].update(method="ppo", explained_variance=0.4)
    summary["refine"]["value"] = {}
    text = " ".join(_Elements(_page(summary, tmp_path)).texts)
    assert "ppo" in text
    assert "explains" not in text


def test_the_page_says_whether_the_transition_model_was_judged_on_episodes_that_chose_it(tmp_path: Path) -> None:
    summary = _summary()
    model = summary["refine"]["transition_model"]
    assert UNSEEN in html.unescape(_page(summary, tmp_path))
    for change in (lambda: model.update(judged_on=CHOOSERS), lambda: model.pop("judged_on")):
        change()
        page = html.unescape(_page(summary, tmp_path))
        assert CHOOSERS in page
        assert UNSEEN not in page


@pytest.mark.parametrize("part", ["pretrained", "online", "refine", "differences", "finetune", "settings", "wall_s"])
def test_a_summary_with_a_part_missing_is_refused_and_nothing_is_written(part: str, tmp_path: Path) -> None:
    summary = copy.deepcopy(_summary())
    del summary[part]
    with pytest.raises(ReportError, match=f"found no {part}"):
        write_report(summary, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_the_summary_is_not_changed(tmp_path: Path) -> None:
    summary = _summary()
    before = copy.deepcopy(summary)
    _page(summary, tmp_path)
    np.testing.assert_equal(summary, before)
