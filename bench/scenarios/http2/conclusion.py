"""The sentence of an http2 run. Pure."""

from bench.analysis.cases import CaseTrials, Summary

_CONNECTIONS = "figures.server_connections"
_SENT = "figures.sent_bytes"


def conclude(summary: Summary) -> str:
    """Say what multiplexing saves in connections and header bytes, where, and what waits behind what."""
    parts = []
    kept, multiplexed = summary.row("keep-alive", "direct"), summary.row("h2", "direct")
    if kept is not None and multiplexed is not None and multiplexed.value(_SENT) is not None:
        parts.append(_compare(multiplexed, kept))
    behind = [
        f"{_format(row, _CONNECTIONS)} behind {row.subject}"
        for row in summary.rows
        if row.variant == "h2" and row.subject != "direct"
    ]
    if behind:
        parts.append(f"asked to speak HTTP/2 upstream, proxies open {', '.join(behind)}")
    one, many = (summary.value("times_ms.during_slow.p99", variant, "direct") for variant in ("one", "h2"))
    if one is not None and many is not None:
        parts.append(
            f"beside a slow response p99 is {many:,.3g} ms on one HTTP/2 connection and {one:,.3g} ms on"
            " one HTTP/1.1 connection"
        )
    if not parts:
        return "Only parts of the comparison were measured."
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _compare(multiplexed: CaseTrials, kept: CaseTrials) -> str:
    """Return what one uses instead of the other."""
    keys = {
        "connection": _CONNECTIONS,
        "bytes a request": _SENT,
        "us of server CPU": "cpu_us_per_unit.backend",
    }
    *savings, last = (
        f"{_format(multiplexed, key)} {what} instead of {_format(kept, key)}" for what, key in keys.items()
    )
    libraries = "the CPU is that of two libraries: python-h2, written in Python, and httptools, written in C"
    return f"Without a proxy HTTP/2 takes {', '.join(savings)}, and {last} ({libraries})"


def _format(row: CaseTrials, key: str) -> str:
    value = row.value(key)
    return "-" if value is None else f"{value:,.0f}"
