"""Each number of the documents comes from a reference run, or it is a constant with its source."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from bench.scenarios import catalogue
from bench.tour import article
from docs.site import figures, numbers
from docs.site.figures import FigureError
from docs.site.pages import ROOT

FILES = {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in figures.find_files()}
_HELD = ("README", "docs/index", "docs/how-to/", "docs/concepts/", "docs/reference/scenarios")
HELD = [name for name in FILES if name.startswith(_HELD)]


@pytest.mark.parametrize("name", FILES)
def test_marks_hold_what_the_reference_runs_say(name: str) -> None:
    assert figures.update(FILES[name]) == FILES[name], "make figures"


@pytest.mark.parametrize("name", HELD)
def test_no_number_is_typed(name: str) -> None:
    typed = numbers.find_typed(FILES[name], numbers.read_constants())
    assert typed == [], "mark it (docs/development/write-a-page.md), or name its source in constants.toml"


@pytest.mark.parametrize("text", numbers.read_constants())
def test_each_constant_is_in_use(text: str) -> None:
    assert any(text in FILES[name] for name in HELD)


@pytest.mark.parametrize(
    ("mark", "figure"),
    [
        ("reference:short:ports.rate_before", "5,775"),
        ("reference:short:ports.rate_before:min as 1", "5,610.7"),
        ("reference:short:ports.rate_after as 2 digits", "280"),
        ("reference:short:ports.rate_before:count", "6"),
        ("reference:keepalive:latency_ms.p99", "5.12"),
        ("reference:keepalive:latency_ms.p99 * 1000", "5,125"),
        ("reference:keepalive:requests_per_s / reference:short:ports.rate_before as 2", "3.84"),
        ("reference:short:upstream.connections_opened - reference:keepalive:load.connections as 0", None),
        ("reference-push:sse@nginx:times_ms.delay.p50 as 1", "9.7"),
        ("reference-push:sse@nginx:figures.lost:sum", "0"),
        ("reference-perf/perf.json:what=load generator, 64 connections & other=wrk:ratio/center", "1.02"),
        ("reference-comparison/false-alarms.json::a core for each role/equal/comparisons", "50"),
        ("reference-prove/prove.json::proofs/0/locations/0/measured/connections", "9"),
        ("reference-prove/prove.json::proofs/1/locations/0/measured/connections", None),
        ("reference:short:requests_per_s", None),
        ("reference:short:no_such_key", None),
        ("reference-push:sse:times_ms.delay.p50", None),
        ("reference-push:no-such@nginx:times_ms.delay.p50", None),
        ("reference-gone:short:latency_ms.p50", None),
        ("reference:short:ports.rate_before as long", None),
        ("reference", None),
    ],
)
def test_a_mark_names_a_figure_or_is_refused(mark: str, figure: str | None) -> None:
    if figure is None:
        with pytest.raises(FigureError):
            figures.format_figure(mark)
    else:
        assert figures.format_figure(mark) == figure


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (0.00123, "", "0.00123"),
        (9.99, "", "9.99"),
        (99.96, "", "100"),
        (123.4, "", "123"),
        (28232, "", "28,232"),
        (28232, "2 digits", "28,000"),
        (0.254, "0%", "25 %"),
        (1.25, "1", "1.2"),
        (1.2551, "2", "1.26"),
    ],
)
def test_a_value_has_the_form_that_is_asked_for(value: float, form: str, text: str) -> None:
    assert figures.format_value("", value, form) == text


@pytest.mark.parametrize("name", catalogue.NAMES)
def test_a_scenario_has_its_variants_settings_and_a_reference_run(name: str) -> None:
    page = FILES["docs/reference/scenarios.md"]
    for mark in (f"variants {name}", f"claims {name}", f"settings {name}", f"run reference-{name}"):
        assert f"<!-- {mark} -->" in page
    variants, settings = figures.format_part("variants", name), figures.format_part("settings", name)
    scenario = catalogue.load(name)
    assert [
        each.name for each in scenario.variants if f"| `{each.name}` | {each.summary}" not in variants
    ] == []
    assert all(f"| `{each.name}` |" in settings for each in fields(scenario.settings))
    run = figures.format_part("run", f"reference-{name}")
    assert f"`results/reference-{name}/`: 20" in run
    assert " cores, Linux " in run


@pytest.mark.parametrize("name", catalogue.NAMES)
def test_what_is_said_of_a_scenario_stands_beside_what_was_measured_and_nowhere_alone(name: str) -> None:
    claim = catalogue.load(name).claim
    shown = figures.format_part("claims", name)
    assert shown.startswith(f"What is said: “{claim}” What the reference run shows:\n")
    verdicts = re.findall(r"^- “.+”: \*\*(true|false|it depends)\*\*\. ", shown, flags=re.MULTILINE)
    judged = [each for each in article.select([name]) if each.judge is not None]
    assert len(verdicts) == len(judged) > 0
    assert claim not in figures.format_part("variants", name)


def test_http2_and_tls_are_not_said_to_be_what_their_tables_do_not_show() -> None:
    shown = figures.format_part("claims", "http2") + figures.format_part("claims", "tls")
    assert "“HTTP/2 is faster than HTTP/1.1”: **true**" not in shown
    assert "nginx does not multiplex requests to its servers" in shown
    assert "of the CPU of the server on a new connection" in shown


def test_marks_are_rewritten_in_place() -> None:
    page = "Rate <!-- figure reference:short:ports.rate_before -->1<!-- /figure -->/s.\n"
    assert figures.update(page) == page.replace(">1<", ">5,775<")
    part = "<!-- settings push -->\nold\n<!-- /settings -->\n"
    assert figures.update(part) == part.replace("old", f"\n{figures.format_part('settings', 'push')}")
    output = "<!-- output bench --version -->\n```\nold\n```\n<!-- /output -->\n"
    assert figures.update(output) == output.replace("old", figures.run_command("bench --version").strip())


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("It took 1.8 s and 25 % of 28,232.", ["1.8 s", "25 %", "28,232"]),
        ("It took <!-- figure reference:short:ports.rate_before -->5,775<!-- /figure -->.", []),
        ("Each of the 3 roles has 12 sockets.", ["12"]),
        ("For 60 s, and for 160 s.", ["160 s"]),
        ("nginx 1.29.7, HTTP/1.1, TLS 1.2 and 1.3, Python 3.11, RFC 9112, section 9.3, a 502 and 504s", []),
        ("502 requests, 31,502 ports", ["31,502 ports"]),
        ("Listen at 10.0.0.1:8080, with `keepalive 32`.", []),
        ("1. First\n2. Then 20 times\n", ["20 times"]),
        ("```\nbench run --rate 5000\n```\n", []),
        ("```nginx\nkeepalive 32;\n```\n", []),
        ("```\nrequests/s 31,784\n```\n", ["31,784"]),
        ("<!-- output bench show results/reference -->\n```\n31,784\n```\n<!-- /output -->\n", []),
    ],
)
def test_a_typed_number_is_found(text: str, typed: list[str]) -> None:
    assert numbers.find_typed(text, {"60 s": "include/net/tcp.h"}) == typed
