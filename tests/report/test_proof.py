"""Proofs and costs as people read them."""

from __future__ import annotations

from dataclasses import replace

from bench.prove.changes import ChangeLog, Rejection
from bench.prove.load_test import ConfigSide, Cost, LoadWindow
from bench.prove.proof import ConnectionWitnesses, LocationResult, Measurement, Proof
from bench.prove.requests import Request
from bench.report.config import load_test as load_report
from bench.report.config import proof as report
from bench.runs.record import TrialWarning
from nginx.tree import Place
from nginx.verdict import Verdict
from tests.proving import last_location

LOCATION = last_location("server { location /a { proxy_pass http://b; } }")
VERDICT = Verdict("not reused", "nginx", None, "1.1", (), "because")
MEASURED = Measurement(9, 9, 0, 0, 9, 0, {200: 8, 502: 1}, closed=9)
RESULT = LocationResult(LOCATION, VERDICT, Request("GET", "/a", "x.example"), "", MEASURED)


def proof() -> Proof:
    log = ChangeLog()
    log.record("replaced", "listen", "an address of the lab", Place("x", 3))
    log.record("replaced", "listen", "an address of the lab", Place("x", 7))
    log.record("left out", "limit_req", "requests would be held back", Place("x", 8))
    found = Proof(
        "/usr/sbin/nginx", "1.22.1", "namespaces", results=[RESULT], witnesses=ConnectionWitnesses(9, 9)
    )
    found.changes = log.changes
    return found


def test_a_proof() -> None:
    assert report.format_proofs([proof()], "linger:5ms") == (
        "nginx 1.22.1 (/usr/sbin/nginx)\n"
        "lab: namespaces; backends that are told to close do so after 5 ms\n"
        "\n"
        "  location /a -> http://b (x:1)\n"
        "      predicted  not reused; nginx closes first\n"
        "      measured   not reused; 9 connections for 9 requests; TIME_WAIT 9 at nginx, 0 at the backend;\n"
        "                 status 502 1 time\n"
        "      request    GET http://x.example/a\n"
        "\n"
        "Changed to run it safely:\n"
        "  replaced: listen (lines 3, 7): an address of the lab\n"
        "  left out: limit_req (line 8): requests would be held back\n"
        "\n"
        "nginx 1.22.1: 1 of 1 location proven; check and traffic agree;"
        " in all runs, backends and kernel\n"
        "  count the same 9 connections\n"
    )


def test_what_is_wrong_is_loud() -> None:
    found = proof()
    found.results = [replace(RESULT, predicted=replace(VERDICT, answer="reused", closes_first=None))]
    found.witnesses = ConnectionWitnesses(9, 8)
    text = report.format_proofs([found], "never")
    assert "      DISAGREE   check says reused, traffic says not reused: a bug of bench, please" in text
    assert "check and traffic DISAGREE on 1; WITNESSES DISAGREE: the" in text


def test_thousands_are_parted_in_every_count() -> None:
    many = Measurement(1000, 1000, 0, 0, 1000, 2000, {200: 7000, 502: 3000}, closed=9000)
    found = replace(proof(), results=[replace(RESULT, measured=many)])
    text = " ".join(report.format_proofs([found], "at-once").split())
    assert "1,000 connections for 1,000 requests; TIME_WAIT 1,000 at nginx, 2,000 at the backend" in text
    assert "(6,000 reset); status 502 3,000 times" in text


def test_what_was_not_proven_says_why() -> None:
    rejected = replace(proof(), rejection=Rejection('invalid value "x"', Place("x", 5)), changes=())
    text = report.format_proofs([rejected], "at-once")
    assert '  REJECTED x:5: invalid value "x"\n' in text
    assert text.endswith('nginx 1.22.1: not proven, x:5: invalid value "x"\n')
    unreached = replace(RESULT, request=None, measured=None, unreached="no request")
    text = report.format_proofs([replace(proof(), results=[unreached])], "at-once")
    assert "      measured   nothing: no request\n" in text
    assert "nginx 1.22.1: nothing was proven (0 of 1 location)\n" in text


