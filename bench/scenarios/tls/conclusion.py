"""The sentence of a tls run. Pure."""

from bench.analysis.cases import Summary

_SIDES = ("proxy", "backend")
"""Of the hop that speaks TLS."""
_VERSIONS = {"tls13": "TLS 1.3", "tls12": "TLS 1.2"}


def conclude(summary: Summary) -> str:
    """Say what a request costs on a new, a resumed and a kept connection, behind each proxy that does all."""
    parts = []
    for version, name in _VERSIONS.items():
        costs = [cost for subject in summary.subjects if (cost := _costs(summary, version, subject))]
        if costs:
            parts.append(f"by {name} {', '.join(costs)}")
    if not parts:
        return "Only parts of the comparison were measured."
    return (
        "The CPU of a request, on both sides of the hop, in microseconds, on a new connection, a resumed"
        f" session and a kept connection: {'; '.join(parts)}."
    )


def _costs(summary: Summary, version: str, subject: str) -> str | None:
    """Return the three costs behind one proxy; None where one of them was not measured."""
    costs = []
    for kind in ("new", "resumed", "kept"):
        sides = [summary.value(f"cpu_us_per_unit.{side}", f"{version}-{kind}", subject) for side in _SIDES]
        if None in sides:
            return None
        costs.append(f"{sum(filter(None, sides)):,.0f}")
    return f"{subject} {' / '.join(costs)}"
