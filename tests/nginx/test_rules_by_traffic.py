"""The examples of the rules about reuse, bad and good, in front of real nginx: verdicts hold.

What a rule says about a part of the reuse (churn, stale connections) is in test_effects_by_traffic, what it
says about something else in the files beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import needs
from nginx import versions
from nginx.check import examine
from nginx.rules import CATALOGUE, Rule
from tests.nginx import (  # each of them enters its rules in PROVEN
    real,
    test_clients_by_traffic,  # noqa: F401
    test_effects_by_traffic,
    test_protocols_by_traffic,  # noqa: F401
    test_sharing_by_traffic,  # noqa: F401
    test_streams_by_traffic,  # noqa: F401
    test_workers_by_traffic,  # noqa: F401
)

PROGRAMS = real.programs()
BY_ANOTHER_TABLE = {"NK037"}  # memcached, in test_traffic
BY_EFFECT = test_effects_by_traffic.PROVEN
PROVEN = [
    rule for rule in CATALOGUE.values() if not rule.unproven and rule.id not in BY_EFFECT | BY_ANOTHER_TABLE
]
REQUESTS = 12
_SPOKEN: dict[str, Callable[..., bool]] = {
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
@pytest.mark.parametrize("rule", PROVEN, ids=lambda rule: rule.id)
def test_verdict_on_example(rule: Rule, example: str, version: str, tmp_path: Path) -> None:
    text = rule.bad if example == "bad" else rule.good
    exchange = next((found for name, found in _SPOKEN.items() if name in text), real.http_exchange)
    with real.serving(exchange) as server:
        text = runnable(text, server.address)
        if "keepalive 0" in text and versions.parse(version) < versions.POOL_BY_DEFAULT:
            refusal = real.is_refused(PROGRAMS[version], tmp_path, f"events {{}}\nhttp {{ {text} }}")
            assert refusal is not None
            assert 'invalid value "0"' in refusal
            return
        verdict = examine("x", [version], text=text).locations[0].verdicts[version]
        with real.running(PROGRAMS[version], tmp_path, text) as listening:
            assert real.ask(listening, count=REQUESTS) == [200] * REQUESTS
            assert verdict.closer != "nginx" or server.was_left(REQUESTS)
    if rule.id == "NK020" and example == "bad":
        assert server.accepted == 2  # ten requests on the first connection
    else:
        assert server.accepted == (1 if verdict.answer == "reused" else REQUESTS)
