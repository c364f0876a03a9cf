"""Real servers, each with a configured idle time or its own: how it is started, and what it then does.

What each documents: Node.js `server.keepAliveTimeout` (and its buffer of a second), gunicorn `--keep-alive`,
uvicorn `--timeout-keep-alive`, hypercorn `--keep-alive`, waitress `--channel-timeout` and
`--cleanup-interval`, aiohttp `keepalive_timeout`, nginx `keepalive_timeout`, HAProxy `timeout
http-keep-alive`, Caddy `idle_timeout`.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.subjects import programs
from tests import needs

START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 10.0
_NODE = """
const http = require('http');
const server = http.createServer((request, response) => response.end('hello'));
if (process.argv[3]) server.keepAliveTimeout = Number(process.argv[3]) * 1000;
server.listen(Number(process.argv[2]), '127.0.0.1');
"""
_WSGI = """
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [b"hello"]
"""
_ASGI = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"5")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hello"})
"""
_AIOHTTP = """
import sys
from aiohttp import web

async def hello(request):
    return web.Response(text="hello")

app = web.Application()
app.router.add_get("/", hello)
options = {"keepalive_timeout": float(sys.argv[2])} if len(sys.argv) > 2 else {}
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, **options)
"""
_NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    {idle}
    server {{ listen 127.0.0.1:{port}; location = / {{ return 200 hello; }} }}
}}
"""
_HAPROXY = """
defaults
    mode http
    timeout client {client}
    {idle}
frontend front
    bind 127.0.0.1:{port}
    http-request return status 200 content-type text/plain string hello if {{ path / }}
    http-request return status 404
"""
_CADDY = """
{{
    admin off
    auto_https off
    {idle}
}}
http://127.0.0.1:{port} {{
    bind 127.0.0.1
    respond / hello
}}
"""


@dataclass(frozen=True)
class Place:
    """Where one server is to run."""

    folder: Path
    port: int
    idle_s: float | None
    """The idle time to configure; None: its own."""

    def flag(self, name: str) -> list[str]:
        """Return a flag with the idle time; nothing where there is none."""
        return [] if self.idle_s is None else [name, f"{self.idle_s:g}"]

    def write(self, name: str, text: str) -> str:
        """Write a file and return its path."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return str(path)


@dataclass(frozen=True)
class RealServer:
    """A server, how it is started, and within which idle times it ends connections."""

    name: str
    argv: Callable[[Place], list[str]]
    own_s: tuple[float, float] | None
    """The bounds of its own idle time, as documented; None: it keeps connections for longer than we wait."""
    every_s: float = 0.0
    """It looks at its connections so often, or adds so much: an idle time is up to so much longer."""
    keeps: bool = True
    """Whether it keeps connections at all."""
    option: str = ""
    """What configures its idle time."""
    note: str = ""
    """What a reader of its default has to know."""
    program: str = ""
    package: str = ""
    """The distribution that brings it, where it is no program."""

    @property
    def is_here(self) -> bool:
        """Return whether it is installed."""
        if self.program:
            return needs.here(self.program)
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return bool(importlib.metadata.version(self.package))
        return False

    @property
    def remedy(self) -> str:
        """Return what would install it."""
        return needs.REMEDIES[self.program] if self.program else "make .venv/.dev"

    @property
    def version(self) -> str:
        """Return its version."""
        if self.package:
            return importlib.metadata.version(self.package)
        if self.program in programs.SOURCES:
            return programs.find(self.program).version
        said = subprocess.run([self.program, "--version"], capture_output=True, text=True, check=True).stdout
        found = re.search(r"\d+(\.\d+)+", said)
        return found[0] if found else ""


