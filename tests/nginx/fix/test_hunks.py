"""The edit of one location: whole, and nothing but it."""

from __future__ import annotations

import pytest

from nginx.fix.edits import Edit
from nginx.fix.hunks import Hunk, hunks
from nginx.fix.repair import fix
from nginx.tree import Place

TEXT = "one {\n  two;\n  three;\n}\n"


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ([(12, 12, "\n  new;")], [(3, [], ["  new;"])]),
        ([(8, 11, "2")], [(2, ["  two;"], ["  2;"])]),
        ([(6, 13, "")], [(2, ["  two;"], [])]),
        ([(15, 20, "3"), (8, 11, "2")], [(2, ["  two;"], ["  2;"]), (3, ["  three;"], ["  3;"])]),
        ([(0, 0, "zero\n"), (0, 3, "1")], [(1, ["one {"], ["zero", "1 {"])]),
        ([(22, 22, "# end\n")], [(4, [], ["# end"])]),
    ],
)
def test_hunks(edits: list[tuple[int, int, str]], expected: list[tuple[int, list[str], list[str]]]) -> None:
    found = hunks("x", TEXT, [Edit("x", *edit) for edit in edits])
    assert [(each.line, list(each.removed), list(each.added)) for each in found] == expected


BROKEN = """\
upstream app {
    server 10.0.0.1;
}
server {
    location / {
        proxy_pass http://app;
    }
    location /b/ {
        proxy_pass http://10.0.0.2;
    }
    location /c/ {
        proxy_pass http://10.0.0.2;
    }
}
"""


def applied(text: str, edit: list[Hunk]) -> str:
    """Return a text with the hunks of one location."""
    lines = text.splitlines()
    for hunk in sorted(edit, key=lambda hunk: hunk.line, reverse=True):
        start = hunk.line - 1
        assert tuple(lines[start : start + len(hunk.removed)]) == hunk.removed
        lines[start : start + len(hunk.removed)] = hunk.added
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("line", [6, 9, 12])
def test_the_edit_of_one_location_repairs_it_alone(line: int) -> None:
    repair = fix("x", ["1.22.1", "1.31.4"], text=BROKEN)
    text = applied(BROKEN, repair.hunks[Place("x", line)])
    again = fix("x", ["1.22.1", "1.31.4"], text=text)
    assert len(again.repaired) == 2
    assert not again.skipped
    assert not again.refused
