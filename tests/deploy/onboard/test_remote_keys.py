"""The remote's keys in words: the same on the terminal and in the documents."""

from pathlib import Path

import pytest

from deploy.onboard.gate import STOP_KEY
from deploy.onboard.modes import MODE_KEYS, requested_mode
from deploy.onboard.remote import Key
from deploy.onboard.remote_keys import key_help, key_rows
from deploy.onboard.target import Mode

ROOT = Path(__file__).resolve().parents[3]


def test_every_chord_and_the_stop_key_have_a_line() -> None:
    rows = dict(key_rows(person_drives=True))
    assert rows.keys() == {"B", "L2+A", "START", "L2+X", "L2+Y"}
    assert len(rows) == len(MODE_KEYS) + 1
    assert rows[STOP_KEY.name].startswith("STOP")
    for keys, meaning in rows.items():
        mode = requested_mode(frozenset(Key[name] for name in keys.split("+")))
        if mode is not None:
            word = {Mode.STAND: "stand up", Mode.WALK: "walk", Mode.SIT: "sit down", Mode.DAMP: "let go"}[mode]
            assert meaning.startswith(word)


def test_where_a_plan_drives_nobody_is_told_to_start() -> None:
    assert [keys for keys, _ in key_rows(person_drives=False)] == ["B", "L2+A", "L2+X", "L2+Y"]


def test_the_terminal_shows_the_stop_key_first() -> None:
    assert key_help(person_drives=True).splitlines()[1].split()[:2] == ["B", "STOP:"]
    assert "waits for its remote" in key_help(person_drives=True)


@pytest.mark.parametrize("document", ["README.md", "docs/teleop.md"])
def test_the_documents_have_a_row_for_each_of_them(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for keys, _ in key_rows(person_drives=True):
        assert f"\n| `{keys}` |" in text.replace("   |", "|")
