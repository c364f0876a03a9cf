"""The sentence of a chat run. Pure."""

from bench import units
from bench.analysis.cases import Summary

_DROPS = {
    "reload": "a reload drops",
    "restart": "a restart drops",
    "idle": "a timeout for silence drops",
    "idle-beats": "with heartbeats it drops",
}


def conclude(summary: Summary) -> str:
    """Say what the two servers cost, and what a reload, a restart and an idle timeout do to open rooms."""
    parts = []
    ours, theirs = (summary.value("cpu_us_per_unit.backend", variant) for variant in ("ours", "channels"))
    if ours and theirs:
        parts.append(f"a message costs Channels under Daphne {theirs / ours:.1f}x the CPU of ours")
    for variant, drops in _DROPS.items():
        dropped = _range(summary, variant, "dropped", ",.0f")
        back_s = _range(summary, variant, "all_back_s", ".2f")
        if dropped is not None:
            back = "" if back_s is None else f" and all rooms are back after {back_s} s"
            parts.append(f"{drops} {dropped} connections{back}")
    wrong = sum(row.value(f"figures.{name}") or 0 for row in summary.rows for name in ("lost", "doubled"))
    parts.append(
        "no message was lost or doubled" if not wrong else f"{units.plural(wrong, 'message')} lost or doubled"
    )
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _range(summary: Summary, variant: str, name: str, spec: str) -> str | None:
    """Return a figure of a variant over its subjects: one number, or the least and the greatest."""
    found = [row.value(f"figures.{name}") for row in summary.rows if row.variant == variant]
    values = [value for value in found if value is not None]
    if not values:
        return None
    least, greatest = format(min(values), spec), format(max(values), spec)
    return least if least == greatest else f"{least} to {greatest}"
