"""Commands in and events out, one JSON object a line (docs/pipes.md). Knows no command by name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from proxy.poller import Poller

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

    def listen(self, poller: Poller, descriptor: int) -> None:
        """Begin to read; `descriptor` becomes non-blocking."""
        Pipe(poller, descriptor, self.feed, self._on_end)

    def feed(self, data: bytes) -> None:
        """Take bytes as they come; a line that is no command is passed over."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            command = _parse(line)
            if command is not None:
                self._on_command(command)


class Pipe:
    """The reading end of a pipe, which is told what comes in and that no more will."""

    def __init__(
        self, poller: Poller, descriptor: int, on_data: Callable[[bytes], None], on_end: Callable[[], None]
    ) -> None:
        self._poller = poller
        self._descriptor = descriptor
        self._on_data = on_data
        self._on_end = on_end
        os.set_blocking(descriptor, False)
        try:
            poller.add(descriptor, self)
        except PermissionError:
            # A file, or /dev/null: never waited for, and all of it is there.
            poller.later.append(self._read_file)

    def read(self) -> None:
        try:
            data = os.read(self._descriptor, 65536)
        except BlockingIOError:
            return
        if data:
            self._on_data(data)
        else:
            self._poller.release(self._descriptor)
            self._on_end()

    def ready(self, events: int) -> None:
        self.read()

    def _read_file(self) -> None:
        while data := os.read(self._descriptor, 65536):
            self._on_data(data)
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