def test_a_verdict_that_depends_says_on_what() -> None:
    depends = Verdict("depends", None, None, "1.1", (), "depends on the host in $arg_b")
    text = report.format_proofs([replace(proof(), results=[replace(RESULT, predicted=depends)])], "at-once")
    assert "      predicted  depends on the host in $arg_b\n" in text


def window(side: ConfigSide, rate: float, cpu: float, opened: float) -> LoadWindow:
    return LoadWindow(side, rate, 2.5, cpu, opened, 1000, 0, 0)


def test_a_cost() -> None:
    found = Cost("1.22.1", LOCATION, RESULT.request)
    found.windows = [
        window("as it is", 4000, 160, 1),
        window("repaired", 20_000, 40, 0.001),
        window("repaired", 22_000, 38, 0.001),
        window("as it is", 4400, 150, 1),
    ]
    text = load_report.format_costs([found])
    assert text.startswith("load, nginx 1.22.1: location /a -> http://b (x:1), 32 clients, medians of 2\n")
    assert "  requests/s                       4,200        21,000\n" in text
    assert "  connections per request              1        0.0010\n" in text
    assert text.endswith(
        "Repaired, it opens one connection for 1,000 requests instead of 1 for each, and in these 2 windows\n"
        "of each side it spends 25.2 % of nginx's CPU per request and serves 5x the requests per second.\n"
    )


def test_enough_windows_tell_a_difference_and_a_busy_machine_voids_rates_alone() -> None:
    found = Cost("1.22.1", LOCATION, RESULT.request)
    found.windows = [
        each
        for step in range(5)
        for each in (window("as it is", 4000 + step, 160, 1), window("repaired", 20_000 + step, 40, 0.001))
    ]
    text = load_report.format_costs([found])
    assert (
        "instead of 1 for each, spends 25.0 % of\nnginx's CPU per request and serves 5x the requests" in text
    )
    busy = TrialWarning("machine-shared", "others used 80% of all cores", "run one at a time", voids=True)
    found.windows = [replace(each, busy=busy) for each in found.windows]
    text = load_report.format_costs([found])
    assert "  requests/s                        void          void\n" in text
    assert "  latency p99, ms                   void          void\n" in text
    assert "  CPU nginx, us/request              160            40\n" in text
    assert "! 10 of 10 windows; the worst: others used 80% of all cores; run one at a time" in text
    assert text.endswith("spends 25.0 % of\nnginx's CPU per request. Its rates are void.\n")


def test_what_half_of_the_ports_passed_mixes_is_quoted_nowhere() -> None:
    found = Cost("1.22.1", LOCATION, RESULT.request)
    over = replace(window("as it is", 1234, 567, 1), is_mixed=True)
    found.windows = [over, window("repaired", 20_000, 40, 0.001), over, window("repaired", 20_000, 40, 0.001)]
    text = load_report.format_costs([found])
    for row, repaired in (
        ("requests/s", "20,000"),
        ("latency p99, ms", "2.50"),
        ("CPU nginx, us/request", "40"),
    ):
        assert f"  {row:<24}         mixed{repaired:>14}\n" in text
    assert f"  {'TIME_WAIT nginx':<24}{'1,000':>14}{'1,000':>14}\n" in text
    assert "1,234" not in text
    assert "567" not in text
    assert "! half of the ports were used in 2 of 4 windows, and connect() slowed" in text
    assert text.endswith("instead of 1 for each. Its rates are mixed.\n")

    found.windows[0] = window("as it is", 5000, 160, 1)
    text = load_report.format_costs([found])
    assert f"  {'requests/s':<24}{'5,000':>14}{'20,000':>14}\n" in text
    assert "! half of the ports were used in 1 of 4 windows" in text
    assert "are mixed." not in text


def test_a_cost_that_was_not_measured() -> None:
    assert (
        load_report.format_costs([Cost("1.31.3", missing="no reason")]) == "load, nginx 1.31.3: no reason\n"
    )
