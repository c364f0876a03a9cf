"""A role's pipes: commands in, events out, one JSON object a line (docs/pipes.md)."""

import asyncio
import json
import os
from collections.abc import Callable


class Pipes:
    """Reads commands from one descriptor of this process and writes events to another."""

    def __init__(self, commands: int | None, events: int) -> None:
        self._commands = commands
        self._events = events
        self._unread = b""

    def send(self, event: dict[str, object]) -> None:
        """Writes one event, whole."""
        line = json.dumps(event).encode() + b"\n"
        while line:
            line = line[os.write(self._events, line) :]

    def listen(self, on_command: Callable[[str], None], on_gone: Callable[[], None]) -> None:
        """Calls `on_command` with each command's name, and `on_gone` once when the other side is gone."""
        if self._commands is None:
            return
        loop = asyncio.get_running_loop()
        loop.add_reader(self._commands, self._read, self._commands, on_command, on_gone)

    def _read(self, commands: int, on_command: Callable[[str], None], on_gone: Callable[[], None]) -> None:
        data = os.read(commands, 65536)
        if not data:
            asyncio.get_running_loop().remove_reader(commands)
            on_gone()
            return
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            if line.strip():
                on_command(str(json.loads(line).get("command")))
