"""Recognise hops whose connections are opened anew where kept ones would do. Pure.

A connection counts only where it was opened and ended while it was watched, to a peer that had one before,
outside of bursts. What stays, what restarts once and what comes once is no churn.
"""

import heapq
import statistics
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from bench import units
from bench.analysis.ceiling import TIME_WAIT_S
from bench.watch.evidence import HopEvidence, HopGroup
from bench.watch.finding import Certainty, Pattern, Urgency, WatchFinding, names, rate_words
from bench.watch.flows import Closer, is_failing
from bench.watch.forecast import Forecast, Outlook, forecast
from bench.watch.model import OTHER_PEERS, Direction, HostState

WASTEFUL_PER_S = 5.0
"""Fewer new connections a second hold at most 300 ports for their 60 s, 1 % of the range that Linux gives."""
WASTEFUL_SHARE = 0.1
"""Of the ports, where the range is narrow: a fifth of the way to its half, where connect() slows down."""
REUSED_FROM = 1.1
"""Requests per connection from which some were kept: two counts of 1.0 differ by less."""
WELL_KEPT = 20
"""Requests per connection from which a new connection costs them less than a twentieth each: a pool that
renews its connections after a hundred requests is none that is too small."""
_OUTLIVES_S = 2.0
"""A client that kept its connection had it for the idle timeout of one end, which is some seconds or more: so
do browsers, with several at a time."""
DNS_PORTS = frozenset({53, 853})
TLS_PORTS = frozenset({443, 853, 6443, 8443, 9443})
_ONE_REQUEST, _ONE_REQUEST_TLS = 2, 4
"""Segments with data that one request takes at the most: head and body; with TLS two of the handshake."""
_FEWEST_SAMPLED = 4
"""Connections of which the segments sent say something about all; below, a kind is a guess."""
_SOME = 0.1
"""Of the sampled connections: so many that carried several requests are no accident."""
_STANDING = 0.25
"""Of the established connections: so many that stay while others are opened may be those of a pool."""
_FEWEST_CHECKS = 3
"""Two have one gap between them, which is as regular as any other."""
_MOST_CHECKS_PER_S = 1.0
"""Of a server: a check a second is as often as proxies do it."""
_CHECK_S = 1.0
"""A check that takes longer has failed."""

_ALL = 0.99
"""Of the ports: the others are given back and taken again between two looks."""
_MOST_FORECASTS = 32
"""Of thousands of hops the one that is nearest to half of its ports is surely among so many."""

URGENCIES = {
    Outlook.EXHAUSTED: Urgency.FAILING,
    Outlook.PAST_HALF: Urgency.SLOW,
    Outlook.REACHES_END: Urgency.SOON,
    Outlook.REACHES_HALF: Urgency.SOON,
}
_KEEP: Mapping[str, str] = {
    "nginx": "give upstream {} `keepalive 32;`, and its locations `proxy_http_version 1.1;`"
    ' and `proxy_set_header Connection "";`',
    "haproxy": "take `option http-server-close` and `option httpclose` out; leave `http-reuse safe`",
    "envoy": "take `max_requests_per_connection: 1` out of the cluster",
    "caddy": "take `keepalive off` out of the transport of reverse_proxy",
}
"""What keeps connections to the servers, by the name of the process."""
_COUNTS_REQUESTS = "a count of requests: an access log with $upstream_addr, HAProxy's or Envoy's counters"
_KEEP_OTHER = "let the client keep its connections: HTTP/1.1, one pool for all of the process"
_ENLARGE: Mapping[str, str] = {
    "nginx": "raise `keepalive` of the upstream {{}} to {idle} for each worker, and `keepalive_requests`",
    "haproxy": "raise `pool-max-conn` of the servers to {idle} or more, and `pool-purge-delay`",
    "envoy": "raise `max_requests_per_connection`, and the idle timeout of the cluster",
    "caddy": "raise `keepalive_idle_conns_per_host` to {idle} or more",
}
_ENLARGE_OTHER = "let the pool keep {idle} idle connections or more to a server (Go: MaxIdleConnsPerHost)"


