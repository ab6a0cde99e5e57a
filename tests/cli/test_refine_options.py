"""`go1 refine` from the command line: what its options reach."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import deploy.host.refine as refine_module
from cli.main import main
from deploy.host.refine_settings import RefineSettings


@pytest.fixture
def settings_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The settings that a command line arrives as."""

    def of(*words: str) -> RefineSettings:
        arrived: list[RefineSettings] = []

        def refine(dataset: Any, init: Any, out: Path, settings: RefineSettings, *_: Any) -> Any:
            arrived.append(settings)
            return SimpleNamespace(bundle=SimpleNamespace(sha256="0"), report={})

        monkeypatch.setattr(refine_module, "refine", refine)
        assert main(["refine", str(tmp_path), "--out", str(tmp_path / "out.go1policy"), *words]) == 0
        return arrived[0]

    return of


def test_episodes_are_set_aside_for_the_report_unless_none_are_wanted(settings_of: Any) -> None:
    assert settings_of().dynamics.report_fraction == 0.05
    assert settings_of("--report-share", "0.2").dynamics.report_fraction == 0.2
    assert settings_of("--report-share", "0").dynamics.report_fraction == 0.0


def test_an_impossible_share_is_refused_before_anything_is_read(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    words = ["refine", str(tmp_path), "--out", str(tmp_path / "out.go1policy"), "--report-share", "0.9"]
    assert main(words) != 0
    assert "report_fraction in [0, 0.5]" in capsys.readouterr().err


def test_method_and_seed_arrive(settings_of: Any) -> None:
    settings = settings_of("--method", "uni_o4", "--seed", "3")
    assert (settings.method, settings.seed) == ("uni_o4", 3)
