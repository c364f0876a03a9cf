"""When what a command shows may have colours."""

from __future__ import annotations

import io

import pytest

from bench.commands.printing import has_colours, is_terminal


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
        ({"TERM": "dumb"}, False),
    ],
)
def test_colours_are_for_a_terminal_whose_user_wants_them(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: bool
) -> None:
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert has_colours(Terminal()) is expected
    assert not has_colours(io.StringIO())
    assert not has_colours(None)


def test_a_stream_that_was_closed_leads_to_no_terminal() -> None:
    assert (is_terminal(None), is_terminal(io.StringIO()), is_terminal(Terminal())) == (False, False, True)