def churn(group: HopGroup, host: HostState) -> WatchFinding | None:
    """Return what the hops of one port waste; None where they waste nothing that is worth a word."""
    full = fullest(group, host)
    lacks_ports = _lacks_ports(group, full, host)
    repeats = full is not None and full.repeated > 0
    if group.churn_per_s < wasteful_per_s(group, host) and not repeats and not lacks_ports:
        return None
    worst = worst_forecast(group, host)
    urgency = Urgency.WASTE if worst is None else URGENCIES.get(worst.outlook, Urgency.WASTE)
    if lacks_ports:
        urgency = Urgency.FAILING
    if urgency is Urgency.WASTE and (_carries_many(group) or _outlives_requests(group)):
        return None
    pattern, certainty, surer = _kind(group)
    if not group.has_lasted and not lacks_ports:
        certainty, surer = Certainty.POSSIBLE, "watch for longer: this may be a burst that is over"
    return WatchFinding(
        pattern,
        urgency,
        label(group),
        _summary(group, pattern),
        tuple(_facts(group)),
        _change(group, pattern),
        certainty,
        surer,
        hops=tuple(hop.hop for hop in group.hops if hop.repeated),
        rate_per_s=group.opened_per_s,
        is_lower_bound=not group.counts_all,
        closes_first=group.closes_first,
        forecast=worst,
    )


def health_checks(group: HopGroup) -> WatchFinding | None:
    """Return that the few connections of a hop come regularly and end at once, as health checks do."""
    most = (_MOST_CHECKS_PER_S * group.seconds + 1) * len(group.hops)
    if not _FEWEST_CHECKS <= group.total.opened <= most:
        return None
    opened = [flow.opened for flow in group.flows]
    lifetimes = group.total.lifetimes_s
    at = [end_s for end_s, count in zip(group.first.moments_s, opened, strict=True) if count]
    gaps = [later - earlier for earlier, later in pairwise(at)]
    if (
        len(at) < _FEWEST_CHECKS
        # When within its interval each came is not known: a gap is off by as much as one at either end.
        or max(gaps) > 1.5 * min(gaps) + 2 * max(group.first.durations_s)
        or max(group.established) > 2 * len(group.hops)
        or max(lifetimes, default=0.0) > _CHECK_S
    ):
        return None
    return WatchFinding(
        Pattern.HEALTH_CHECKS,
        Urgency.NOTE,
        label(group),
        f"{units.plural(sum(opened), 'connection')}, regular, few and short, as health checks are.",
        (),
        "",
        Certainty.LIKELY,
        hops=tuple(hop.hop for hop in group.hops),
        rate_per_s=group.opened_per_s,
        is_lower_bound=not group.counts_all,
        closes_first=group.closes_first,
    )


def _lacks_ports(group: HopGroup, full: HopEvidence | None, host: HostState) -> bool:
    """Return whether connects fail for want of a port, as events show, or must fail, as all are taken."""
    if full is not None and full.last.ports_used >= _ALL * host.ports:
        return full.last.time_wait + full.last.fin_wait > full.last.ports_used / 2
    return group.total.no_port > 0 and is_failing([flow.no_port for flow in group.flows], group.total.opened)


def _carries_many(group: HopGroup) -> bool:
    """Return whether connections carry so many requests that what is opened does not matter.

    Where nobody counts requests: by the segments that connections have sent, which are half way on average.
    """
    if (fewest := group.fewest_requests_per_connection) is not None and fewest >= WELL_KEPT:
        return True
    if group.requests_per_connection is not None:
        return False
    sent = group.data_sent_by_renewed
    return len(sent) >= _FEWEST_SAMPLED and 2 * statistics.median(sent) >= WELL_KEPT


def _outlives_requests(group: HopGroup) -> bool:
    """Return whether connections that come in live for longer than one request does."""
    if group.direction is Direction.OUTGOING or not group.total.lifetimes_s:
        return False
    at_least_s = _OUTLIVES_S if group.is_exact else max(_OUTLIVES_S, 2 * max(group.first.durations_s))
    return statistics.median(group.total.lifetimes_s) >= at_least_s


