"""What each way asks of the proxy in front: one connection a request or a pool, and what is to be carried."""

from __future__ import annotations

import pytest

from bench.plan import run_plan
from bench.plan.run_plan import Mode
from bench.plan.scenario_plan import Case
from bench.scenarios import catalogue
from bench.subjects.subject import Traffic, UpstreamTls

SHORT, KEPT = Mode.SHORT, Mode.KEEPALIVE
STREAM, TUNNEL = Traffic(streams=True), Traffic(upgrade=True)
BOTH = Traffic(upgrade=True, streams=True)
NOTHING = Traffic()

ASKED = {
    "push": {
        "short-poll-new": (SHORT, NOTHING),
        "short-poll": (KEPT, NOTHING),
        "long-poll": (KEPT, STREAM),
        "sse": (KEPT, STREAM),
        "websocket": (KEPT, TUNNEL),
        "websocket-picows": (KEPT, TUNNEL),
    },
    "chat": {
        "ours": (KEPT, TUNNEL),
        "channels": (KEPT, TUNNEL),
        "idle": (KEPT, Traffic(upgrade=True, silence_s=1.0)),
        "idle-beats": (KEPT, Traffic(upgrade=True, silence_s=1.0)),
    },
    "stream": {"sse": (KEPT, STREAM), "websocket": (KEPT, TUNNEL), "sse-plain": (KEPT, NOTHING)},
    "broker": {
        "short-poll-new": (SHORT, NOTHING),
        "short-poll": (KEPT, NOTHING),
        "long-poll": (KEPT, STREAM),
        "push": (KEPT, BOTH),
    },
    "registry": {"http-short": (SHORT, NOTHING), "http-kept": (KEPT, NOTHING), "stream": (KEPT, BOTH)},
    "http2": {
        "short": (SHORT, NOTHING),
        "keep-alive": (KEPT, NOTHING),
        "h2": (KEPT, Traffic(client_http="2", http2_upstream=True)),
        "h2-to-h1": (KEPT, Traffic(client_http="2")),
        "h1-to-h2": (KEPT, Traffic(http2_upstream=True)),
    },
    "migration": {
        "quic": (KEPT, Traffic(client_http="3", streams=True)),
        "sse-timeout": (KEPT, STREAM),
        "websocket": (KEPT, BOTH),
        "keep-alive": (KEPT, NOTHING),
    },
    "tls": {
        "plain-new": (SHORT, NOTHING),
        "plain-kept": (KEPT, NOTHING),
        "tls12-new": (SHORT, Traffic(upstream_tls=UpstreamTls("1.2", resumes=False))),
        "tls12-resumed": (SHORT, Traffic(upstream_tls=UpstreamTls("1.2", resumes=True))),
        "tls13-resumed": (SHORT, Traffic(upstream_tls=UpstreamTls("1.3", resumes=True))),
        "tls13-kept": (KEPT, Traffic(upstream_tls=UpstreamTls("1.3", resumes=False))),
    },
}
ROWS = [
    pytest.param(name, variant, mode, carries, id=f"{name} {variant}")
    for name, variants in ASKED.items()
    for variant, (mode, carries) in variants.items()
]


@pytest.mark.parametrize(("name", "variant", "mode", "carries"), ROWS)
def test_a_way_asks_the_proxy_for_what_it_is_about(
    name: str, variant: str, mode: Mode, carries: Traffic
) -> None:
    scenario = catalogue.load(name)
    asked = scenario.proxy_setup(Case(variant, run_plan.Subject(name="nginx")), scenario.settings())
    assert asked is not None
    assert (asked.mode, asked.traffic) == (mode, carries)
