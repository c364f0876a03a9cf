"""The servers of others that take part, proxies most of them: how each is started, from conf/."""

from __future__ import annotations

import os
import resource
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.errors import RoleError
from bench.lab import Process
from bench.observe.process_tree import ProcessTree
from tests.perf import checkouts, programs
from tests.perf.stage import PYTHON, READY_TIMEOUT_S, Stage

CONF = Path(__file__).parent / "conf"
POOL_IDLE: Final = 4096
"""More than any load here needs, so that no pool is the limit."""
NGINX_BUFFERS = ("default", "large", "huge", "off")
_KEEPALIVE_BY_DEFAULT = (1, 29, 7)
"""From this release on nginx pools unless told `keepalive 0` (its CHANGES file)."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A proxy that runs."""

    name: str
    version: str
    address: str
    process: Process
    tree: ProcessTree


@dataclass(frozen=True, slots=True)
class Asked:
    """What a server is to do: pass on to `upstream`, pooled or `short`, closing first."""

    upstream: str
    """HOST:PORT; nothing where it answers by itself."""
    is_short: bool
    folder: Path
    """An empty folder of its own."""
    listen: str
    loop: str = ""
    """The event loop of ours; nothing: whatever it takes by itself."""
    checkout: Path | None = None
    """Where the code of ours is, if it is not the code that runs this."""


Command = Callable[[Asked], list[str]]


def start(
    stage: Stage,
    name: str,
    upstream: str,
    *,
    is_short: bool,
    folder: Path,
    loop: str = "",
    checkout: Path | None = None,
) -> Subject:
    """Start the proxy called `name`; RoleError where it does not come up."""
    folder.mkdir(parents=True)
    asked = Asked(upstream, is_short, folder, f"127.0.0.1:{_free_port()}", loop, checkout)
    process = stage.start(_COMMANDS[name](asked), name, stage.far)
    _await_listening(process, asked.listen)
    tree = ProcessTree(process.pid)
    tree.refresh()
    return Subject(name, programs.version(name.partition("-")[0]), asked.listen, process, tree)


def serve(stage: Stage, folder: Path) -> str:
    """Start what load generators are held against, on the far core; return its address.

    That is nginx, which answers by itself; our own backend where there is no nginx.
    """
    if programs.find("nginx") is None:
        return stage.backend(stage.far).address
    return start(stage, "nginx-server", "", is_short=False, folder=folder).address


def missing(names: tuple[str, ...]) -> list[str]:
    """Return those of `names` whose program is not here."""
    return [name for name in names if name in _EXTERNAL and programs.find(name) is None]


def _ours(asked: Asked) -> list[str]:
    mode = "short" if asked.is_short else "keepalive"
    argv = [*checkouts.python(asked.checkout), "-m", "proxy"]
    argv += ["--listen", asked.listen, "--upstream", asked.upstream]
    loop = ["--loop", asked.loop] if asked.loop else []
    return [*argv, "--mode", mode, "--pool-idle", str(POOL_IDLE), *loop]


def _aiohttp(asked: Asked) -> list[str]:
    port, mode = asked.listen.rpartition(":")[2], "short" if asked.is_short else "keepalive"
    return [PYTHON, "-m", "tests.perf.aiohttp_proxy", port, asked.upstream, mode]


def _nginx(buffers: str) -> Command:
    def command(asked: Asked) -> list[str]:
        version = tuple(map(int, programs.version("nginx").split(".")))
        off = "keepalive 0;" if version >= _KEEPALIVE_BY_DEFAULT else ""
        values = {
            "pool": off if asked.is_short else f"keepalive {POOL_IDLE}; keepalive_requests 100000000;",
            "buffers": str(CONF / f"nginx-buffers-{buffers}.conf"),
            "user": _nginx_user(),
            "files": str(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
        }
        conf = _render("nginx.conf", asked, values)
        return [_path("nginx"), "-p", str(asked.folder), "-c", str(conf)]

    return command


def _nginx_server(asked: Asked) -> list[str]:
    conf = _render("nginx-server.conf", asked, {"user": _nginx_user()})
    return [_path("nginx"), "-p", str(asked.folder), "-c", str(conf)]


def _nginx_user() -> str:
    return "user root;" if os.getuid() == 0 else ""


def _haproxy(asked: Asked) -> list[str]:
    values = {
        "reuse": "option http-server-close" if asked.is_short else "http-reuse always",
        "bufsize": "65536",
        "upstream": asked.upstream.replace("unix:", "unix@"),
    }
    return [_path("haproxy"), "-db", "-f", str(_render("haproxy.cfg", asked, values))]


def _envoy(asked: Asked) -> list[str]:
    host, _, port = asked.upstream.rpartition(":")
    address = f"socket_address: {{ address: '{host.strip('[]')}', port_value: {port} }}"
    if asked.upstream.startswith("unix:"):
        address = f"pipe: {{ path: '{asked.upstream.removeprefix('unix:')}' }}"
    values = {"requests": "1" if asked.is_short else "0", "upstream_address": address}
    conf = _render("envoy.yaml", asked, values)
    argv = [_path("envoy"), "-c", str(conf), "--concurrency", "1", "--log-level", "error"]
    return [*argv, "--use-dynamic-base-id", "--disable-hot-restart"]


def _caddy(asked: Asked) -> list[str]:
    pooled = f"keepalive 60s\n\t\t\tkeepalive_idle_conns_per_host {POOL_IDLE}"
    values = {
        "keepalive": "keepalive off" if asked.is_short else pooled,
        "upstream": asked.upstream.replace("unix:", "unix/"),
    }
    conf = _render("Caddyfile", asked, values)
    home = [f"{name}={asked.folder}" for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")]
    argv = [_path("caddy"), "run", "--adapter", "caddyfile", "--config", str(conf)]
    return ["env", *home, "GOMAXPROCS=1", *argv]


_EXTERNAL = ("nginx", "haproxy", "envoy", "caddy")
_COMMANDS: dict[str, Command] = {
    "ours": _ours,
    "baseline": _ours,
    "aiohttp": _aiohttp,
    "haproxy": _haproxy,
    "envoy": _envoy,
    "caddy": _caddy,
    "nginx-server": _nginx_server,
    **{f"nginx-{buffers}": _nginx(buffers) for buffers in NGINX_BUFFERS},
}


def _path(name: str) -> str:
    path = programs.find(name)
    if path is None:
        raise RoleError(name, "is not installed")
    return path


def _render(template: str, asked: Asked, values: dict[str, str]) -> Path:
    """Write a configuration with its @names@ filled in, and return where."""
    listen_host, _, listen_port = asked.listen.rpartition(":")
    text = (CONF / template).read_text(encoding="utf-8")
    known = {"listen": asked.listen, "listen_host": listen_host, "listen_port": listen_port}
    known |= {"upstream": asked.upstream} | values
    for name, value in known.items():
        text = text.replace(f"@{name}@", value)
    path = asked.folder / template
    path.write_text(text, encoding="utf-8")
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_listening(process: Process, address: str) -> None:
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + READY_TIMEOUT_S
    while True:
        try:
            socket.create_connection((host, int(port)), 1).close()
        except OSError as error:
            if process.returncode is not None or time.monotonic() > deadline:
                raise RoleError(
                    process.name, f"does not listen on {address}", process.exit_message
                ) from error
            time.sleep(0.02)
        else:
            return
