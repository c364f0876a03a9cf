"""The pipes between the harness and its clients: a JSON object per line (docs/pipes.md)."""

import json
import os
import sys
from typing import Any


class CommandPipe:
    """Reads the commands of the harness from stdin. Its end of file means that the harness is gone."""

    def __init__(self) -> None:
        self._unread = b""

    def read(self) -> list[dict[str, Any]]:
        """Wait for data and return the commands that it completes; end the process at the end of file."""
        data = os.read(0, 65_536)
        if not data:
            os._exit(0)
        *lines, self._unread = (self._unread + data).split(b"\n")
        return [json.loads(line) for line in lines]


def emit(event: dict[str, Any]) -> None:
    """Write one event; end the process if the harness is gone."""
    try:
        sys.stdout.write(json.dumps(event, separators=(",", ":")) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(0)
