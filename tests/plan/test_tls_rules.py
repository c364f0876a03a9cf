"""What a plan may say of TLS and HTTP/2: tables of what is refused, and of what is not."""

from __future__ import annotations

from typing import Any

import pytest

from bench.errors import PlanError
from bench.plan import run_plan

HTTPS = {"target": "https://127.0.0.1/"}
HTTP = {"target": "http://127.0.0.1/"}
REFUSED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"load": {"insecure": True}}, "load.insecure has no effect"),
    ({"load": {"tls_sessions": False}, "subject": HTTP}, "load.tls_sessions has no effect"),
    ({"load": {"cacert": "a.pem"}, "subject": HTTP}, "load.cacert = 'a.pem' has no effect"),
    ({"load": {"cacert": "a.pem", "tls": True}}, "the certificate is made for the run"),
    ({"load": {"sni": "a.test", "tls": True}}, "the certificate is made for the run"),
    ({"load": {"cacert": "a.pem", "insecure": True}, "subject": HTTPS}, "beside load.insecure"),
    ({"subject": {"upstream_tls_sessions": False}}, "has no effect without TLS to the backend"),
    ({"load": {"streams": 4}}, "load.streams = 4 has no effect without HTTP/2"),
    ({"load": {"streams": 0, "http2": True}}, "load.streams = 0 must be at least 1"),
    (
        {"load": {"http2": True, "client_mode": "short"}, "subject": {"name": "nginx"}},
        "keeps its connections",
    ),
    ({"load": {"http2": True}, "subject": HTTPS}, "keeps its connections"),  # mode both
    ({"load": {"http2": True}, "subject": {"name": "direct"}, "mode": "keepalive"}, "speaks HTTP/1.1"),
    ({"load": {"http2": True, "second_opinion": "wrk"}, "subject": {"name": "nginx"}}, "run with HTTP/1.1"),
    (
        {"load": {"http2": True, "headers": ["Connection: keep-alive"]}, "subject": {"name": "nginx"}},
        "load.headers has a field about the connection",
    ),
)
ACCEPTED: tuple[dict[str, Any], ...] = (
    {"load": {"tls": True, "insecure": True, "tls_sessions": False}},
    {"load": {"cacert": "a.pem", "sni": "a.test"}, "subject": HTTPS},
    {"load": {"http2": True, "streams": 8}, "subject": {"name": "nginx"}},
    {"load": {"http2": True}, "subject": HTTPS, "mode": "keepalive"},
    {"load": {"http2": True, "headers": ["TE: trailers"]}, "subject": {"name": "nginx"}},
    {"subject": {"upstream_tls": True, "upstream_tls_sessions": False}},
)


@pytest.mark.parametrize(("values", "reason"), REFUSED)
def test_what_makes_no_sense_is_refused_in_a_line(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(PlanError) as raised:
        run_plan.build(values)
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("values", ACCEPTED)
def test_what_makes_sense_is_accepted(values: dict[str, Any]) -> None:
    plan = run_plan.build(values)
    assert plan.concurrency == plan.load.connections * plan.load.streams


def test_the_backend_speaks_tls_with_whom_comes_to_it() -> None:
    assert run_plan.build({"subject": {"name": "direct"}, "load": {"tls": True}}).has_backend_tls
    assert run_plan.build({"subject": {"upstream_tls": True}}).has_backend_tls
    assert not run_plan.build({"load": {"tls": True}}).has_backend_tls
