"""The two sides of a proxy under test, and the proxy itself as a process: blocking sockets and threads."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import h11

from tests.messages.model import Step

TIMEOUT_S = 60.0
"""Longer than anything here takes on the busiest machine: a longer wait means a fault."""
DATE = b"Date: Sun, 22 Nov 2026 23:34:31 GMT\r\n"


@dataclass(frozen=True, slots=True)
class Received:
    """A request that arrived complete at the upstream; connections count from 0."""

    connection: int
    head: bytes
    content: bytes

    @property
    def target(self) -> bytes:
        return self.head.split(b" ", 2)[1]

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of a field, in order."""
        lines = self.head.split(b"\r\n")[1:]
        return [
            line.partition(b":")[2].strip() for line in lines if line.lower().startswith(name.lower() + b":")
        ]


Script = Callable[[Received], Sequence[Step]]


def send(data: bytes) -> Sequence[Step]:
    return (Step("send", data),)


def echo(request: Received) -> Sequence[Step]:
    """Answer with the target, so that a mixed-up response shows."""
    body = request.target
    return send(b"HTTP/1.1 200 OK\r\n" + DATE + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))


class Upstream:
    """A server that plays a script for each request; `script` may be changed at any time."""

    def __init__(self) -> None:
        self.script: Script = echo
        self.requests: list[Received] = []
        self.connections = 0
        self.partial: list[bytes] = []
        self.ended = threading.Semaphore(0)
        self._sock = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._sockets: list[socket.socket] = []
        self.address = f"127.0.0.1:{self._sock.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stop listening, and end all connections."""
        self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        self.hang_up()

    def hang_up(self) -> None:
        """End all connections."""
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._sock.accept()
            except OSError:
                return
            self._sockets.append(sock)
            number, self.connections = self.connections, self.connections + 1
            threading.Thread(target=self._serve, args=(sock, number), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        sock.settimeout(TIMEOUT_S)
        reader = _Requests(sock, number)
        try:
            for request in reader:
                self.requests.append(request)
                for step in self.script(request):
                    if not run_step(sock, step):
                        return
        except OSError:
            return
        finally:
            if reader.unread:
                self.partial.append(reader.unread)
            sock.close()
            self.ended.release()


def run_step(sock: socket.socket, step: Step) -> bool:
    """Run one step; return False if it ends the connection."""
    if step.action == "send":
        sock.sendall(step.data)
    elif step.action == "close":
        return False
    elif step.action == "rst":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False
    elif step.action == "sleep":
        threading.Event().wait(step.seconds)
    else:
        # To hold, or to drain: until the other side has closed, or for a while.
        sock.settimeout(step.seconds)
        with contextlib.suppress(TimeoutError):
            while sock.recv(65536):
                pass
        sock.settimeout(TIMEOUT_S)
    return True


class Listener:
    """A bare socket in the place of an upstream: the test scripts it step by step.

    `takes_little` keeps the kernel from taking megabytes in its place.
    """

    def __init__(self, *, takes_little: bool = False) -> None:
        self._sock = socket.create_server(("127.0.0.1", 0))
        if takes_little:
            # Inherited by what is accepted.
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self._sock.settimeout(TIMEOUT_S)
        self.address = f"127.0.0.1:{self._sock.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def accept(self) -> socket.socket:
        """Return the next connection, to be closed by the caller."""
        sock, _ = self._sock.accept()
        sock.settimeout(TIMEOUT_S)
        return sock


def until(sock: socket.socket, mark: bytes) -> bytes:
    """Read up to `mark`, which must be the last input."""
    data = b""
    while not data.endswith(mark):
        piece = sock.recv(65536)
        assert piece, data
        data += piece
    return data


def fill(sock: socket.socket, data: bytes = b"x" * 65536) -> int:
    """Send `data` repeatedly until the socket stays full; return the number of bytes sent."""
    sock.settimeout(0.4)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while True:
            sent += sock.send(data)
    sock.settimeout(TIMEOUT_S)
    return sent


def accepts_more(sock: socket.socket) -> bool:
    """Wait until the socket accepts more data."""
    return sock.send(b"x") > 0


def read_exactly(sock: socket.socket, size: int) -> None:
    """Read so many bytes."""
    while size > 0:
        piece = sock.recv(min(size, 1 << 20))
        assert piece
        size -= len(piece)


class _Requests:
    """Reads requests from a socket, framed by Content-Length or chunks that the proxy has written itself."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self._sock = sock
        self._number = number
        self.unread = b""

    def __iter__(self) -> Iterator[Received]:
        while True:
            head = self._until(b"\r\n\r\n")
            if head is None:
                return
            content = self._content(head)
            if content is None:
                return
            yield Received(self._number, head, content)

    def _content(self, head: bytes) -> bytes | None:
        length = re.search(rb"\r\ncontent-length: *(\d+)", head.lower())
        if length:
            return self._exactly(int(length[1]))
        if b"\r\ntransfer-encoding: chunked" not in head.lower():
            return b""
        content = b""
        while (line := self._until(b"\r\n")) is not None:
            size = int(line, 16)
            piece = self._exactly(size + 2)
            if piece is None or size == 0:
                return None if piece is None else content
            content += piece[:-2]
        return None

    def _until(self, mark: bytes) -> bytes | None:
        while mark not in self.unread:
            if not self._more():
                return None
        found, _, self.unread = self.unread.partition(mark)
        return found + mark

    def _exactly(self, size: int) -> bytes | None:
        while len(self.unread) < size:
            if not self._more():
                return None
        found, self.unread = self.unread[:size], self.unread[size:]
        return found

    def _more(self) -> bool:
        data = self._sock.recv(65536)
        self.unread += data
        return bool(data)


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
        return socket.create_connection(self.address, TIMEOUT_S)


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
