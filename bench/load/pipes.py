"""The pipes between the harness and its clients: a JSON object per line (docs/reference/pipes.md)."""

import json
import os
import reprlib
import sys
from typing import Any


class CommandError(ValueError):
    """A line on stdin that is not a command."""


class CommandPipe:
    """Reads the commands of the harness from stdin. Its end of file means that the harness is gone."""

    def __init__(self) -> None:
        self._unread = b""

    def read(self) -> list[dict[str, Any]]:
        """Wait for data and return the commands that it completes; end the process at the end of file.

        Raise CommandError if a line is not a JSON object, or stdin cannot be read.
        """
        try:
            data = os.read(0, 65_536)
        except OSError as error:
            raise CommandError(f"stdin cannot be read: {error.strerror}") from error
        if not data:
            os._exit(0)
        *lines, self._unread = (self._unread + data).split(b"\n")
        return [parse_command(line) for line in lines]


def parse_command(line: bytes) -> dict[str, Any]:
    """Return the command of a line; raise CommandError if it is none."""
    try:
        command = json.loads(line)
    except RecursionError as error:
        raise CommandError("it is nested too deeply") from error
    except ValueError as error:
        raise CommandError(str(error)) from error
    if not isinstance(command, dict):
        raise CommandError(f"{reprlib.repr(command)} is no object")
    return command


def emit(event: dict[str, Any]) -> None:
    """Write one event; end the process if the harness is gone."""
    try:
        sys.stdout.write(json.dumps(event, separators=(",", ":")) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(0)
