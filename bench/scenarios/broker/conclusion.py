"""The sentence of a broker run. Pure."""

from bench.analysis.cases import CaseTrials, Summary


def conclude(summary: Summary) -> str:
    """Say how late each variant is, and how many pulls it sends for nothing."""
    rows = [row for row in summary.of_subject(summary.subjects[0]) if row.variant != "sdk"]
    parts = [part for row in rows if (part := _describe(row)) is not None]
    sentences = [f"For each message {'; '.join(parts)}."] if parts else []
    delay_ms = summary.value("times_ms.delay.p50", "sdk")
    if delay_ms is not None:
        sentences.append(f"RocketMQ's own consumers have a message after {delay_ms:,.3g} ms.")
    return " ".join(sentences)


def _describe(row: CaseTrials) -> str | None:
    """Return what a message takes in one variant; None where that was not measured."""
    delay_ms, empty = row.value("times_ms.delay.p50"), row.value("figures.empty_per_message")
    cpu_us = row.value("cpu_us_per_unit.backend")
    if delay_ms is None or empty is None or cpu_us is None:
        return None
    pulls = f"{empty:.2g} empty pulls" if empty else "no empty pull"
    cpu = f"{cpu_us:,.0f} us of broker CPU"
    return f"{row.variant} delivers after {delay_ms:,.3g} ms (median) with {pulls} and {cpu}"
