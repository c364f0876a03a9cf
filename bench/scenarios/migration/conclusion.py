"""The sentence of a migration run. Pure."""

from collections.abc import Sequence

from bench.analysis.cases import CaseTrials, Summary

_PROBING = ("quic-probe", "quic-rebind")


def conclude(summary: Summary) -> str:
    """Say which connections survived, after how long, and what the others waited for."""
    probing = [row for row in summary.rows if row.variant in _PROBING]
    stuck = [row for row in summary.rows if row.value("figures.survived") == 0]
    back = [
        row
        for row in summary.rows
        if row.variant.endswith("-timeout")
        and row.value("figures.survived")
        and row.value("figures.silence_ms") is not None
    ]
    parts = []
    if probing:
        parts.append(_describe_probing(probing))
    if stuck:
        parts.append(f"{_variants(stuck)} heard nothing more")
    if back:
        waited = f"after {_range_s(back)} s, when they gave up the first"
        parts.append(f"{_variants(back)} came back on a second connection {waited}")
    return "; ".join(parts) + "."


def _describe_probing(rows: Sequence[CaseTrials]) -> str:
    trials = [trial.figures for row in rows for trial in row.counted]
    survived = sum(bool(figures.get("survived")) for figures in trials)
    silence_ms, outage_ms = (
        max((float(figures.get(name) or 0) for figures in trials), default=0.0)
        for name in ("silence_ms", "outage_ms")
    )
    return (
        f"QUIC that says where it is now went on in {survived} of {len(trials)} trials, on one connection"
        f" each, silent for at most {silence_ms:,.0f} ms of which the address was gone for {outage_ms:,.0f}"
    )


def _range_s(rows: Sequence[CaseTrials]) -> str:
    """Return the silence of some rows in seconds: one number, or the least and the greatest."""
    found = [value for row in rows if (value := row.value("figures.silence_ms")) is not None]
    return " to ".join(dict.fromkeys(f"{value / 1000:,.1f}" for value in (min(found), max(found))))


def _variants(rows: Sequence[CaseTrials]) -> str:
    """Return the variants of some rows, each once, as an enumeration."""
    *names, last = dict.fromkeys(row.variant for row in rows)
    return f"{', '.join(names)} and {last}" if names else last
