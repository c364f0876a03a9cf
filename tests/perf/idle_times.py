"""Measure the idle times of servers as they come, and print docs/reference/idle-times.md.

    make idle-times

It takes as long as --max says (330 s: Caddy's five minutes are the longest that end): all servers are probed
at the same time. Every figure of the page comes from here.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.probe.cases import BAD_REQUEST, HEAD, HTTP_1_0, NOT_FOUND
from bench.probe.model import IdleTimeout, ProbeResult
from tests.probe.servers import SERVERS, RealServer
from tests.probe.together import probe_all

_TEXT = """\
# How long servers keep an idle connection

A proxy that keeps connections to a server has to close an idle one before the server does. Otherwise a
request can meet the end of its connection, and is lost. So a proxy's idle time has to be below the server's,
and the server's is rarely known. `bench probe HOST:PORT` measures it.

This is what it found at servers with default settings, with no idle time configured, on loopback. `python -m
tests.perf.idle_times` wrote this page. "Not within" means that the probe waited so long, and no end came.

"""
_AFTER = """
`bench probe` says the same of a server that is configured otherwise, or that stands behind something which
ends connections of its own accord, such as a load balancer.
"""
_LEGEND = (
    'In the next table, "-" means that the server never gave this response, such as 404 from one that answers'
    " every path."
)
_COLUMNS = ("server", "idle connection ends after", "by", "in HTTP/2", "announced", "configured by")
_KEPT_COLUMNS = ("server", "HTTP", "kept after GET", "HTTP/1.0 keep-alive", "HEAD", "404", "400")


def main(arguments: list[str]) -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--max", type=float, default=330.0, help="seconds to wait for the ends")
    max_s = parser.parse_args(arguments).max
    with tempfile.TemporaryDirectory() as folder:
        found = probe_all({}, max_s, Path(folder))
    sys.stdout.write(_TEXT + "".join(_tables(found)) + _AFTER)


def _tables(found: dict[str, ProbeResult]) -> Iterator[str]:
    servers = [server for server in SERVERS if server.name in found]
    yield _table(_COLUMNS, [_idle_row(server, found[server.name]) for server in servers])
    notes = [server.note for server in servers if server.note]
    yield f"\n{' '.join([*notes, _LEGEND])}\n\n"
    yield _table(_KEPT_COLUMNS, [_kept_row(server, found[server.name]) for server in servers])


def _table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [columns, tuple("---" for _ in columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _idle_row(server: RealServer, result: ProbeResult) -> tuple[str, ...]:
    ending = "-" if result.idle is None or result.idle.ending is None else str(result.idle.ending)
    in_http2 = "-" if result.idle_http2 is None else _format(result.idle_http2)
    seconds = result.announced_idle_s
    announced = "-" if seconds is None else f"`Keep-Alive: timeout={seconds:g}`"
    option = f"`{server.option}`" if server.option else "-"
    return f"{server.name} {server.version}", _format(result.idle), ending, in_http2, announced, option


def _format(idle: IdleTimeout | None) -> str:
    if idle is None:
        return "its first response"
    if idle.high_s is None:
        return f"not within {idle.low_s:.0f} s"
    digits = 2 if idle.high_s < 10 else 1
    return f"{idle.low_s:.{digits}f} to {idle.high_s:.{digits}f} s"


def _kept_row(server: RealServer, result: ProbeResult) -> tuple[str, ...]:
    kept = {case.name: case.kept for case in result.cases}
    names = ("HTTP/1.1 GET", HTTP_1_0, HEAD, NOT_FOUND, BAD_REQUEST)
    words = {True: "yes", False: "no", None: "-"}
    versions = ", ".join(name.removeprefix("HTTP/") for name in result.versions)
    return server.name, versions, *(words[kept[name]] for name in names)


if __name__ == "__main__":
    main(sys.argv[1:])