def wasteful_per_s(group: HopGroup, host: HostState) -> float:
    """Return the rate of connections from which a group wastes something."""
    if group.direction is Direction.INCOMING:
        return WASTEFUL_PER_S
    return min(WASTEFUL_PER_S, WASTEFUL_SHARE * host.ports / TIME_WAIT_S)


def worst_forecast(group: HopGroup, host: HostState) -> Forecast | None:
    """Return the forecast of the hop that is nearest to the half of its ports; None of incoming hops.

    The hop that gathers many peers has none: each of its peers has the ports for itself.
    """
    if group.direction is Direction.INCOMING:
        return None
    hops = [hop for hop in group.hops if hop.hop.peer != OTHER_PEERS]
    found = [forecast(hop, host) for hop in heapq.nlargest(_MOST_FORECASTS, hops, key=_ports_soon)]
    return min(found, key=lambda each: each.headroom, default=None)


def _ports_soon(hop: HopEvidence) -> float:
    """Return about how many ports a hop comes to at its rate."""
    return hop.last.ports_used + TIME_WAIT_S * hop.total.closed_here / hop.seconds


def fullest(group: HopGroup, host: HostState) -> HopEvidence | None:
    """Return the outgoing hop that takes most of its ports, where that is half of them or more."""
    if group.direction is Direction.INCOMING:
        return None
    hops = [hop for hop in group.hops if hop.hop.peer != OTHER_PEERS]
    full = max(hops, key=lambda hop: hop.last.ports_used, default=None)
    return None if full is None or full.last.ports_used < host.ports / 2 else full


def label(group: HopGroup) -> str:
    """Return the hops of a group in words: `nginx to 10.0.0.2:8080`."""
    who = names(group.processes, 2)
    peers = [hop.hop.peer for hop in group.hops if hop.hop.peer != OTHER_PEERS]
    if group.direction is Direction.INCOMING:
        clients = peers[0] if len(group.hops) == 1 and peers else units.plural(len(peers), "client")
        return f"{clients} to {who} :{group.port}".replace("  ", " ")
    one = str(group.first.hop)
    to = (
        one
        if len(group.hops) == 1
        else f"port {group.port} of {units.plural(len(peers), 'server')} ({names(peers, 2)})"
    )
    return f"{who} to {to}" if who else f"to {to}"


def _kind(group: HopGroup) -> tuple[Pattern, Certainty, str]:
    """Return the pattern, how sure it is, and what would make it surer."""
    if group.direction is Direction.INCOMING:
        return Pattern.SHORT_CLIENTS, Certainty.SURE, ""
    if group.port in DNS_PORTS:
        return Pattern.DNS_OVER_TCP, Certainty.SURE, ""
    carried = group.fewest_requests_per_connection
    if carried is not None and carried >= REUSED_FROM:
        return Pattern.SMALL_POOL, Certainty.SURE, ""
    if group.requests_per_connection is not None:
        return Pattern.SHORT_CONNECTIONS, Certainty.SURE, ""
    return *_kind_by_sockets(group), _COUNTS_REQUESTS


def _kind_by_sockets(group: HopGroup) -> tuple[Pattern, Certainty]:
    """Return the pattern and how sure it is where nobody counts requests."""
    if len(group.data_sent) >= _FEWEST_SAMPLED:
        one = _ONE_REQUEST_TLS if group.port in TLS_PORTS else _ONE_REQUEST
        several = sum(sent > one for sent in group.data_sent) / len(group.data_sent)
        return Pattern.SMALL_POOL if several >= _SOME else Pattern.SHORT_CONNECTIONS, Certainty.LIKELY
    standing = sum(hop.last.established - hop.young for hop in group.hops)
    if standing and standing >= _STANDING * group.established[-1]:
        return Pattern.SMALL_POOL, Certainty.POSSIBLE
    return Pattern.SHORT_CONNECTIONS, Certainty.LIKELY


