"""Rows of the table of attacks: one figure of ours, nginx's beside it, and what the figure may be at most."""

from __future__ import annotations

from collections.abc import Mapping

from tests.attacks.arena import Good
from tests.perf.pairs import Row, Spread

P99_TIMES, P99_MS = 2.0, 2.0
"""A good client's p99 is at most so many times what it is without the attack, or so many ms."""
ONE_CLIENT_KIB = 512.0
"""What one client may cost in memory, whatever it sends."""


def row(
    part: str,
    what: str,
    unit: str,
    figures: Mapping[str, float],
    *,
    limit: float | None = None,
    notes: tuple[str, ...] = (),
) -> Row:
    """Return one row from the figures by subject; `limit` is what ours may be at most."""
    theirs = figures.get("nginx-default")
    return Row(
        part,
        what,
        unit,
        Spread.of([figures["ours"]]),
        "" if theirs is None else "nginx",
        None if theirs is None else Spread.of([theirs]),
        target="" if limit is None else f"ours <= {limit:.3g}",
        met=None if limit is None else figures["ours"] <= limit,
        notes=notes,
    )


def good_rows(part: str, what: str, quiet: Mapping[str, Good], good: Mapping[str, Good]) -> list[Row]:
    """Return what the good client was given during an attack: its p99, and what it was refused."""
    limit = max(P99_TIMES * quiet["ours"].p99_ms, P99_MS)
    notes = tuple(
        f"{name}: p50 {good[name].p50_ms:.2f} ms (quiet {quiet[name].p50_ms:.2f}),"
        f" p99 {good[name].p99_ms:.2f} ms (quiet {quiet[name].p99_ms:.2f}),"
        f" longest {good[name].max_ms:.1f} ms, {good[name].answers} answers"
        for name in good
    )
    p99 = {name: each.p99_ms for name, each in good.items()}
    lost = {name: each.refused + each.broken for name, each in good.items()}
    return [
        row(part, f"{what}: good client's p99", "ms", p99, limit=limit, notes=notes),
        row(part, f"{what}: good requests refused or lost", "", lost, limit=0),
    ]
