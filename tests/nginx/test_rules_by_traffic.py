"""The examples of the rules about reuse, bad and good, in front of real nginx.

Left out: the examples that need more than a server of a few lines; they are named below.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nginx.check import examine
from nginx.rules import CATALOGUE, Rule
from tests.nginx import real

PROGRAMS = real.programs()
LEFT_OUT = {
    "NK007": "its bad example resolves a name",
    "NK015": "its bad example loads only since 1.29.7",
    "NK035": "its bad example speaks uwsgi",
}
PROVEN = [rule for rule in CATALOGUE.values() if rule.about_reuse and rule.id not in LEFT_OUT]


def runnable(text: str, address: str) -> str:
    text = re.sub(r"(?:10\.0\.0|127\.0\.0)\.\d:\d+", address, text)
    return text.replace("server {", "server { listen SOCKET;")


@pytest.mark.skipif(not PROGRAMS, reason="no nginx here: neither the system's nor the wheel's")
@pytest.mark.parametrize("version", PROGRAMS)
@pytest.mark.parametrize("example", ["bad", "good"])
@pytest.mark.parametrize("rule", PROVEN, ids=lambda rule: rule.id)
def test_verdict_on_example(rule: Rule, example: str, version: str, tmp_path: Path) -> None:
    text = rule.bad if example == "bad" else rule.good
    exchange = real.fastcgi_exchange if "fastcgi_pass" in text else real.http_exchange
    with real.serving(exchange) as server:
        text = runnable(text, server.address)
        with real.running(PROGRAMS[version], tmp_path, text) as listening:
            assert real.ask(listening, count=12) == [200] * 12
    verdict = examine("x", [version], text=text).locations[0].verdicts[version]
    if rule.id == "NK020" and example == "bad":
        assert server.accepted == 2  # ten requests on the first connection
    else:
        assert server.accepted == (1 if verdict.answer == "reused" else 12)
