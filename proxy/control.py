"""Commands in and events out, one JSON object a line (docs/pipes.md). Knows no command by name."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from typing import Any

Emit = Callable[[dict[str, Any]], None]
"""Takes one event."""


class Control:
    """Reads commands from a descriptor.

    Args:
        on_command: takes each command, an object with a string under "command".
        on_end: is told when the other side has gone.
    """

    def __init__(self, on_command: Callable[[dict[str, Any]], None], on_end: Callable[[], None]) -> None:
        self._on_command = on_command
        self._on_end = on_end
        self._buffer = b""

    def listen(self, loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
        """Begin to read; `descriptor` becomes non-blocking."""
        os.set_blocking(descriptor, False)
        loop.add_reader(descriptor, self._read, loop, descriptor)

    def feed(self, data: bytes) -> None:
        """Take bytes as they come; a line that is no command is passed over."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            command = _parse(line)
            if command is not None:
                self._on_command(command)

    def _read(self, loop: asyncio.AbstractEventLoop, descriptor: int) -> None:
        try:
            data = os.read(descriptor, 65536)
        except BlockingIOError:
            return
        if data:
            self.feed(data)
        else:
            loop.remove_reader(descriptor)
            self._on_end()


def write_event(descriptor: int, event: dict[str, Any]) -> None:
    """Write one event to a pipe, whole."""
    left = memoryview(json.dumps(event).encode("ascii") + b"\n")
    while left:
        left = left[os.write(descriptor, left) :]


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        command = json.loads(line)
    except ValueError:
        return None
    if isinstance(command, dict) and isinstance(command.get("command"), str):
        return command
    return None
