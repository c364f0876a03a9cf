"""Each rule is proven by real nginx or says why not; here by the examples alone, where those show it.

They do for a rule about reuse whose good example is reused while the bad one is not. Every other rule has a
test of its own with `@proves`, in the files beside this one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from nginx import versions
from nginx.check import CheckResult, check
from nginx.finding import Severity
from nginx.rules import CATALOGUE, Rule
from tests import needs
from tests.nginx import real
from tests.nginx.rules.proving import PROGRAMS, proven

PROVEN_BY_NAME = proven()
ANSWERS = {"bad": "not reused", "good": "reused"}
"""What a counting server has to see of the examples, so that they prove their rule."""
_EXCHANGES: dict[str, Callable[..., bool]] = {
    "fastcgi_pass": real.fastcgi_exchange,
    "uwsgi_pass": real.uwsgi_exchange,
}


def judged(text: str, version: str) -> tuple[CheckResult, str]:
    """Return what is found in a configuration, and the answer on its first location, if it has one."""
    found = check("x", [version], text=text)
    return found, found.locations[0].verdicts[version].answer if found.locations else ""


def shows(rule: Rule) -> bool:
    """Return whether the examples of a rule differ in what a counting server sees."""
    answers = {"bad": judged(rule.bad, rule.shown_on)[1], "good": judged(rule.good, rule.shown_on)[1]}
    return rule.about_reuse and answers == ANSWERS


PROVEN_BY_EXAMPLE = [
    rule for rule in CATALOGUE.values() if rule.id not in PROVEN_BY_NAME and not rule.unproven and shows(rule)
]


@pytest.mark.parametrize("rule", CATALOGUE.values(), ids=lambda rule: rule.id)
def test_each_rule_is_proven_or_says_why_not(rule: Rule) -> None:
    ways = (rule.id in PROVEN_BY_NAME, rule in PROVEN_BY_EXAMPLE, bool(rule.unproven))
    assert sum(ways) == 1, "it needs a test with @proves, or unproven="


def runnable(text: str, address: str) -> str:
    text = re.sub(r"(?:10\.0\.0|127\.0\.0)\.\d:\d+|app\.internal:8080|unix:/run/app\.sock", address, text)
    return re.sub(r"server \{(?=\s*(?:listen|location|proxy|resolver))", "server { listen SOCKET;", text)


def is_old(version: str) -> bool:
    return versions.parse(version) < versions.POOL_BY_DEFAULT


@needs.unless(bool(PROGRAMS), "nginx")
@pytest.mark.parametrize("version", PROGRAMS)
@pytest.mark.parametrize("example", ANSWERS)
@pytest.mark.parametrize("rule", PROVEN_BY_EXAMPLE, ids=lambda rule: rule.id)
def test_only_the_good_example_is_reused(rule: Rule, example: str, version: str, tmp_path: Path) -> None:
    """On the other side of 1.29.7 than the examples are shown for, what the verdict says."""
    text = rule.bad if example == "bad" else rule.good
    exchange = next((found for name, found in _EXCHANGES.items() if name in text), real.http_exchange)
    with real.serving(exchange) as server:
        text = runnable(text, server.address)
        found, answer = judged(text, version)
        if is_old(version) == is_old(rule.shown_on):
            assert answer == ANSWERS[example]
        if found.worst() == Severity.ERROR:
            assert real.refusal(PROGRAMS[version], tmp_path, f"events {{}}\nhttp {{ {text} }}") is not None
            return
        with real.running(PROGRAMS[version], tmp_path, text) as listening:
            assert real.request(listening) == [200] * real.REQUESTS
            closes_first = found.locations[0].verdicts[version].closes_first
            assert closes_first != "nginx" or server.was_left(real.REQUESTS)
    assert server.accepted == (1 if answer == "reused" else real.REQUESTS)
