"""The page of the tour leads through the claims: each with its verdict, its figures and its picture."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.report import html
from bench.report import tour as report
from bench.runs import read
from bench.runs.record import Refused
from bench.scenarios import catalogue
from bench.tour.article import CLAIMS
from bench.tour.evidence import ClaimVerdict
from bench.tour.ruling import RuledClaim, rule
from bench.tour.steps import Step
from tests.synthetic import KEEPALIVE, SHORT, write
from tests.tour.made_up_claims import BUSY, BY_NAME, rule_on, take_step
from tests.tour.rulings import BORNE_OUT, dropped, moved, multiplexed

COLUMNS = 80


def ruled(*names: str) -> tuple[list[RuledClaim], list[Step]]:
    steps = [take_step(BY_NAME[name], BORNE_OUT[name]) for name in names]
    return rule([BY_NAME[name] for name in names], steps), steps


def test_every_claim_is_a_section_and_a_line_of_the_contents_with_its_verdict() -> None:
    told = rule(CLAIMS, [])
    text = html.render(report.build_page(told, [], "2026-03-14"))
    contents = re.search(r"<nav.*?</nav>", text, re.DOTALL)
    assert contents is not None
    for number, each in enumerate(told, 1):
        verdict = each.ruling.verdict.value
        heading = f"{number}. {each.claim.heading}"
        assert re.search(rf"{verdict}</b></span> <a href=\"#s{number}\">{re.escape(heading)}<", contents[0])
        assert re.search(
            rf"<h2>.*<b class=\"badge \w+\">.*{verdict}</b></span> {re.escape(heading)}</h2>", text
        )
    assert len(re.findall("<li>", contents[0])) == len(CLAIMS)


def test_a_claim_shows_what_is_said_why_its_figures_and_its_picture() -> None:
    text = html.render(report.build_page(*ruled("websocket"), "2026-03-14"))
    for said in (
        "1 claim: 1 is true.",
        "What is said: <q>A WebSocket is one long connection in both directions",
        "A message took 0.00 requests and 301 bytes; by long polling it took 1.20 and 650.",
        "<th>long-poll</th><th>websocket</th>",
        "<td>bytes for each message</td><td>650</td><td>301</td>",
        "Without a proxy; lab: namespaces. One short trial of each",
        "websocket: one upgraded connection.",
        "<figcaption><b>Requests</b>",
        "<summary>From one publisher to many subscribers",
    ):
        assert said in text


def test_a_claim_shows_its_own_pictures_and_no_other() -> None:
    claim = replace(BY_NAME["http2"], pictures=("Request bytes",))
    step = take_step(claim, BORNE_OUT["http2"])
    text = html.render(report.build_page(rule([claim], [step]), [step], "2026-03-14"))
    assert re.findall("<figcaption><b>(.*?)</b>", text) == ["Request bytes"]


def test_the_cliff_is_shown_by_the_throughput_and_the_ratio_before_it_by_bars(tmp_path: Path) -> None:
    run = read.read(write(tmp_path, {"short": SHORT, "keepalive": KEEPALIVE}, trials=1))
    for name, pictures in (("cliff", ["Throughput"]), ("keepalive", ["Requests", "CPU of the proxy"])):
        told = rule([BY_NAME[name]], [Step("incident", run=run)])
        assert told[0].ruling.verdict is ClaimVerdict.TRUE
        text = html.render(report.build_page(told, [], "2026-03-14"))
        assert re.findall("<figcaption><b>(.*?)</b>", text) == pictures


def test_a_verdict_is_told_without_its_colour() -> None:
    signs = {report.BADGES[verdict].sign: report.BADGES[verdict].text for verdict in ClaimVerdict}
    assert signs == {"✓": "True", "✗": "False", "±": "It depends", "–": "Not measured here"}


def test_the_spread_of_several_trials_stands_in_the_table_and_not_in_the_sentence() -> None:
    found = rule_on("http2", multiplexed(1, 393), multiplexed(1, 401))
    assert "request: 397 and 1,107." in report.explain(found)
    cells = [cell for row in report.build_table(found.evidence).rows for cell in row]
    assert "397 (393 to 401)" in cells
    assert "2\u00a0of\u00a02" in cells


def test_what_does_not_count_is_void_in_the_table_and_said_below_it() -> None:
    claim = BY_NAME["polling"]
    step = take_step(claim, BORNE_OUT["polling"], valid=False, warnings=(BUSY,))
    text = html.render(report.build_page(rule([claim], [step]), [step], "2026-03-14"))
    assert 'long-poll">void</td>' in text
    assert "Not every trial counts in full, since others used the machine." in text
    assert "207" not in text
    assert "True, as far as measured</b>" in text
    assert 'data-column="sse">1 of 1, for counts and CPU</td>' in text
    assert "0\u00a0of\u00a01" not in text


def test_void_bars_are_not_called_medians_that_count() -> None:
    claim = BY_NAME["http2-speed"]
    step = take_step(claim, BORNE_OUT[claim.name], valid=False, warnings=(BUSY,))
    text = html.render(report.build_page(rule([claim], [step]), [step], "2026-03-14"))
    assert "Hatched and void: no trial counts for it" in text
    assert "Medians over the trials that count" not in text


def test_what_survived_is_a_word_and_no_number() -> None:
    found = rule_on("migration", moved(1, 0, 0), moved(1, 1, 0))
    cells = dict.fromkeys(found.evidence.cases)
    cells = {case: report.format_median(found.evidence, case, "survived") for case in cells}
    assert cells == {"quic-probe": "yes", "quic": "in 1 of 2", "sse": "no", "sse-timeout": "yes"}


def test_what_is_to_be_installed_is_one_command() -> None:
    needs = {"registry": ("stream", "picows", "push"), "migration": ("quic", "aioquic", "http3")}
    told = []
    for name, (case, module, extra) in needs.items():
        claim = BY_NAME[name]
        step = take_step(claim, {each: v for each, v in BORNE_OUT[name].items() if each != case})
        assert step.run is not None
        reason = f"needs {module}: pip install '.[{extra}]'"
        run = replace(step.run, refused=(Refused(case, "direct", reason),))
        told += rule([claim], [replace(step, run=run)])
    said = "to measure registry, migration: `pip install '.[push,http3]'` in a clone of bench"
    assert report.summarize_missing(told) == said
    assert report.summarize_missing([rule_on("chat", dropped(0, 70))]) == ""
    text = html.render(report.build_page(told, [], "2026-03-14"))
    assert "To measure registry, migration: <code>pip install" in text


@pytest.mark.parametrize(("guess", "ticked"), [(True, " checked"), (False, "")])
def test_verdicts_can_be_hidden_until_a_click(guess: bool, ticked: str) -> None:
    told, steps = ruled("websocket", "polling", "long-poll")
    text = html.render(report.build_page(told, steps, "2026-03-14", guess=guess))
    assert f'<main>\n<input type="checkbox" id="guess" class="box"{ticked}>' in text
    assert (
        len(re.findall(r'class="guessed">\n<input type="checkbox" id="reveal-s\d" class="box">', text)) == 3
    )
    # What the style hides has these classes, and nothing else of a claim tells its verdict.
    assert len(re.findall(r"<span class=\"badges\"><b class=\"badge", text)) == 2 * len(told)
    assert len(re.findall('<b class="badge', text)) == 2 * len(told)


def test_how_many_have_a_verdict_is_a_sentence_for_one_and_for_several() -> None:
    one = [rule_on("chat", dropped(0, 70))]
    assert report.count_verdicts(one) == "1 claim: 1 depends."
    assert report.count_verdicts(one * 2) == "2 claims: 2 depend."
    false = [rule_on("http2-push", {})] * 2
    assert report.count_verdicts(false + rule(CLAIMS[:1], [])) == (
        "3 claims: 2 are false, 1 was not measured here."
    )


def test_documents_are_links_and_nothing_is_loaded() -> None:
    push = [claim for claim in CLAIMS if claim.name == "http2-push"]
    text = html.render(report.build_page(rule(push, []), [], "2026-03-14"))
    assert '<a href="https://www.rfc-editor.org/rfc/rfc9113#section-8.4" rel="noreferrer">' in text
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text
    assert "<link" not in text
    assert " src=" not in text


def test_of_many_cases_each_is_a_row() -> None:
    found = rule_on("rpc", BORNE_OUT["rpc"])
    table = report.build_table(found.evidence)
    assert [row[0] for row in table.rows] == list(found.evidence.cases)
    assert table.columns[1] == "CPU of the provider, µs/call"


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_a_claim_and_its_verdict_are_one_line_of_80_columns(claim: object) -> None:
    for verdict in ClaimVerdict:
        (each,) = rule([claim], [])  # type: ignore[list-item]
        changed = replace(each, ruling=replace(each.ruling, verdict=verdict))
        (line,) = report.format_claims([changed]).splitlines()
        assert line.startswith(verdict.value)
        assert len(line) <= COLUMNS


def test_the_end_counts_the_verdicts_and_says_once_why_some_are_missing() -> None:
    told = [rule_on("chat", dropped(0, 70)), rule_on("migration", moved(1, 0, 0)), rule_on("http2-push", {})]
    lost = Step("push", catalogue.load("push"), problem="no <water>")
    told += rule([BY_NAME["polling"], BY_NAME["long-poll"]], [lost])
    assert report.format_end(told) == (
        "5 claims: 1 is false, 2 depend, 2 were not measured here.\n"
        "! not measured: polling, long-poll: Its run could not be made: no <water>\n"
    )
    page = html.render(report.build_page(told, [lost], "2026-03-14"))
    assert "many subscribers: polling, long polling, SSE, WebSocket: no &lt;water&gt;" in page
    assert "All figures" not in page
