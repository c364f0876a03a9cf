"""Proxies in front of real servers: idle time loses requests, and the advice from the probe ends that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.probe.advice import advise
from bench.probe.model import ProbeResult
from tests import needs
from tests.probe import fronts
from tests.probe.behaviours import probed
from tests.probe.clients import LOST, Answer, Clients
from tests.probe.long_line import LongLine, long_line
from tests.probe.servers import SERVERS, RealServer, running

CLIENTS = 8
IDLE_S = 2.0
"""What each server is configured to; Node adds a second."""
MAX_S = 20.0
LOST_BY = frozenset({502, 503, LOST})
"""How a proxy says that a request is lost."""
NAMES = ("node", "gunicorn gthread", "uvicorn", "hypercorn", "aiohttp", "nginx")


def lines_for(name: str, found: ProbeResult, line: LongLine) -> Sequence[str]:
    """Return what a proxy must be told about a server that is reached through a line."""
    advice = advise(replace(found, port=line.port_of_line))
    return next(each.lines for each in advice if each.proxy.lower() == fronts.product(name))


def post_at_the_end(name: str, folder: Path, line: LongLine, lines: Sequence[str]) -> list[Answer]:
    """Send POSTs as soon as each connection of the proxy was ended by one side; return the answers."""
    folder.mkdir()
    with fronts.running(name, folder, line.address, lines) as listening:
        clients = Clients(listening, CLIENTS)
        try:
            assert clients.send("GET") == [200] * CLIENTS
            line.wait_for_ends()
            return clients.send("POST")
        finally:
            clients.close()


def pairs() -> list[object]:
    """Return nginx in front of each server, and each other proxy in front of the first of them."""
    found: list[object] = []
    for server in (server for server in SERVERS if server.name in NAMES):
        for name in fronts.FRONTS if server.name == NAMES[0] else ("nginx",):
            is_here = needs.unless(server.is_here, server.program or server.package, server.remedy)
            case = f"{name}-{server.name.replace(' ', '-')}"
            found.append(pytest.param(name, server, marks=[needs.program(name), is_here], id=case))
    return found


@pytest.mark.long
@pytest.mark.parametrize(("name", "server"), pairs())
def test_what_a_probe_measures_of_it_ends_its_race(name: str, server: RealServer, tmp_path: Path) -> None:
    with running(server, tmp_path, IDLE_S) as port:
        found = probed(port, MAX_S)
        with long_line(port) as line:
            lines = fronts.by_default(name, line.address)
            answers = post_at_the_end(name, tmp_path / "default", line, lines)
            assert line.ended >= 1
            assert sum(answer in LOST_BY for answer in answers) == line.crossed >= 1
        with long_line(port) as line:
            advised = lines_for(name, found, line)
            answers = post_at_the_end(name, tmp_path / "advised", line, advised)
            assert (line.ended, line.crossed) == (0, 0)
            assert LOST_BY.isdisjoint(answers)
