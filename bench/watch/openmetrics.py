"""Serve a watch as OpenMetrics: counters that only grow, and gauges, for whoever scrapes them.

There is a bound on the labels: peers beyond a number share those of `others` (known_hops.py).
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields

from prometheus_client import start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from bench.errors import LabError
from bench.watch.finding import Pattern
from bench.watch.known_hops import KnownHops
from bench.watch.model import HopSnapshot, HostFlow, PeerHop, RequestFlow, Snapshot, Source
from bench.watch.session import Look

_HOP = ("direction", "peer", "port")
_ENDS = {
    "closed_here": ("here", "fin"),
    "closed_there": ("there", "fin"),
    "reset_here": ("here", "rst"),
    "reset_there": ("there", "rst"),
    "ended_unknown": ("unknown", "unknown"),
}
_GAUGES = {
    "established": "Connections that are established.",
    "time_wait": "Sockets in TIME_WAIT.",
    "close_wait": "Connections that the peer has ended and the process here has not closed.",
    "ports_used": "Local ports that are taken towards the peer.",
}
_MOST_SOURCES = 64
"""Of counts of requests, each with its labels; more are not exported, and a user names few."""
Labels = tuple[str, ...]


class WatchMetrics(Collector):
    """The sums of all looks so far, and the last state; a look adds to them, a scrape reads them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hops = KnownHops()
        self._opened: Counter[Labels] = Counter()
        self._ended: Counter[Labels] = Counter()
        self._failed: Counter[Labels] = Counter()
        self._reset_after_fin: Counter[Labels] = Counter()
        self._host: Counter[str] = Counter()
        self._requests: Counter[Labels] = Counter()
        self._failed_requests: Counter[Labels] = Counter()
        self._cost_s = 0.0
        self._last: Snapshot | None = None
        self._findings: Counter[str] = Counter()

    def __call__(self, look: Look) -> None:
        """Add a look."""
        with self._lock:
            self._last = self._hops.fold(look.snapshot)
            for each in self._last.hops:
                self._add(each)
            for counter in fields(HostFlow):
                grown = getattr(self._last.host_flow, counter.name)
                if grown is not None:
                    self._host[counter.name] += max(0, grown)
            for flow in self._last.requests:
                self._add_requests(flow)
            self._cost_s += self._last.cost_s
            self._findings = Counter(each.pattern.value for each in look.verdict.findings)

    def collect(self) -> Iterator[Metric]:
        """Yield every metric as it is now; called by the thread of a scrape."""
        with self._lock:
            yield from self._collect_hops()
            yield from self._collect_host()
            yield from self._collect_requests()

    def _add(self, each: HopSnapshot) -> None:
        labels = _labels(each.hop)
        self._opened[labels] += each.flow.opened
        self._failed[labels] += each.flow.failed_opens
        self._reset_after_fin[labels] += each.flow.reset_after_fin
        for name, how in _ENDS.items():
            if count := getattr(each.flow, name):
                self._ended[(*labels, *how)] += count

    def _add_requests(self, flow: RequestFlow) -> None:
        labels = (flow.source, flow.direction.value, flow.peer or "", str(flow.port or ""))
        if labels in self._requests or len(self._requests) < _MOST_SOURCES:
            self._requests[labels] += flow.requests
            self._failed_requests[labels] += flow.failed

    def _collect_hops(self) -> Iterator[Metric]:
        name, text = "bench_watch_opened_connections", "Connections that came to ESTABLISHED."
        yield _counter(name, text, _HOP, self._opened)
        name, text = "bench_watch_ended_connections", "Connections that ended, by who did it first and how."
        yield _counter(name, text, (*_HOP, "by", "how"), self._ended)
        name, text = "bench_watch_failed_opens", "Connections that never came to ESTABLISHED."
        yield _counter(name, text, _HOP, self._failed)
        name, text = (
            "bench_watch_reset_after_fin",
            "Connections on which an RST of the peer came behind its FIN.",
        )
        yield _counter(name, text, _HOP, self._reset_after_fin)
        hops = () if self._last is None else self._last.hops
        for key, help_text in _GAUGES.items():
            gauge = GaugeMetricFamily(f"bench_watch_{key}", help_text, labels=_HOP)
            for each in hops:
                gauge.add_metric(_labels(each.hop), getattr(each.state, key))
            yield gauge

    def _collect_host(self) -> Iterator[Metric]:
        text = "How the kernel's counters have grown since the watch began."
        counted: Counter[Labels] = Counter({(name,): count for name, count in self._host.items()})
        yield _counter("bench_watch_kernel", text, ("counter",), counted)
        text = "CPU time that the watch has taken, in seconds."
        yield CounterMetricFamily("bench_watch_cpu_seconds", text, value=self._cost_s)
        if self._last is None:
            return
        host = self._last.host
        yield GaugeMetricFamily(
            "bench_watch_ports", "Local ports that there are towards one peer.", value=host.ports
        )
        text = "Sockets in TIME_WAIT on the whole host."
        yield GaugeMetricFamily("bench_watch_host_time_wait", text, value=host.time_wait)
        if host.conntrack is not None and host.max_conntrack:
            text = "Share of conntrack's table that is taken."
            yield GaugeMetricFamily(
                "bench_watch_conntrack_ratio", text, value=host.conntrack / host.max_conntrack
            )
        text = "1 where counts of what a peer closes are lower bounds."
        yield GaugeMetricFamily("bench_watch_sampled", text, value=self._last.source is Source.SAMPLED)
        gauge = GaugeMetricFamily(
            "bench_watch_findings", "Findings of the verdict, by pattern.", labels=("pattern",)
        )
        for pattern in Pattern:
            gauge.add_metric((pattern.value,), self._findings[pattern.value])
        yield gauge

    def _collect_requests(self) -> Iterator[Metric]:
        labels = ("source", *_HOP)
        yield _counter("bench_watch_requests", "Requests that a source counted.", labels, self._requests)
        name, text = "bench_watch_failed_requests", "Requests that a source saw fail upstream."
        yield _counter(name, text, labels, self._failed_requests)


@contextmanager
def serve(metrics: WatchMetrics, host: str, port: int) -> Iterator[int]:
    """Answer scrapes on `host` and `port` while the block lasts; yield the port, chosen where it is 0.

    LabError where nothing can listen there.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(metrics)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        why = error.strerror or error
        raise LabError(
            f"--openmetrics {host}:{port}: cannot listen there: {why}; name another port"
        ) from error
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _labels(hop: PeerHop) -> Labels:
    return hop.direction.value, hop.peer, str(hop.port)


def _counter(name: str, text: str, labels: Labels, counts: Counter[Labels]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, count in counts.items():
        family.add_metric(values, count)
    return family
