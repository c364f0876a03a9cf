"""A backend as the harness runs it: a process with pipes, on ports of the kernel's choice."""

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

TIMEOUT_S = 60.0
"""Longer than anything here takes on the busiest machine."""


class BackendProcess:
    """A running backend that takes commands."""

    def __init__(
        self, *flags: str, listen: tuple[str, ...] = ("127.0.0.1:0",), under: tuple[str, ...] = ()
    ) -> None:
        """Start it, by the command `under` where there is one."""
        addresses = [flag for each in listen for flag in ("--listen", each)]
        self.process = subprocess.Popen(
            [*under, sys.executable, "-m", "backends", *addresses, "--control", *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.ready = self.event()

    def event(self) -> dict[str, Any]:
        """Read the next event."""
        assert self.process.stdout is not None
        event: dict[str, Any] = json.loads(self.process.stdout.readline())
        return event

    def command(self, name: str) -> None:
        """Send a command."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"command": name}).encode() + b"\n")
        self.process.stdin.flush()

    def count(self) -> dict[str, Any]:
        """Ask for the counters so far."""
        self.command("count")
        return self.event()

    def stop(self) -> dict[str, Any]:
        """Stop the backend; return its last event, after it has exited with 0."""
        self.command("stop")
        done = self.event()
        assert self.process.wait(TIMEOUT_S) == 0
        return done

    def connect(self) -> socket.socket:
        """Open a connection to it."""
        host, _, port = self.ready["listen"][0].rpartition(":")
        return socket.create_connection((host, int(port)), timeout=TIMEOUT_S)

    def close(self) -> None:
        """End the process, whatever state it is in."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


@contextlib.contextmanager
def running_backend(*flags: str, listen: tuple[str, ...] = ("127.0.0.1:0",)) -> Iterator[BackendProcess]:
    """Run a backend for the length of a `with` block."""
    backend = BackendProcess(*flags, listen=listen)
    try:
        yield backend
    finally:
        backend.close()


def read_until_closed(connection: socket.socket) -> bytes:
    """Read all that comes until the other side's FIN; a reset raises ConnectionResetError."""
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def read_answer(connection: socket.socket) -> tuple[bytes, bytes]:
    """Read one answer with a Content-Length; return head and body, and asserts that nothing follows."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    assert len(body) == length
    return head, body
