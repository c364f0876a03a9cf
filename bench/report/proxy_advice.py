"""Show what proxies must be told about a server: for each its lines of configuration, and why."""

from collections.abc import Iterable

from bench.probe.advice import Advice
from bench.report.text_table import wrap


def format_advice(advice: Iterable[Advice]) -> str:
    """Return the advice as text, a paragraph for each proxy."""
    return "".join(map(_format_one, advice))


def _format_one(advice: Advice) -> str:
    lines = "".join(f"    {line}\n" for line in advice.lines)
    return f"\n{advice.proxy}: {'write' if lines else 'nothing to write'}\n{lines}{wrap(advice.why)}\n"