_SUMMARIES = {
    Pattern.SHORT_CONNECTIONS: "are opened for one request or few, and closed again",
    Pattern.SMALL_POOL: "are opened beside those that are kept: the pool is too small, or closes too early",
    Pattern.SHORT_CLIENTS: "come from clients that had one before, and did not keep it",
    Pattern.DNS_OVER_TCP: "are opened for DNS lookups over TCP",
}


def _summary(group: HopGroup, pattern: Pattern) -> str:
    if not group.total.opened:
        return "No connection is opened any more: those that were opened and closed before hold the ports."
    rate = rate_words(group.opened_per_s, is_lower_bound=not group.counts_all)
    return f"{rate[0].upper()}{rate[1:]} {_SUMMARIES[pattern]}."


def _facts(group: HopGroup) -> Iterator[str]:
    if group.total.no_port:
        rate = rate_words(group.total.no_port / group.seconds, is_lower_bound=False)
        yield f"{rate[0].upper()}{rate[1:]} found no free port (EADDRNOTAVAIL), so that nothing was sent."
    carried = group.requests_per_connection
    if carried is not None:
        sources = names(sorted({flow.source for flow in group.requests}))
        yield f"A connection carries {carried:.1f} requests ({sources})."
    # Between dumps nobody knows when a connection began and ended.
    if group.is_exact and group.total.lifetimes_s:
        lived = _lifetime(statistics.median(group.total.lifetimes_s))
        yield f"Half of those that ended lived for less than {lived}."
    if group.closes_first is Closer.HERE and group.first.waits_in == "FIN_WAIT2":
        yield _HALF_CLOSED[group.direction]
    else:
        yield from _WHO[group.direction, group.closes_first]


_HALF_CLOSED: Mapping[Direction, str] = {
    Direction.OUTGOING: "This host closes first, and the server does not close, or late: each connection"
    " holds its port in FIN_WAIT2, for a minute (tcp_fin_timeout) once no process holds it.",
    Direction.INCOMING: "This host closes first, and the clients do not close, or late: connections stay in"
    " FIN_WAIT2 here, where they take memory, but no port.",
}

_WHO: Mapping[tuple[Direction, Closer], Sequence[str]] = {
    (Direction.OUTGOING, Closer.HERE): (
        "This host closes first: each connection leaves its port in TIME_WAIT for 60 s.",
    ),
    (Direction.OUTGOING, Closer.THERE): (
        "The server closes first: TIME_WAIT is there, and each connection costs a handshake here.",
    ),
    (Direction.OUTGOING, Closer.BOTH): ("Now this host closes first, now the server: TIME_WAIT is on both.",),
    (Direction.INCOMING, Closer.HERE): (
        "This host closes first: TIME_WAIT is here, where it takes memory, but no port.",
    ),
    (Direction.INCOMING, Closer.THERE): ("The clients close first: TIME_WAIT and its ports are theirs.",),
    (Direction.INCOMING, Closer.BOTH): ("Now this host closes first, now the client.",),
    (Direction.OUTGOING, Closer.UNKNOWN): (),
    (Direction.INCOMING, Closer.UNKNOWN): (),
}


def _change(group: HopGroup, pattern: Pattern) -> str:
    if pattern is Pattern.DNS_OVER_TCP:
        return "cache lookups on this host (nscd, systemd-resolved, dnsmasq), and look them up over UDP"
    if pattern is Pattern.SHORT_CLIENTS:
        return (
            "let the clients keep their connections: HTTP/1.1 without `Connection: close`;"
            " and let the server keep them (nginx: keepalive_timeout above 0)"
        )
    if pattern is Pattern.SMALL_POOL:
        idle = max(group.established)
        return _by_process(group, _ENLARGE, _ENLARGE_OTHER).format(idle=idle)
    return _by_process(group, _KEEP, _KEEP_OTHER)


def _by_process(group: HopGroup, changes: Mapping[str, str], other: str) -> str:
    known = (changes[name] for name in group.processes if name in changes)
    return next(known, other)


def _lifetime(seconds: float) -> str:
    return units.milliseconds(seconds * 1000) if seconds < 1 else f"{seconds:.1f} s"
