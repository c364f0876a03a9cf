"""What a command prints fits the terminal, and no figure is cut: tables are folded, then stacked."""

from __future__ import annotations

import pytest

from bench.report.html import Table
from bench.report.text_table import format_table, format_warnings, wrap
from tests import command_line

COMMANDS = (
    "show results/reference",
    "show results/reference-incident-linger",
    "list --output results",
    "scenario list",
    "size --rate 20000 --latency 8ms --proxies 12 --workers 8 --backends 40",
    "doctor",
)
PATHS = ("results: ", "picture: ", "next: ")
"""Lines that are to be copied whole."""
SPREAD = "31,784 (31,401 to 31,800)"


@pytest.mark.parametrize("width", [80, 60])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_keeps_to_the_width(command: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    lines = command_line.run(*command.split()).stdout.splitlines()
    assert len(lines) > 3
    assert [line for line in lines if len(line) > width and not line.startswith(PATHS)] == []
    assert "\x1b" not in "".join(lines)
    assert "…" not in "".join(lines)


@pytest.mark.parametrize("sides", range(1, 9))
@pytest.mark.parametrize("width", [120, 80, 60, 30])
def test_a_table_of_so_many_sides_keeps_every_cell(
    sides: int, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    columns = ["", *(f"nginx 1.29.{side} pool-http11 (3 trials)" for side in range(sides))]
    rows = [["requests/s", *[SPREAD] * sides], ["upstream connections", *["64"] * sides]]
    text = format_table(Table(columns, rows))
    assert max(map(len, text.splitlines())) <= width
    assert text.count("31,784") == text.count("31,800)") == sides
    for side in range(sides):
        assert f"1.29.{side}" in text


def test_what_stands_in_brackets_is_folded_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "46")
    lines = format_table(Table(["", "short"], [["requests per connection", SPREAD]])).splitlines()
    assert [line.split("  ")[-1].strip() for line in lines[-3:-1]] == ["31,784", "(31,401 to 31,800)"]


def test_a_table_that_does_not_fit_is_stacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    table = Table(["", "short", "keepalive"], [["requests/s", SPREAD, SPREAD]])
    assert format_table(table).splitlines() == [
        "",
        "requests/s",
        "  short: 31,784 (31,401 to",
        "    31,800)",
        "  keepalive: 31,784 (31,401 to",
        "    31,800)",
    ]


def test_prose_is_no_wider_than_the_terminal_nor_than_is_pleasant(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "word " * 60
    for columns, widest in (("60", 60), ("300", 100)):
        monkeypatch.setenv("COLUMNS", columns)
        assert max(map(len, wrap(text).splitlines())) in range(widest - 5, widest + 1)
        assert max(map(len, format_warnings([text]).splitlines())) <= widest
