"""stream, played small: every token comes, at once or as late as the settings have it."""

from __future__ import annotations

from pathlib import Path
from time import monotonic_ns
from typing import Any, cast

import aiohttp
import pytest

from bench.analysis.cases import Summary
from bench.runs.record import Percentiles, ScenarioRun, ScenarioTrial
from bench.scenarios.stream.clients import END, AnswerRead, AnswerReader
from bench.scenarios.stream.conclusion import conclude
from bench.scenarios.stream.definition import SCENARIO
from bench.scenarios.stream.settings import StreamSettings
from bench.scenarios.stream.variants import VARIANTS
from nginx import versions
from nginx.render import POOL_OFF, Reuse, SiteSettings, conf
from tests import bench_process, needs
from tests.scenarios import fake_testbed, sample_scenario

SMALL = ("--set", "tokens=20", "--set", "streams=2", "--set", "every_s=0.01", "--set", "warmup_s=0.2")
TOLD = {"tokens": 0, "doubled": 0, "cut": 0, "arrivals_s": [], "first_us": [], "gaps_us": [], "held_us": []}
needs_nginx = needs.program("nginx")


def play(root: Path, *arguments: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Run stream with `arguments` and return its trials by way and subject."""
    answer = bench_process.scenario("stream", *SMALL, *arguments, root=root)
    return {(trial["variant"], trial["subject"]["name"]): trial for trial in answer["trials"]}


@pytest.mark.parametrize(
    "subject", ["direct", *(pytest.param(each, marks=pytest.mark.long) for each in ("asyncio", "nginx"))]
)
def test_every_token_comes_once_and_in_time(subject: str, tmp_path: Path) -> None:
    if subject == "nginx":
        needs.need(subject)
    result = play(tmp_path, "--subject", subject, "--variant", "sse", "--variant", "websocket")
    for trial in result.values():
        assert trial["figures"] == {"tokens": 40, "lost": 0, "doubled": 0, "cut": 0}
        assert trial["units"] == 40
    assert len(result["sse", subject]["curves"]["tokens"]) == 20


@pytest.mark.long
@needs_nginx
def test_a_small_answer_waits_for_its_end_behind_http10_and_is_cut_by_a_short_timeout(tmp_path: Path) -> None:
    variants = ("--variant", "http10", "--variant", "read-timeout")
    result = play(tmp_path, "--subject", "nginx", *variants)
    held, cut = result["http10", "nginx"], result["read-timeout", "nginx"]
    # 20 tokens are no whole buffer: the first comes with the last, which is written 190 ms after it.
    assert held["times_ms"]["first"]["p50"] > 150
    assert held["figures"]["lost"] == 0
    assert (cut["figures"]["cut"], cut["figures"]["tokens"]) == (2, 2 * 10)


@pytest.mark.long
def test_a_browser_reads_an_answer_like_the_others(tmp_path: Path) -> None:
    needs.module("playwright")
    needs.need("chromium")
    flags = ("--subject", "direct", "--set", "browser=true", "--variant", "sse", "--variant", "websocket")
    for trial in play(tmp_path, *flags).values():
        assert (trial["figures"]["browser_tokens"], trial["figures"]["browser_lost"]) == (20, 0)


@pytest.mark.parametrize(
    ("variant", "lines"),
    [
        ("http10", {"proxy_http_version 1.0;"}),
        ("http10-unbuffered", {"proxy_http_version 1.0;", "proxy_buffering off;"}),
        ("http11-gzip", {"proxy_http_version 1.1;", "gzip on;", "gzip_types text/event-stream;"}),
        ("read-timeout", {"proxy_buffering off;", "proxy_read_timeout 1000ms;"}),
    ],
)
def test_a_way_is_what_nginx_is_told(variant: str, lines: set[str]) -> None:
    version = versions.parse("1.22.1")
    plain = SiteSettings("127.0.0.1:80", ["127.0.0.1:81"], Reuse(keepalive=POOL_OFF), version, streams=True)
    told = {line.strip() for line in conf(VARIANTS[variant].applied(plain)).splitlines()}
    assert lines <= told
    about = ("proxy_buffering", "gzip", "proxy_read")
    assert {line for line in told if line.startswith(about)} <= lines | {"gzip_proxied any;"}


@pytest.mark.parametrize(
    ("variant", "flags", "encoding", "socket"),
    [
        ("sse", ["--silence", "0.0"], "identity", False),
        ("websocket", ["--silence", "0.0"], "identity", True),
        ("http11-gzip", ["--silence", "0.0"], "gzip", False),
        ("http10-accel", ["--silence", "0.0", "--no-accel"], "identity", False),
        ("read-timeout", ["--silence", "2.0"], "identity", False),
    ],
)
def test_a_way_is_what_server_and_readers_are_told(
    variant: str, flags: list[str], encoding: str, socket: bool
) -> None:
    _, testbed = fake_testbed.perform(SCENARIO, variant, StreamSettings(tokens=20, every_s=0.5), TOLD)
    assert list(testbed.flags) == ["--tokens", "20", "--every", "0.5", *flags]
    assert [(job["encoding"], job["socket"]) for job in testbed.jobs] == [(encoding, socket)]


def test_what_did_not_come_is_lost_and_what_came_twice_makes_up_for_nothing() -> None:
    told = {**TOLD, "tokens": 39, "doubled": 1, "cut": 1}
    figures, _ = fake_testbed.perform(SCENARIO, "sse", StreamSettings(tokens=20, streams=2), told)
    assert figures.figures == {"tokens": 39, "lost": 2, "doubled": 1, "cut": 1}
    assert [(warning.code, warning.voids) for warning in figures.warnings] == [("doubled", True)]


def test_the_first_token_counts_from_asking_and_the_others_from_the_one_before() -> None:
    reader = AnswerReader({}, cast(aiohttp.ClientSession, None))
    answer = AnswerRead(begin_ns=monotonic_ns() - 10**12)
    for number, word in enumerate((b"a", b"b", b"c", END), 1):
        reader._receive(answer, number, b"%d %b" % (monotonic_ns(), word))
    assert (reader.first.total(), reader.gaps.total(), answer.numbers) == (1, 2, [1, 2, 3])
    assert min(reader.first.counts()) >= 10**9 > max(reader.gaps.counts())
    assert answer.ended


def test_a_setting_of_nginx_is_refused_elsewhere(tmp_path: Path) -> None:
    done = bench_process.run(
        "scenario", "run", "stream", "--subject", "direct", "--variant", "http10", "-o", tmp_path
    )
    assert done.returncode == 2
    assert "is about a setting of nginx's" in done.stderr


def test_a_first_token_in_time_counts_also_where_the_answer_is_cut_later() -> None:
    def case(number: int, variant: str, first_ms: float, cut: int) -> ScenarioTrial:
        first = Percentiles(first_ms, None, None, None, None)
        figures = {"cut": cut, "lost": 10 * cut}
        return sample_scenario.trial(number, variant, "nginx", figures=figures, times_ms={"first": first})

    trials = (case(1, "sse", 2.0, 0), case(2, "read-timeout", 1.0, 1), case(3, "http10", 4000.0, 0))
    assert conclude(Summary.of(ScenarioRun({"scenario": "stream"}, {}, "", trials=trials))) == (
        "The first token is there within 2 ms in 2 of 3 cases; it is held back by http10, nginx 4 s;"
        " the answer is cut by read-timeout, nginx (10 tokens lost)."
    )
