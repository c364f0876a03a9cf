"""Parse and format quantities: durations, sizes, counts. Pure."""

import math
import re
from collections.abc import Sequence

_DURATIONS_S = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}
_PER_S = {"": 1.0, "k": 1e3, "K": 1e3, "m": 1e6, "M": 1e6}
_SIZES = {
    "": 1,
    "B": 1,
    "K": 1024,
    "KIB": 1024,
    "M": 1024**2,
    "MIB": 1024**2,
    "KB": 1000,
    "MB": 1000**2,
    "G": 1024**3,
    "GIB": 1024**3,
}
# Of more digits there is no use, and no float.
_QUANTITY = re.compile(r"(\d{1,15}(?:\.\d{1,15})?)\s*([A-Za-z]*)", re.ASCII)
_RATE = re.compile(r"(\d{1,15}(?:\.\d{1,15})?(?:[eE][+-]?\d{1,3})?)\s*([kKmM]?)(?:/s)?", re.ASCII)


def duration_s(text: str) -> float:
    """Return the seconds that `text` names: `10`, `10s`, `250ms`, `2m`; ValueError when it names none."""
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or match[2].lower() not in _DURATIONS_S:
        raise ValueError(f"{text!r} is not a duration; write 10s, 250ms or 2m")
    return float(match[1]) * _DURATIONS_S[match[2].lower()]


def rate_per_s(text: str) -> float:
    """Return the rate that `text` names: `5000`, `5k`, `2.5k/s`, `1M`; ValueError when it names none."""
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a rate per second; write 5000, 5k or 5000/s")
    return float(match[1]) * _PER_S[match[2]]


def size_bytes(text: str) -> int:
    """Return the bytes that `text` names: `2`, `64K`, `100KiB`, `1MB`; ValueError when it names none."""
    match = _QUANTITY.fullmatch(text.strip())
    unit = match[2].upper() if match else ""
    size = float(match[1]) * _SIZES.get(unit, math.nan) if match else math.nan
    if not math.isfinite(size):
        raise ValueError(f"{text!r} is not a size; write 2, 100KiB or 10MiB")
    return int(size)


def count(value: float) -> str:
    """Return a count with thousands separators: `28,232`."""
    return f"{value:,.0f}"


def plural(number: float, noun: str) -> str:
    """Return a count with its noun: `1 connection`, `1,200 connections`."""
    return f"{count(number)} {plural_of(noun, number)}"


def plural_of(noun: str, number: float = 0) -> str:
    """Return a noun as it stands behind a number that is shown already: `request`, `requests`, `proxies`."""
    if count(number) == "1":
        return noun
    return f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"


def rate(value: float) -> str:
    """Return a rate per second: `11,300/s`, `480/s`, `3.2/s`."""
    return f"{value:,.0f}/s" if value >= 10 else f"{value:.1f}/s"


def milliseconds(value: float) -> str:
    """Return a time in milliseconds with three significant digits: `0.61 ms`, `97.0 ms`, `1,240 ms`."""
    if value >= 100:
        return f"{value:,.0f} ms"
    return f"{value:.1f} ms" if value >= 10 else f"{value:.2f} ms"


def ratio(value: float) -> str:
    """Return a ratio as a factor: `4.1x`, `0.25x`."""
    return f"{value:,.0f}x" if value >= 100 else f"{value:.3g}x"


def ratios(values: Sequence[float]) -> list[str]:
    """Return ratios that stand together, all with the decimals that give the first one three digits."""
    first = float(f"{abs(values[0]):.2e}")
    decimals = max(0, 2 - math.floor(math.log10(first))) if first else 2
    return [f"{value:,.{decimals}f}x" for value in values]
