"""Real proxies in front of one server: each with what `advice` says of it, or as it is by default."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import indent

from bench.subjects import programs
from tests.nginx import real
from tests.probe.dying_server import PATIENCE_S

NGINX, HAPROXY = ("nginx@system", "nginx@wheel"), ("haproxy@system", "haproxy@wheel")
FRONTS = (*NGINX, *HAPROXY, "envoy", "caddy")
_SITE = """
server {
    listen unix:SOCKET;
    location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; }
}
"""
_HAPROXY = """
defaults
    mode http
    timeout connect 30s
    timeout client 60s
    timeout server 60s
frontend front
    bind unix@SOCKET
    default_backend app
"""
_ENVOY = """
static_resources:
  listeners:
  - address: { pipe: { path: SOCKET } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": MANAGER
          stat_prefix: front
          http_filters:
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
          route_config:
            virtual_hosts:
            - { name: all, domains: ["*"], routes: [{ match: { prefix: / }, route: { cluster: app } }] }
  clusters:
  - name: app
    load_assignment:
      cluster_name: app
      endpoints:
      - lb_endpoints:
        - endpoint: { address: { socket_address: { address: HOST, port_value: PORT } } }
"""
_MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_CADDY = """{
    admin off
    auto_https off
    persist_config off
}
http:// {
    bind unix/SOCKET
"""


def by_default(name: str, address: str) -> list[str]:
    """Return the lines of a proxy that pools connections and has been told nothing about their end."""
    return {
        "nginx": ["upstream backend {", f"    server {address};", "    keepalive 32;", "}"],
        "haproxy": ["backend app", f"    server app1 {address}"],
        "envoy": [],
        "caddy": [f"reverse_proxy {address}"],
    }[product(name)]


def product(name: str) -> str:
    """Return which proxy it is, whatever brings it."""
    return name.partition("@")[0]


@contextmanager
def running(name: str, folder: Path, address: str, lines: Sequence[str]) -> Iterator[Path]:
    """Run a proxy in front of a server, with these lines of configuration; yields its socket."""
    kind, _, where = name.partition("@")
    listening, program = folder / "front.sock", programs.find(kind, where or None).path
    text = "\n".join(lines)
    env = os.environ | dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"), str(folder))
    match kind:
        case "nginx":
            conf = folder / "nginx.conf"
            http = f"access_log off;\n{real.temporary(folder)}\n{text}\n{_SITE}"
            main = f"daemon off; master_process off; pid {folder}/pid; events {{}}\n"
            conf.write_text(f"{main}http {{\n{http.replace('SOCKET', str(listening))}}}\n")
            command = [program, "-p", str(folder), "-c", str(conf), "-e", str(folder / "error.log")]
        case "haproxy":
            conf = folder / "haproxy.cfg"
            conf.write_text(_HAPROXY.replace("SOCKET", str(listening)) + text + "\n")
            command = [program, "-db", "-f", str(conf)]
        case "envoy":
            conf = folder / "envoy.yaml"
            host, _, port = address.rpartition(":")
            whole = _ENVOY.replace("SOCKET", str(listening)).replace("HOST", host).replace("PORT", port)
            whole = whole.replace("MANAGER", f"type.googleapis.com/{_MANAGER}")
            conf.write_text(whole + indent(text, "    ") + "\n")
            command = [program, "-c", str(conf), "--disable-hot-restart", "--concurrency", "1", "-l", "error"]
        case _:
            conf = folder / "Caddyfile"
            conf.write_text(_CADDY.replace("SOCKET", str(listening)) + indent(text, "    ") + "\n}\n")
            command = [program, "run", "--config", str(conf), "--adapter", "caddyfile"]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=env)
    with process:
        try:
            _wait_until_listening(process, listening, folder / "output")
            yield listening
        finally:
            process.kill()


def _wait_until_listening(process: subprocess.Popen[bytes], listening: Path, output: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        assert process.poll() is None, output.read_text()
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(listening)) == 0:
                return
        time.sleep(0.01)
    raise AssertionError(f"{listening} does not listen: {output.read_text()}")
