"""Commands are parsed from any pieces, and counters add up."""

from typing import Any

import pytest

from proxy import counters
from proxy.control import CommandReader
from proxy.counters import Counters


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_lines_become_commands(size: int) -> None:
    commands: list[dict[str, Any]] = []
    reader = CommandReader(commands.append, lambda: None)
    junk = b'nonsense\n[1]\n{"command": 1}\n\xff\n'
    data = b'{"command": "count"}\n' + junk + b'{"command": "stop", "x": 1}\n{"command": '
    for at in range(0, len(data), size):
        reader.feed(data[at : at + size])
    assert commands == [{"command": "count"}, {"command": "stop", "x": 1}]


def test_counters_add_up() -> None:
    first, second, third = Counters(), Counters(), Counters()
    first.accepted, second.accepted = 3, 4
    first.upstream["refused"] = 2
    second.client["aborted"] = 1
    second.first_exhausted_ns, third.first_exhausted_ns = 9, 7
    total = counters.merge(each.to_event("done") for each in (first, second, third)).to_event("done")
    assert (total["event"], total["accepted"], total["first_exhausted_ns"]) == ("done", 7, 7)
    assert total["errors"]["upstream"]["refused"] == 2
    assert total["errors"]["client"]["aborted"] == 1
    assert counters.merge([]).first_exhausted_ns is None
