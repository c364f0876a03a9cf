"""Commands in, events out."""

import asyncio
import json
import os

import pytest

from backends.role.pipes import Pipes, parse_command


@pytest.mark.parametrize(
    ("line", "command"),
    [
        (b'{"command": "count"}', ("count", {})),
        (b'{"command": "stop", "why": "done"}', ("stop", {"why": "done"})),
        (b'{"command": "dance"}', None),
        (b'{"command": ["count"]}', None),
        (b"[]", None),
        (b"count", None),
        (b"\xff", None),
    ],
)
def test_commands(line: bytes, command: tuple[str, dict[str, str]] | None) -> None:
    assert parse_command(line) == command


async def test_commands_are_read_in_pieces_and_bad_ones_passed_over(
    capsys: pytest.CaptureFixture[str],
) -> None:
    commands_out, commands_in = os.pipe()
    heard: list[str] = []
    gone = asyncio.Event()
    Pipes(commands_out, 1).listen(lambda name, _: heard.append(name), gone.set)
    for piece in (b'{"command": "co', b'unt"}\n\ndance\n{"command": "stop"}\n'):
        os.write(commands_in, piece)
        await asyncio.sleep(0)
    os.close(commands_in)
    await gone.wait()
    os.close(commands_out)
    assert heard == ["count", "stop"]
    known = '{"command": "count"}, {"command": "stop"}'
    assert capsys.readouterr().err == f"backend: command 'dance' is not understood; send one of {known}\n"


def test_events_are_lines() -> None:
    events_out, events_in = os.pipe()
    Pipes(None, events_in).send({"event": "ready", "workers": 2})
    assert json.loads(os.read(events_out, 1000)) == {"event": "ready", "workers": 2}
    os.close(events_in)
    with pytest.raises(OSError, match="Bad file descriptor"):
        Pipes(None, events_in).send({"event": "done"})
    os.close(events_out)
