"""Commands in and events out, one JSON object a line (docs/reference/pipes.md), whatever the commands are."""

import asyncio
import contextlib
import json
import os
import stat
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

Emit = Callable[[dict[str, Any]], None]
"""Writes one event."""

_MAX_LINE_BYTES = 1 << 20


async def read_commands(descriptor: int) -> AsyncIterator[dict[str, Any]]:
    """Yield each command that arrives, an object with a string under "command", until the pipe ends.

    Lines that are no commands are skipped.
    """
    lines = asyncio.StreamReader(limit=_MAX_LINE_BYTES)
    with contextlib.ExitStack() as stack:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor):
            pipe = os.fdopen(descriptor, "rb", buffering=0, closefd=False)
            protocol = asyncio.StreamReaderProtocol(lines)
            transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
            stack.callback(transport.close)
        else:
            # A file, or /dev/null: a loop cannot watch it, and all of it is there.
            while data := os.read(descriptor, 65536):
                lines.feed_data(data)
            lines.feed_eof()
        async for line in lines:
            command = _parse(line)
            if command is not None:
                yield command


def write_event(descriptor: int, event: dict[str, Any]) -> None:
    """Write one event to a pipe, completely."""
    left = memoryview(json.dumps(event).encode("ascii") + b"\n")
    while left:
        left = left[os.write(descriptor, left) :]


def report(message: str) -> None:
    """Write one message to stderr."""
    print(f"proxy: {message}", file=sys.stderr, flush=True)  # noqa: T201


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        command = json.loads(line)
    except ValueError:
        return None
    if isinstance(command, dict) and isinstance(command.get("command"), str):
        return command
    return None
