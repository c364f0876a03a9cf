"""A role's pipes: commands in, events out, one JSON object a line (docs/reference/pipes.md)."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

COMMANDS = ("count", "stop")
Values = Mapping[str, Any]
"""What a command says besides its name."""
OnCommand = Callable[[str, Values], None]


def log(message: str) -> None:
    """Write one line for people."""
    sys.stderr.write(f"backend: {message}\n")


def parse_command(line: bytes, known: Sequence[str] = COMMANDS) -> tuple[str, Values] | None:
    """Return the name and the values of the command in a line, None when there is none that is `known`."""
    try:
        received = json.loads(line)
    except ValueError:
        return None
    if not isinstance(received, dict):
        return None
    name: Any = received.pop("command", None)
    return (name, received) if name in known else None


class Pipes:
    """Reads commands from one descriptor (None: accepts no commands), writes events to another."""

    def __init__(self, commands: int | None, events: int) -> None:
        self._commands = commands
        self._events = events
        self._known: Sequence[str] = COMMANDS
        self._unread = b""

    def send(self, event: dict[str, object]) -> None:
        """Write one event, whole. Raise BrokenPipeError when no process reads it."""
        line = json.dumps(event).encode() + b"\n"
        while line:
            line = line[os.write(self._events, line) :]

    def listen(
        self,
        on_command: OnCommand,
        on_gone: Callable[[], None],
        known: Sequence[str] = COMMANDS,
    ) -> None:
        """Call `on_command` with the name and values of each known command, `on_gone` at the end of all."""
        self._known = known
        if self._commands is not None:
            loop = asyncio.get_running_loop()
            loop.add_reader(self._commands, self._read, self._commands, on_command, on_gone)

    def _read(self, commands: int, on_command: OnCommand, on_gone: Callable[[], None]) -> None:
        data = os.read(commands, 65536)
        if not data:
            asyncio.get_running_loop().remove_reader(commands)
            on_gone()
            return
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in filter(bytes.strip, lines):
            command = parse_command(line, self._known)
            if command is None:
                known = ", ".join(json.dumps({"command": name}) for name in self._known)
                log(f"command {line.decode(errors='replace')!r} is not understood; send one of {known}")
            else:
                on_command(*command)


def end_at_once() -> None:
    """End this process without draining: its parent is gone, or the stop was requested twice."""
    os._exit(0)
