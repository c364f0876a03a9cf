"""The probe finds the idle time of real servers: configured to 1 to 5 s, and as they come.

All run at the same time, so that the waits are not added up.
"""

from __future__ import annotations

import pytest

from bench.probe.limits import DEFAULT_REQUESTS, MOST_CONNECTIONS
from bench.probe.model import Ending, IdleTimeout, ProbeResult
from tests import needs
from tests.probe.behaviours import case
from tests.probe.servers import SERVERS, RealServer
from tests.probe.together import probe_all

CONFIGURED_S = {
    "node": 3.0,
    "gunicorn sync": 2.0,
    "gunicorn gthread": 3.0,
    "uvicorn": 5.0,
    "hypercorn": 2.0,
    "waitress": 2.0,
    "aiohttp": 4.0,
    "nginx": 1.0,
    "haproxy": 2.0,
    "caddy": 3.0,
}
OWN_MAX_S = 90.0
"""How long the defaults are waited for: nginx's 75 s show, and what is longer is told to be."""


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ProbeResult]:
    """What the probe found at each server with a configured idle time."""
    return probe_all(CONFIGURED_S, 30.0, tmp_path_factory.mktemp("configured"))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ProbeResult]:
    """What the probe found at each server as it comes."""
    return probe_all({}, OWN_MAX_S, tmp_path_factory.mktemp("own"))


def result_of(server: RealServer, found: dict[str, ProbeResult]) -> ProbeResult:
    if server.name not in found:
        needs.skip(server.program or server.package, server.remedy)
    return found[server.name]


def is_found(idle: IdleTimeout, real_s: float, every_s: float) -> bool:
    """Return whether the interval meets the real idle time within 5 % or 0.5 s, and is not much wider.

    `every_s` is how much later than `real_s` the server may end a connection.
    """
    assert idle.high_s is not None
    slack_s = max(0.05 * real_s, 0.5)
    meets = idle.low_s <= real_s + every_s + slack_s and idle.high_s >= real_s - slack_s
    return meets and idle.low_s >= real_s - 2 * slack_s and idle.high_s <= real_s + every_s + 2 * slack_s


@pytest.mark.long
@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name.replace(" ", "-"))
def test_a_configured_idle_time_is_found(server: RealServer, configured: dict[str, ProbeResult]) -> None:
    result = result_of(server, configured)
    assert result.connections_used <= MOST_CONNECTIONS
    assert result.requests_used <= DEFAULT_REQUESTS
    assert case(result, "HTTP/1.1 GET").kept is server.keeps
    if not server.keeps:
        assert result.idle is None
        return
    assert result.idle is not None
    assert is_found(result.idle, CONFIGURED_S[server.name], server.every_s), result.idle
    assert result.idle.ending in (Ending.FIN, Ending.RST)
    assert len(result.idle.seen_s) >= 4


@pytest.mark.long
@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name.replace(" ", "-"))
def test_the_idle_time_of_a_server_as_it_comes(server: RealServer, own: dict[str, ProbeResult]) -> None:
    result = result_of(server, own)
    if not server.keeps:
        assert result.idle is None
        return
    assert result.idle is not None
    if server.own_s is None or server.own_s[0] > OWN_MAX_S:
        assert (result.idle.high_s, result.idle.low_s >= OWN_MAX_S) == (None, True), result.idle
    else:
        least_s, greatest_s = server.own_s
        assert is_found(result.idle, least_s, greatest_s - least_s), result.idle
