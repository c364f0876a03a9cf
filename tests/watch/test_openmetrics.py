"""OpenMetrics of a watch, scraped over a real socket: counters only grow, and labels have a bound."""

from __future__ import annotations

import socket
import urllib.request
from dataclasses import replace

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from bench.errors import LabError
from bench.watch import openmetrics
from bench.watch.known_hops import MOST_HOPS
from bench.watch.model import Direction, HopFlow, HostFlow, HostState, PeerHop, RequestFlow, Source
from bench.watch.openmetrics import WatchMetrics
from tests.watch.made_up import UPSTREAM, Row, hop, kept, short, watched
from tests.watch.scripted import look

HOP = {"direction": "outgoing", "peer": "10.0.0.2", "port": "8080"}
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(port: int) -> Samples:
    """Return the samples that a scrape gets, by name and labels."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )
    with urllib.request.urlopen(asked, timeout=60) as answer:
        assert "openmetrics-text" in answer.headers["Content-Type"]
        text = answer.read().decode()
    families = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    """Return the sample of `name` with `labels`."""
    return samples[name, frozenset(labels.items())]


def test_counters_are_the_sums_of_all_looks_and_gauges_the_last_state() -> None:
    metrics = WatchMetrics()
    snapshots = watched(short(UPSTREAM, 100, 3))
    with openmetrics.serve(metrics, "127.0.0.1", 0) as port:
        metrics(look(snapshots[:1]))
        first = scrape(port)
        metrics(look(snapshots[:2]))
        second = scrape(port)
    name = "bench_watch_opened_connections_total"
    assert (value(first, name, **HOP), value(second, name, **HOP)) == (100, 200)
    ended = value(second, "bench_watch_ended_connections_total", **HOP, by="here", how="fin")
    assert ended == 200
    assert value(second, "bench_watch_time_wait", **HOP) == 200
    assert value(second, "bench_watch_kernel_total", counter="active_opens") == 200


def test_an_rst_behind_a_fin_counts_beside_the_end() -> None:
    metrics = WatchMetrics()
    flow = HopFlow(opened=5, closed_there=5, reset_after_fin=2)
    rows = [Row((hop(UPSTREAM, flow),)), Row((hop(UPSTREAM, HopFlow(reset_after_fin=1)),))]
    metrics(look(watched(rows[:1])))
    metrics(look(watched(rows)))
    with openmetrics.serve(metrics, "127.0.0.1", 0) as port:
        samples = scrape(port)
    assert value(samples, "bench_watch_reset_after_fin_total", **HOP) == 3
    assert value(samples, "bench_watch_ended_connections_total", **HOP, by="there", how="fin") == 5


def test_a_hop_that_has_gone_keeps_its_counters_and_loses_its_gauges() -> None:
    metrics = WatchMetrics()
    snapshots = watched([*kept(UPSTREAM, 4, 1), Row()])
    metrics(look(snapshots[:1]))
    metrics(look(snapshots))
    with openmetrics.serve(metrics, "127.0.0.1", 0) as port:
        samples = scrape(port)
    assert value(samples, "bench_watch_opened_connections_total", **HOP) == 0
    assert not [name for name, _ in samples if name == "bench_watch_established"]


def test_nothing_is_there_before_the_first_look_and_that_is_valid() -> None:
    with openmetrics.serve(WatchMetrics(), "127.0.0.1", 0) as port:
        assert value(scrape(port), "bench_watch_cpu_seconds_total") == 0


def test_a_counter_that_the_kernel_begins_anew_does_not_shrink() -> None:
    metrics = WatchMetrics()
    for flow in (HostFlow(active_opens=9), HostFlow(active_opens=-5), HostFlow(active_opens=1)):
        metrics(look(watched([Row(flow=flow)])))
    with openmetrics.serve(metrics, "127.0.0.1", 0) as port:
        assert value(scrape(port), "bench_watch_kernel_total", counter="active_opens") == 10


def test_labels_have_a_bound_whatever_connects() -> None:
    metrics = WatchMetrics()
    for at in range(5):
        hops = (PeerHop(Direction.OUTGOING, f"10.{at}.{each}.1", 80) for each in range(MOST_HOPS))
        metrics(look(watched([Row(tuple(hop(each, HopFlow(opened=1)) for each in hops))])))
    with openmetrics.serve(metrics, "127.0.0.1", 0) as port:
        opened = {
            labels: count
            for (name, labels), count in scrape(port).items()
            if name == "bench_watch_opened_connections_total"
        }
    assert (len(opened), sum(opened.values())) == (MOST_HOPS + 1, 5 * MOST_HOPS)


def test_requests_are_by_source_and_findings_by_pattern() -> None:
    metrics = WatchMetrics()
    flow = RequestFlow("a log", 500, port=8080, failed=3)
    rows = [replace(row, requests=(flow,)) for row in short(UPSTREAM, 2_000, 5)]
    snapshots = watched(rows)
    for end in range(1, 6):
        metrics(look(snapshots[:end]))
    with openmetrics.serve(metrics, "127.0.0.1", 0) as port:
        samples = scrape(port)
    labels = {"source": "a log", "direction": "outgoing", "peer": "", "port": "8080"}
    assert value(samples, "bench_watch_requests_total", **labels) == 2_500
    assert value(samples, "bench_watch_failed_requests_total", **labels) == 15
    assert value(samples, "bench_watch_findings", pattern="short-connections") == 1
    assert value(samples, "bench_watch_findings", pattern="leak") == 0


@pytest.mark.parametrize(("source", "expected"), [(Source.SAMPLED, 1), (Source.EXACT, 0)])
def test_a_scrape_says_whether_counts_are_lower_bounds(source: Source, expected: int) -> None:
    metrics = WatchMetrics()
    metrics(look(watched([Row(host=HostState(time_wait=7))], source)))
    with openmetrics.serve(metrics, "127.0.0.1", 0) as port:
        samples = scrape(port)
    assert value(samples, "bench_watch_sampled") == expected
    assert value(samples, "bench_watch_host_time_wait") == 7


def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        expected = rf"^--openmetrics 127.0.0.1:{port}: cannot listen there: .*; name another port$"
        with pytest.raises(LabError, match=expected), openmetrics.serve(WatchMetrics(), "127.0.0.1", port):
            pass
