"""How a figure is written. Pure."""

from __future__ import annotations


def number(value: float, unit: str = "") -> str:
    """Return a figure with three significant digits or more; counts (no unit) without a fraction of .0.

    Seconds get a tenth and no more from 1 s on: that is how often ports are looked at.
    """
    if abs(value) >= 100 or (unit == "" and value == round(value)):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= (1 if unit == "s" else 10) else f"{value:.2f}"
