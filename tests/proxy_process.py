"""The proxy under test as a process, and its clients: blocking sockets."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import h11

from tests.proxy_upstream import TIMEOUT_S, Listener, Upstream


class ProxyProcess:
    """`python -m proxy` in front of an upstream, with commands on its stdin."""

    def __init__(self, upstream: str, *flags: str) -> None:
        argv = [sys.executable, "-m", "proxy", "--control", "--listen", "127.0.0.1:0", "--upstream", upstream]
        mode = [] if "--mode" in flags else ["--mode", "keepalive"]
        self._process = subprocess.Popen(
            [*argv, *mode, *flags],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        self.ready = self._event()
        host, _, port = self.ready["listen"][0].rpartition(":")
        self.address = (host.strip("[]"), int(port))
        self.url = f"http://{host}:{port}/"

    def _event(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, self._process.communicate()[1]
        event: dict[str, Any] = json.loads(line)
        return event

    def command(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"command": command}) + "\n")
        self._process.stdin.flush()

    def count(self) -> dict[str, Any]:
        self.command("count")
        return self._event()

    def errors(self) -> int:
        """Return the upstream's protocol errors so far."""
        errors: int = self.count()["errors"]["upstream"]["protocol"]
        return errors

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self._process.send_signal(number)

    def done(self) -> dict[str, Any]:
        """Wait for the last event and the end; stderr must be empty."""
        event, code, stderr = self.last_words()
        assert (event["event"], code, stderr) == ("done", 0, "")
        return event

    def last_words(self) -> tuple[dict[str, Any], int, str]:
        """Wait for the last event and the end; return the event, the exit code and stderr."""
        event = self._event()
        _, stderr = self._process.communicate(timeout=TIMEOUT_S)
        return event, self._process.returncode, stderr

    def close_stdin(self) -> None:
        """Close stdin, as a harness that is gone does."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.stdin = None

    def wait(self) -> tuple[int, str]:
        """Wait for the end; return the exit code and stderr."""
        self._process.wait(TIMEOUT_S)
        _, stderr = self._process.communicate()
        return self._process.returncode, stderr

    def stop(self) -> dict[str, Any]:
        self.command("stop")
        return self.done()

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def connect(self) -> socket.socket:
        sock = socket.create_connection(self.address, TIMEOUT_S)
        # Else what is sent in pieces waits for the kernel's delayed acknowledgements, 40 ms each.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock


@contextlib.contextmanager
def running(upstream: Upstream | Listener | str, *flags: str) -> Iterator[ProxyProcess]:
    """Run a proxy that is killed in the end, unless it has ended by itself."""
    proxy = ProxyProcess(upstream if isinstance(upstream, str) else upstream.address, *flags)
    try:
        yield proxy
    finally:
        proxy.kill()


@dataclass(frozen=True, slots=True)
class Response:
    """A response as h11 reads it; `whole` is False if it was truncated."""

    status: int
    fields: dict[bytes, bytes]
    content: bytes
    whole: bool
    interims: tuple[int, ...] = ()


class Client:
    """A client connection whose responses h11 reads, independently of the proxy's own framing."""

    def __init__(self, proxy: ProxyProcess) -> None:
        self.sock = proxy.connect()
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def request(self, target: str, method: str = "GET", fields: str = "") -> Response:
        """Send a correct request and return its response."""
        self.sock.sendall(f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n".encode("latin-1"))
        response = self.read(method)
        assert response is not None
        return response

    def read(self, method: str = "GET") -> Response | None:
        """Return one response; None if the connection ends before it begins."""
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        parser.send(h11.EndOfMessage())
        parser.receive_data(self._unread) if self._unread else None
        head: h11.Response | None = None
        interims: list[int] = []
        content = b""
        while True:
            try:
                event = parser.next_event()
            except h11.RemoteProtocolError:
                return None if head is None else _response(head, content, interims, whole=False)
            if event is h11.NEED_DATA:
                self._feed(parser)
            elif isinstance(event, h11.InformationalResponse):
                interims.append(event.status_code)
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                content += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                self._unread = parser.trailing_data[0]
                return _response(head, content, interims, whole=True)
            else:
                return None

    def _feed(self, parser: h11.Connection) -> None:
        try:
            parser.receive_data(self.sock.recv(65536))
        except ConnectionResetError:
            parser.receive_data(b"")

    def ended(self) -> bool:
        """Return whether the proxy ends the connection without further data."""
        try:
            return self.sock.recv(1) == b""
        except ConnectionResetError:
            return True


def _response(head: h11.Response, content: bytes, interims: list[int], *, whole: bool) -> Response:
    return Response(head.status_code, dict(head.headers), content, whole, tuple(interims))
