"""The sentence of a stream run. Pure."""

from bench.analysis.cases import CaseTrials, Summary
from bench.scenarios.stream.settings import LATE_MS


def conclude(summary: Summary) -> str:
    """Say what comes at once, what is held back and by how much, and what is cut."""
    rows = [row for row in summary.rows if row.value("times_ms.first.p50") is not None]
    held = sorted((row for row in rows if _first_ms(row) > LATE_MS), key=_first_ms, reverse=True)
    cut = [row for row in rows if row.value("figures.cut")]
    fast = [row for row in rows if row not in held]
    parts = []
    if fast:
        slowest_ms = max(map(_first_ms, fast))
        parts.append(
            f"The first token is there within {slowest_ms:,.0f} ms in {len(fast)} of {len(rows)} cases"
        )
    if held:
        cases = ", ".join(f"{row.name} {_first_ms(row) / 1000:.3g} s" for row in held)
        parts.append(f"it is held back by {cases}")
    if cut:
        cases = ", ".join(f"{row.name} ({row.value('figures.lost') or 0:,.0f} tokens lost)" for row in cut)
        parts.append(f"the answer is cut by {cases}")
    return ("; ".join(parts) or "No delay of a token can be told") + "."


def _first_ms(row: CaseTrials) -> float:
    return row.value("times_ms.first.p50") or 0.0
