"""Commands are parsed from any pieces of a pipe, a socket or a file, and counters add up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy import counters
from proxy.control import read_commands, write_event
from proxy.counters import Counters
from proxy.server import loop_module
from tests.proxy_loops import LOOPS

JUNK = b'nonsense\n[1]\n{"command": 1}\n\xff\n'
LINES = b'{"command": "count"}\n' + JUNK + b'{"command": "stop", "x": 1}\n{"command": '
COMMANDS = [{"command": "count"}, {"command": "stop", "x": 1}]


def commands(loop_name: str, source: int) -> list[dict[str, Any]]:
    # Of its own: a uvloop closes what it has watched, another loop does not.
    descriptor = os.dup(source)

    async def read() -> list[dict[str, Any]]:
        return [command async for command in read_commands(descriptor)]

    with asyncio.Runner(loop_factory=loop_module(loop_name).new_event_loop) as runner:
        found = runner.run(read())
    with contextlib.suppress(OSError):
        os.close(descriptor)
    return found


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("loop_name", LOOPS)
def test_lines_become_commands(loop_name: str, size: int) -> None:
    there, here = os.pipe()

    def write() -> None:
        for at in range(0, len(LINES), size):
            os.write(here, LINES[at : at + size])
        os.close(here)

    writer = threading.Thread(target=write)
    writer.start()
    assert commands(loop_name, there) == COMMANDS
    writer.join()
    os.close(there)


def ended_socket(stack: contextlib.ExitStack, folder: Path) -> int:
    here, there = (stack.enter_context(each) for each in socket.socketpair())
    there.sendall(LINES)
    there.shutdown(socket.SHUT_WR)
    return here.fileno()


def file(stack: contextlib.ExitStack, folder: Path) -> int:
    (folder / "commands").write_bytes(LINES)
    return stack.enter_context((folder / "commands").open("rb")).fileno()


def nothing(stack: contextlib.ExitStack, folder: Path) -> int:
    return stack.enter_context(Path(os.devnull).open("rb")).fileno()


@pytest.mark.parametrize(
    ("commanded", "expected"), [(ended_socket, COMMANDS), (file, COMMANDS), (nothing, [])]
)
@pytest.mark.parametrize("loop_name", LOOPS)
def test_commands_may_come_from_elsewhere(
    loop_name: str,
    commanded: Callable[[contextlib.ExitStack, Path], int],
    expected: list[dict[str, Any]],
    tmp_path: Path,
) -> None:
    with contextlib.ExitStack() as stack:
        assert commands(loop_name, commanded(stack, tmp_path)) == expected


def test_a_command_is_there_before_the_pipe_ends() -> None:
    there, here = os.pipe()

    async def read() -> None:
        found = read_commands(there)
        os.write(here, LINES)
        assert await anext(found) == COMMANDS[0]
        os.close(here)
        assert [command async for command in found] == COMMANDS[1:]

    asyncio.run(read())
    os.close(there)


def test_an_event_longer_than_a_pipe_is_written_completely() -> None:
    there, here = os.pipe()
    event = {"event": "x" * 300_000}
    writer = threading.Thread(target=write_event, args=(here, event))
    writer.start()
    with os.fdopen(there, "rb") as lines:
        assert json.loads(lines.readline()) == event
    writer.join()
    os.close(here)


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
