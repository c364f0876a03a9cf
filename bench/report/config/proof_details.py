"""Format what the second run of a proof showed: requests in flight, the end of the idle time, no bodies."""

from collections.abc import Iterator

from bench import units
from bench.prove.backend_kinds import BackendKind
from bench.prove.idle_end import IdleEnd, IdleTest
from bench.prove.in_flight import InFlight
from bench.prove.inventory import Location
from bench.prove.proof import LocationResult


def detail_rows(result: LocationResult) -> Iterator[tuple[str, str]]:
    """Yield a label and a text for each."""
    if result.kind is not None:
        yield "servers", _format_kind(result.kind)
    if result.in_flight is not None:
        yield "in flight", _format_in_flight(result.in_flight)
    if result.idle_end is not None:
        yield "idle", _format_idle(result.idle_end, result.location)
    if result.bodiless:
        yield "no body", "; ".join(_format_bodiless(result))


def _format_bodiless(result: LocationResult) -> Iterator[str]:
    """Yield each verdict once, with the answers without a body that it is about."""
    names: dict[str, list[str]] = {}
    for name, counts in result.bodiless.items():
        names.setdefault(counts.verdict, []).append(name)
    yield from (f"{verdict}: {', '.join(each)}" for verdict, each in names.items())


def _format_kind(kind: BackendKind) -> str:
    parts = [f"like {kind.name}"]
    if kind.processes is not None:
        parts.append(f"{units.plural(kind.processes, 'connection')} at once")
    if kind.requests is not None:
        parts.append(f"{units.plural(kind.requests, 'request')} on each")
    if kind.idle_s is not None:
        parts.append(f"{'a PING' if kind.pings else 'closed'} after {kind.idle_s:g} s idle")
    if kind.dialect != "1.1":
        parts.append(_DIALECTS[kind.dialect])
    if kind.answer != "body":
        parts.append("answers without a body")
    return "; ".join(parts)


_DIALECTS = {
    "closing": "closes after each response",
    "1.0": "answers in HTTP/1.0",
    "1.0-only": "refuses HTTP/1.1",
    "both-lengths": "answers HTTP/1.1 with a length and in chunks",
}


def _format_in_flight(found: InFlight) -> str:
    spread = f" over {found.workers} workers" if found.workers > 1 else ""
    text = f"{found.in_flight:,} at once{spread}: "
    if found.unanswered:
        text += f"NO ANSWER to {found.unanswered:,}, {found.requests:,} answered"
    elif found.share is None:
        text += "none arrived"
    else:
        opened = units.plural(found.connections, "new connection")
        text += f"{100 * found.share:.0f} % reused; {opened} for {units.plural(found.requests, 'request')}"
    failed = {status: count for status, count in found.statuses.items() if status >= 500}
    return text + "".join(
        f"; status {status} {units.plural(count, 'time')}" for status, count in failed.items()
    )


def _format_idle(found: IdleTest, location: Location) -> str:
    if found.is_nginx_first:
        return f"nginx closes after {found.nginx_idle_s:g} s, before the servers do"
    if not found.requests:
        return "nothing: no request arrived whose connection could idle"
    what = "a PING" if found.kind.pings else "a server's close"
    text = f"a request after {what}: " + "; ".join(map(_format_end, found.requests))
    left_out_s = None if location.upstream is None else location.upstream.left_out_s
    if found.kind.pings or left_out_s is None:
        return text
    return f"{text}; nginx then sends nothing to that server for {left_out_s:g} s (max_fails, fail_timeout)"


def _format_end(each: IdleEnd) -> str:
    status = "no answer" if each.status is None else f"status {each.status}"
    again = ", on a new connection" if each.connections and not each.is_failed else ""
    return f"{each.method} {'FAILS, ' if each.is_failed else ''}{status}{again}"
