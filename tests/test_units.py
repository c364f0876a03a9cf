"""How counts are written with what is counted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench import units

ROOT = Path(__file__).parent.parent
TEXTS = [
    *(
        each
        for room in ("bench", "nginx", "proxy", "backends")
        for each in sorted((ROOT / room).rglob("*.py"))
    ),
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
]
BOTH_AT_ONCE = re.compile(r"[a-z]{2}\((?:s|es|ies)\)(?!\()")
"""What a text has that did not decide between one and many."""


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [
        (0, "request", "0 requests"),
        (1, "request", "1 request"),
        (1.0, "new connection", "1 new connection"),
        (1.4, "request", "1 request"),
        (1.6, "request", "2 requests"),
        (1_200, "connection", "1,200 connections"),
        (2, "proxy", "2 proxies"),
    ],
)
def test_a_noun_agrees_with_the_number_that_is_shown(number: float, noun: str, said: str) -> None:
    assert units.plural(number, noun) == said


def test_no_text_says_both_at_once() -> None:
    found = {
        str(file.relative_to(ROOT)): hits
        for file in TEXTS
        if (hits := re.findall(rf'["`].*{BOTH_AT_ONCE.pattern}.*', file.read_text(encoding="utf-8")))
    }
    assert found == {}