def _python(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def _node(place: Place) -> list[str]:
    idle = [] if place.idle_s is None else [f"{place.idle_s:g}"]
    return [shutil.which("node") or "node", place.write("server.js", _NODE), str(place.port), *idle]


def _gunicorn(kind: str, *more: str) -> Callable[[Place], list[str]]:
    def argv(place: Place) -> list[str]:
        place.write("wsgi.py", _WSGI)
        address = ("--bind", f"127.0.0.1:{place.port}", "--worker-class", kind, *more)
        return _python("gunicorn", *address, *place.flag("--keep-alive"), "wsgi:app")

    return argv


def _uvicorn(place: Place) -> list[str]:
    place.write("asgi.py", _ASGI)
    address = ("--host", "127.0.0.1", "--port", str(place.port), "--lifespan", "off")
    return _python("uvicorn", *address, *place.flag("--timeout-keep-alive"), "asgi:app")


def _hypercorn(place: Place) -> list[str]:
    place.write("asgi.py", _ASGI)
    return _python("hypercorn", "--bind", f"127.0.0.1:{place.port}", *place.flag("--keep-alive"), "asgi:app")


def _waitress(place: Place) -> list[str]:
    place.write("wsgi.py", _WSGI)
    idle = [] if place.idle_s is None else [f"--channel-timeout={place.idle_s:g}", "--cleanup-interval=1"]
    return _python("waitress", f"--listen=127.0.0.1:{place.port}", *idle, "wsgi:app")


def _aiohttp(place: Place) -> list[str]:
    idle = [] if place.idle_s is None else [f"{place.idle_s:g}"]
    return [sys.executable, place.write("server.py", _AIOHTTP), str(place.port), *idle]


def _nginx(place: Place) -> list[str]:
    idle = "" if place.idle_s is None else f"keepalive_timeout {place.idle_s:g}s;"
    file = place.write("nginx.conf", _NGINX.format(folder=place.folder, port=place.port, idle=idle))
    user = ["-g", "user root;"] if os.geteuid() == 0 else []
    return [programs.find("nginx").path, "-p", str(place.folder), "-c", file, *user]


def _haproxy(place: Place) -> list[str]:
    idle = "" if place.idle_s is None else f"timeout http-keep-alive {place.idle_s:g}s"
    text = _HAPROXY.format(port=place.port, idle=idle, client="600s")
    return [programs.find("haproxy").path, "-db", "-f", place.write("haproxy.cfg", text)]


def _caddy(place: Place) -> list[str]:
    idle = "" if place.idle_s is None else f"servers {{\n timeouts {{\n idle {place.idle_s:g}s\n }}\n }}"
    file = place.write("Caddyfile", _CADDY.format(port=place.port, idle=idle))
    return [programs.find("caddy").path, "run", "--config", file, "--adapter", "caddyfile"]


_AT_HAPROXY = "HAProxy has no idle time of its own: without one it takes `timeout client`, which was 600 s."
SERVERS = (
    RealServer("node", _node, (5, 6), 1.0, option="server.keepAliveTimeout", program="node"),
    RealServer("gunicorn sync", _gunicorn("sync"), None, keeps=False, package="gunicorn"),
    RealServer(
        "gunicorn gthread",
        _gunicorn("gthread", "--threads", "4"),
        (2, 3),
        1.0,
        option="--keep-alive",
        package="gunicorn",
    ),
    RealServer("uvicorn", _uvicorn, (5, 5), option="--timeout-keep-alive", package="uvicorn"),
    RealServer("hypercorn", _hypercorn, (5, 5), option="--keep-alive", package="hypercorn"),
    RealServer("waitress", _waitress, (120, 150), 2.0, option="--channel-timeout", package="waitress"),
    RealServer("aiohttp", _aiohttp, (75, 76), 1.0, option="keepalive_timeout", package="aiohttp"),
    RealServer("nginx", _nginx, (75, 75), option="keepalive_timeout", program="nginx"),
    RealServer(
        "haproxy", _haproxy, None, option="timeout http-keep-alive", program="haproxy", note=_AT_HAPROXY
    ),
    RealServer("caddy", _caddy, (300, 300), option="timeouts idle", program="caddy"),
)


@contextmanager
def running(server: RealServer, folder: Path, idle_s: float | None) -> Iterator[int]:
    """Run a server with an idle time, or its own, and yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    homes = {name: str(folder) for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    with open(folder / "output", "wb") as output:
        process = subprocess.Popen(
            server.argv(Place(folder, port, idle_s)),
            cwd=folder,
            env={**os.environ, **homes},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            _wait_until_listening(process, port, folder / "output")
            yield port
        finally:
            _stop(process)


def _wait_until_listening(process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline_s, output.read_text()
            time.sleep(0.05)
        else:
            return


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the process and those that it has started, which are its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_TIMEOUT_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
