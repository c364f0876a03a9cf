"""The sentence of a push run: polling against pushing, or the limits that were found. Pure."""

from bench.analysis.cases import CaseTrials, Summary
from bench.scenarios.push import rising_rate

_REQUESTS = "figures.requests_per_delivery"
_POLLS = ("short-poll-new", "short-poll")
_PUSHES = ("websocket", "sse", "websocket-picows")
"""The server that also answers polls comes first: another one would not compare variants."""


def conclude(summary: Summary) -> str:
    """Say what pushing saves against polling, or where each variant's limit lies and what sets it."""
    limits = [limit for row in summary.rows if (limit := _limit(row)) is not None]
    if limits:
        return "; ".join(limits) + "."
    poll, push = _first(summary, _POLLS), _first(summary, _PUSHES)
    subject = next((row.subject for row in (poll, push) if row is not None), None)
    rows = [row for row in (poll, summary.row("long-poll", subject), push) if row is not None]
    if not rows:
        return "What a message takes was not measured."
    saved = "" if poll is None or push is None else _saving(poll, push)
    text = "; ".join(map(_cost, rows)) + saved
    return f"{text[0].upper()}{text[1:]}."


def _first(summary: Summary, variants: tuple[str, ...]) -> CaseTrials | None:
    """Return the row of the first variant that was measured, on the last of its subjects."""
    measured = [row for row in summary.rows if row.value(_REQUESTS) is not None]
    for variant in variants:
        rows = [row for row in measured if row.variant == variant]
        if rows:
            return rows[-1]
    return None


def _cost(row: CaseTrials) -> str:
    delay_ms, sent = row.value("times_ms.delay.p50"), row.value(_REQUESTS)
    if sent is None:
        return f"by {row.name} no message came that counts"
    requests = "no request" if sent < 0.01 else f"{sent:.2g} requests"
    if delay_ms is None:
        return f"by {row.name} a message takes {requests}, and its delay does not count"
    return f"by {row.name} a message comes after {delay_ms:,.3g} ms with {requests}"


def _saving(poll: CaseTrials, push: CaseTrials) -> str:
    cpu = push.ratio_to(poll, "cpu_us_per_unit.backend")
    on_wire = push.ratio_to(poll, "bytes_per_unit.front")
    if cpu is None:
        return ""
    saved = f": pushing takes {cpu:.0%} of the server CPU"
    return saved + (f" and {on_wire:.0%} of the bytes" if on_wire is not None else "")


def _limit(row: CaseTrials) -> str | None:
    rate, reached = row.value("figures.limit_per_s"), row.value("figures.limit_reached")
    if reached is None or (rate is None and not reached):
        return None  # not looked for, or not long enough
    if rate is None:
        return f"{row.name} was late at the first rate already: {_bottleneck(row)}"
    limit = f"{row.name} carries {rate:,.0f} messages/s with p99 below {rising_rate.LATE_MS:g} ms"
    return f"{limit}; beyond that {_bottleneck(row)}" if reached else f"{limit}, and was not driven further"


def _bottleneck(row: CaseTrials) -> str:
    """Return what was full in the step that was too much."""
    roles = {"the clients": "client", row.subject: "proxy", "the server": "backend"}
    roles.pop("direct", None)
    values = {name: row.value(f"figures.cores_at_limit_{role}") for name, role in roles.items()}
    used = {name: cores for name, cores in values.items() if cores is not None}
    figures = ", ".join(f"{name} {cores:.2f}" for name, cores in used.items())
    full = [name for name, cores in used.items() if cores >= rising_rate.FULL]
    if full:
        return f"{' and '.join(full)} had no core left to use ({figures} cores)"
    behind = {name: cores for name, cores in used.items() if name != "the clients"}
    if len(behind) == 2 and sum(behind.values()) >= rising_rate.FULL:
        return f"{' and '.join(behind)} had filled the core that they share ({figures} cores)"
    return (
        f"no role had used up a core ({figures} cores): bursts, or other work on this machine, made it late"
    )
