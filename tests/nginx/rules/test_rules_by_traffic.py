"""The examples of the rules about reuse, bad and good, in front of real nginx: verdicts hold.

Rules about a part of the reuse (churn, stale connections) are proven in test_effects_by_traffic.py, others in
the files beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from nginx import versions
from nginx.check import check
from nginx.rules import CATALOGUE, Rule
from tests import needs
from tests.nginx import real
from tests.nginx.rules.proving import PROGRAMS, proven

PROVEN_BY_NAME = proven()
BY_ANOTHER_TABLE = {"NK037"}  # memcached, in tests/nginx/test_verdict_by_traffic.py
PROVEN_BY_EXAMPLE = [
    rule
    for rule in CATALOGUE.values()
    if not rule.unproven and rule.id not in PROVEN_BY_NAME | BY_ANOTHER_TABLE
]
REQUESTS = 12
_EXCHANGES: dict[str, Callable[..., bool]] = {
    "fastcgi_pass": real.fastcgi_exchange,
    "uwsgi_pass": real.uwsgi_exchange,
}


def runnable(text: str, address: str) -> str:
    text = re.sub(r"(?:10\.0\.0|127\.0\.0)\.\d:\d+|app\.internal:8080|unix:/run/app\.sock", address, text)
    text = text.replace("http://backend;", f"http://{address};")
    return re.sub(r"server \{(?=\s*(?:listen|location|proxy|resolver))", "server { listen SOCKET;", text)


@needs.unless(bool(PROGRAMS), "nginx")
@pytest.mark.parametrize("version", PROGRAMS)
@pytest.mark.parametrize("example", ["bad", "good"])
@pytest.mark.parametrize("rule", PROVEN_BY_EXAMPLE, ids=lambda rule: rule.id)
def test_verdict_on_example(rule: Rule, example: str, version: str, tmp_path: Path) -> None:
    text = rule.bad if example == "bad" else rule.good
    exchange = next((found for name, found in _EXCHANGES.items() if name in text), real.http_exchange)
    with real.serving(exchange) as server:
        text = runnable(text, server.address)
        if "keepalive 0" in text and versions.parse(version) < versions.POOL_BY_DEFAULT:
            refusal = real.refusal(PROGRAMS[version], tmp_path, f"events {{}}\nhttp {{ {text} }}")
            assert refusal is not None
            assert 'invalid value "0"' in refusal
            return
        verdict = check("x", [version], text=text).locations[0].verdicts[version]
        with real.running(PROGRAMS[version], tmp_path, text) as listening:
            assert real.request(listening, count=REQUESTS) == [200] * REQUESTS
            assert verdict.closes_first != "nginx" or server.was_left(REQUESTS)
    if rule.id == "NK020" and example == "bad":
        assert server.accepted == 2  # ten requests on the first connection
    else:
        assert server.accepted == (1 if verdict.answer == "reused" else REQUESTS)


def test_no_rule_that_is_proven_says_why_not() -> None:
    assert not [rule.id for rule in CATALOGUE.values() if rule.unproven and rule.id in PROVEN_BY_NAME]
