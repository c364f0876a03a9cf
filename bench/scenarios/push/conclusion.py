"""The one sentence that a push run amounts to: polling against pushing, or the limits found. Pure."""

from __future__ import annotations

from bench.analysis.cases import Row, Summary
from bench.scenarios.push import rising_rate as limit

_POLLS = ("short-poll-new", "short-poll")
_PUSHES = ("websocket", "sse", "websocket-picows")
"""The server that polls are answered by, first: another would not be a comparison of ways."""


def conclude(summary: Summary) -> str:
    """Say what pushing saves against polling, or where each way's limit lies and what sets it."""
    limits = [said for row in summary.rows if (said := _limit(row)) is not None]
    if limits:
        return "; ".join(limits) + "."
    poll = _first(summary, _POLLS)
    push = _first(summary, _PUSHES)
    parts = [
        _cost(row) for row in (poll, summary.row("long-poll", _subject(poll, push)), push) if row is not None
    ]
    saved = "" if poll is None or push is None else _ratio(poll, push)
    if not parts:
        return "No message was delivered."
    return "; ".join(parts) + saved + "."


def _first(summary: Summary, variants: tuple[str, ...]) -> Row | None:
    """Return the row of the first way that was measured, on the last of its subjects."""
    for variant in variants:
        rows = [
            row
            for row in summary.rows
            if row.variant == variant and row.value("times_ms.delay.p50") is not None
        ]
        if rows:
            return rows[-1]
    return None


def _subject(*rows: Row | None) -> str | None:
    return next((row.subject for row in rows if row is not None), None)


def _cost(row: Row) -> str:
    late, asked = row.value("times_ms.delay.p50"), row.value("figures.requests_per_delivery")
    if late is None or asked is None:
        return f"{row.name} delivered nothing"
    requests = "no request" if asked < 0.01 else f"{asked:.2g} requests"
    return f"{row.name} brings a message after {late:,.3g} ms with {requests}"


def _ratio(poll: Row, push: Row) -> str:
    pairs = [
        (row.value("cpu_us_per_unit.backend"), row.value("bytes_per_unit.front")) for row in (poll, push)
    ]
    (poll_cpu, poll_bytes), (push_cpu, push_bytes) = pairs
    if not poll_cpu or not push_cpu:
        return ""
    said = f": pushing takes {push_cpu / poll_cpu:.0%} of the server CPU"
    if poll_bytes and push_bytes:
        said += f" and {push_bytes / poll_bytes:.0%} of the bytes"
    return said


def _limit(row: Row) -> str | None:
    rate = row.value("figures.limit_per_s")
    reached = row.value("figures.limit_reached")
    if reached is None or (rate is None and not reached):
        return None  # nobody looked for it, or not long enough
    if rate is None:
        return f"{row.name} was late at the first rate already: {_why(row)}"
    said = f"{row.name} carries {rate:,.0f} messages/s with p99 below {limit.LATE_MS:g} ms"
    if not reached:
        return f"{said}, and was not driven further"
    return f"{said}; beyond that {_why(row)}"


def _why(row: Row) -> str:
    """Name what was full in the step that was too much."""
    used = {
        "the clients": row.value("figures.cores_at_limit_client"),
        row.subject: row.value("figures.cores_at_limit_proxy") if row.subject != "direct" else None,
        "the server": row.value("figures.cores_at_limit_backend"),
    }
    known = {who: cores for who, cores in used.items() if cores is not None}
    told = ", ".join(f"{who} {cores:.2f}" for who, cores in known.items())
    full = [who for who, cores in known.items() if cores >= limit.FULL]
    if full:
        return f"{' and '.join(full)} had no core left to use ({told} cores)"
    behind = {who: cores for who, cores in known.items() if who != "the clients"}
    if len(behind) == 2 and sum(behind.values()) >= limit.FULL:
        return f"{' and '.join(behind)} had filled the core that they share ({told} cores)"
    return f"no role had used up a core ({told} cores): bursts, or other work on this machine, made it late"
