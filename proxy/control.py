"""Commands in and events out, one JSON object a line (docs/pipes.md), whatever the commands are."""

import json
import os
from collections.abc import Callable
from typing import Any

from proxy.poller import Poller

Emit = Callable[[dict[str, Any]], None]
"""Writes one event."""


class CommandReader:
    """Reads commands from a descriptor.

    Args:
        on_command: receives each command, an object with a string under "command".
        on_eof: is called when the other side has closed the pipe.
    """

    def __init__(self, on_command: Callable[[dict[str, Any]], None], on_eof: Callable[[], None]) -> None:
        self._on_command = on_command
        self._on_eof = on_eof
        self._buffer = b""

    def listen(self, poller: Poller, descriptor: int) -> None:
        """Start reading; `descriptor` becomes non-blocking."""
        PipeReader(poller, descriptor, self.feed, self._on_eof)

    def feed(self, data: bytes) -> None:
        """Parse bytes in any pieces; skip lines that are not commands."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            command = _parse(line)
            if command is not None:
                self._on_command(command)


class PipeReader:
    """The reading end of a pipe: calls `on_data` with what arrives, and `on_eof` at its end."""

    def __init__(
        self, poller: Poller, descriptor: int, on_data: Callable[[bytes], None], on_eof: Callable[[], None]
    ) -> None:
        self._poller = poller
        self._descriptor = descriptor
        self._on_data = on_data
        self._on_eof = on_eof
        os.set_blocking(descriptor, False)
        try:
            poller.register(descriptor, self)
        except PermissionError:
            # A file, or /dev/null: epoll rejects it, and all of it is there.
            poller.next_iteration.append(self._read_file)

    def read(self) -> None:
        """Read what has arrived."""
        try:
            data = os.read(self._descriptor, 65536)
        except BlockingIOError:
            return
        if data:
            self._on_data(data)
        else:
            self._poller.unregister(self._descriptor)
            self._on_eof()

    def ready(self, events: int) -> None:
        """Read what has arrived."""
        self.read()

    def _read_file(self) -> None:
        while data := os.read(self._descriptor, 65536):
            self._on_data(data)
        self._on_eof()


def write_event(descriptor: int, event: dict[str, Any]) -> None:
    """Write one event to a pipe, completely."""
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
