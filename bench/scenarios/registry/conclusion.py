"""The sentence of a registry run. Pure."""

from bench import units
from bench.analysis.cases import CaseTrials, Summary

_LOST_SHARE = 0.05
"""Of the instances: where more are taken for dead than this, the other figures mean little."""
_SDK_VERSIONS = {"sdk-1": "1.x", "sdk-2": "2.x"}


def conclude(summary: Summary) -> str:
    """Say what the registry spends in each variant, and how soon a death and a newcomer are seen."""
    subject = summary.subjects[0]
    short = summary.row("http-short", subject)
    rows = [row for row in summary.of_subject(subject) if row.variant not in _SDK_VERSIONS]
    parts = [part for row in rows if (part := _lost(row) or _cost(row, short)) is not None]
    instances = summary.value("figures.instances", summary.rows[0].variant) or 0
    sentences = [f"With {instances:,.0f} instances {'; '.join(parts)}."] if parts else []
    return " ".join(sentences + _conclude_sdk(summary))


def _lost(row: CaseTrials) -> str | None:
    """Return how a variant lost track of its instances; None where it did not."""
    false_dead, instances = (row.value(f"figures.{name}") or 0 for name in ("false_dead", "instances"))
    if false_dead <= _LOST_SHARE * instances:
        return None
    return (
        f"{row.variant} loses hold of them: it took living ones for dead {units.plural(false_dead, 'time')}"
    )


def _cost(row: CaseTrials, short: CaseTrials | None) -> str | None:
    """Return what a variant takes, also beside http-short; None where that is not known."""
    cores, death_ms = row.value("figures.cores"), row.value("times_ms.death_seen.p50")
    newcomer_ms = row.value("times_ms.newcomer_seen.p50")
    if cores is None or death_ms is None or newcomer_ms is None:
        return None
    less = None if short is None or short is row else short.ratio_to(row, "figures.cores")
    ratio = f" ({less:.2g}x less)" if less is not None else ""
    seen = f"a death after {_format_time(death_ms)} and a newcomer after {_format_time(newcomer_ms)}"
    return f"{row.variant} takes {cores:.2g} cores of the registry{ratio}, and its subscribers see {seen}"


def _conclude_sdk(summary: Summary) -> list[str]:
    """Return the sentence on Nacos's own clients, where they were there."""
    opened = {
        version: summary.value("hops.front.opened", variant) or summary.value("hops.front.accepted", variant)
        for variant, version in _SDK_VERSIONS.items()
    }
    known = [
        f"{units.plural(count, 'connection')} of its client of {version}"
        for version, count in opened.items()
        if count
    ]
    counts = [summary.value("figures.instances", variant) for variant in _SDK_VERSIONS]
    instances = next(filter(None, counts), 0)
    return [f"Nacos's own clients, {instances:,.0f} of them: {', '.join(known)}."] if known else []


def _format_time(time_ms: float) -> str:
    return f"{time_ms / 1000:.2g} s" if time_ms >= 1000 else f"{time_ms:.3g} ms"
