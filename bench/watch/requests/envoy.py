"""Count requests by Envoy's admin interface: those to each host of its clusters, and those of its listeners.

Source: Envoy's documentation, "Administration interface" and "Cluster manager: Statistics".
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypedDict, cast
from urllib.parse import quote

from bench.watch.model import Direction
from bench.watch.requests.counting import CountedHop, CounterReading, Counts, server_hop
from bench.watch.requests.http_get import Deadline, PageReader, http_address
from bench.watch.requests.source import SourceError

_LARGEST_BYTES = 16 << 20
_CLUSTERS = "/clusters?format=json"
_FAILED = ("upstream_rq_502", "upstream_rq_504")
_RESET = ("upstream_rq_rx_reset", "upstream_cx_destroy_remote_with_active_rq")
"""A reset request, and over HTTP/1.1 a connection that the server ended in the midst of one."""
_OF_CLUSTERS = ("upstream_cx_total", "upstream_cx_connect_fail", "upstream_rq_total", *_FAILED, *_RESET)
_FILTER = (
    rf"^(cluster\..*\.({'|'.join(_OF_CLUSTERS)})|server\.uptime"
    r"|listener\..*\.(downstream_cx_total|http\..*\.downstream_rq_completed))$"
)
_STATS = f"/stats?format=json&filter={quote(_FILTER, safe='')}"
_ALL_SERVERS = CountedHop(Direction.OUTGOING)


class _Stat(TypedDict, total=False):
    name: str
    value: int | str


class _SocketAddress(TypedDict, total=False):
    address: str
    port_value: int


class _Address(TypedDict, total=False):
    socket_address: _SocketAddress


class _Host(TypedDict, total=False):
    address: _Address
    stats: list[_Stat]


class _Cluster(TypedDict, total=False):
    name: str
    host_statuses: list[_Host]


class EnvoyReader:
    """Asks one Envoy over one connection to its admin interface: a TCP address, or a Unix socket."""

    def __init__(self, where: str) -> None:
        """Take http://HOST:PORT or a path; SourceError where it is neither."""
        if where.startswith("/"):
            self._pages = PageReader(Path(where))
            return
        address, parts = http_address(where, 80)
        if parts.path not in {"", "/", "/stats"}:
            raise SourceError(f"has the path {parts.path}", "leave it out: write http://HOST:PORT")
        self._pages = PageReader(address)

    def read(self) -> CounterReading:
        """Return the counters of all hosts and listeners."""
        deadline = Deadline()
        values = parse_stats(self._pages.get(_STATS, _LARGEST_BYTES, deadline))
        try:
            clusters = parse_clusters(self._pages.get(_CLUSTERS, _LARGEST_BYTES, deadline))
        except SourceError as error:
            counts = {_ALL_SERVERS: _all_servers(values)}
            notes: tuple[str, ...] = (f"Envoy's /clusters {error.reason}: its servers are not told apart",)
        else:
            counts, notes = dict(_servers(clusters, values)), ()
        counts |= _listeners(values)
        return CounterReading(counts, uptime_s=values.get("server.uptime"), notes=notes)

    def close(self) -> None:
        """Close the connection."""
        self._pages.close()


def parse_stats(page: bytes) -> dict[str, int]:
    """Return the counters of /stats by name, from JSON or from text; SourceError where it is neither."""
    text = page.decode("utf-8", "replace")
    if text.lstrip().startswith("{"):
        stats = cast(dict[str, list[_Stat]], _json(text)).get("stats", [])
        return {each["name"]: int(each["value"]) for each in stats if "value" in each}
    pairs = (line.rpartition(": ") for line in text.splitlines())
    found = {name: int(value) for name, _, value in pairs if name and value.isdigit()}
    if not found:
        raise SourceError("answers with another page than Envoy's /stats", "name the address of its admin")
    return found


def parse_clusters(page: bytes) -> list[_Cluster]:
    """Return the clusters of /clusters; SourceError where the page is another one."""
    found = cast(dict[str, list[_Cluster]], _json(page.decode("utf-8", "replace")))
    return found.get("cluster_statuses", [])


def _json(text: str) -> object:
    try:
        found: object = json.loads(text)
    except ValueError as error:
        raise SourceError(f"answers with JSON that cannot be read: {error}", "look at the page") from error
    if not isinstance(found, dict):
        raise SourceError("answers with JSON that is no object", "name the address of Envoy's admin")
    return found


def _servers(clusters: list[_Cluster], values: Mapping[str, int]) -> Iterator[tuple[CountedHop, Counts]]:
    """Yield the counters of each host that takes HTTP over TCP, over all clusters that it is in.

    What failed is counted by cluster: a host has of it at most its own errors (`rq_error`), of any status.
    """
    found: dict[CountedHop, Counts] = {}
    for cluster in clusters:
        failed = _failed(values, cluster.get("name", ""))
        for host in cluster.get("host_statuses", []):
            stats = {each["name"]: int(each.get("value", 0)) for each in host.get("stats", [])}
            hop = _host_hop(host)
            if hop is None or not stats.get("rq_total"):
                continue  # a Unix socket, or a host that takes no HTTP
            opened = stats.get("cx_total", 0) - stats.get("cx_connect_fail", 0)
            own = Counts(stats["rq_total"], opened, min(failed, stats.get("rq_error", 0)))
            found[hop] = found[hop] + own if hop in found else own
    yield from found.items()


def _host_hop(host: _Host) -> CountedHop | None:
    address = host.get("address", {}).get("socket_address", {})
    name, port = address.get("address", ""), address.get("port_value", 0)
    return server_hop(f"[{name}]:{port}") if name else None


def _failed(values: Mapping[str, int], cluster: str) -> int:
    def value(name: str) -> int:
        return values.get(f"cluster.{cluster}.{name}", 0)

    # A reset of HTTP/1.1 may count as both kinds.
    return sum(map(value, _FAILED)) + max(map(value, _RESET))


def _all_servers(values: Mapping[str, int]) -> Counts:
    def total(name: str) -> int:
        return sum(
            value for key, value in values.items() if key.startswith("cluster.") and key.endswith(f".{name}")
        )

    opened = total("upstream_cx_total") - total("upstream_cx_connect_fail")
    failed = sum(map(total, _FAILED)) + max(map(total, _RESET))
    return Counts(total("upstream_rq_total"), opened, failed)


def _listeners(values: Mapping[str, int]) -> dict[CountedHop, Counts]:
    """Return what clients sent to each listener with HTTP, but the admin; by port where its name tells it."""
    found: dict[CountedHop, Counts] = {}
    of_listeners = {name: value for name, value in values.items() if name.startswith("listener.")}
    for name, connections in of_listeners.items():
        listener = name.removeprefix("listener.").removesuffix(".downstream_cx_total")
        if f"listener.{listener}.downstream_cx_total" != name or listener == "admin":
            continue
        own = f"listener.{listener}.http."
        completed = [value for key, value in of_listeners.items() if key.startswith(own)]
        if not completed:
            continue  # it takes TCP, or it is a worker's part of another one
        port = listener.rpartition("_")[2]
        hop = CountedHop(Direction.INCOMING, int(port) if port.isdigit() else None)
        counts = Counts(sum(completed), connections)
        found[hop] = found[hop] + counts if hop in found else counts
    return found
