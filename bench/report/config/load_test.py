"""Format load tests of configurations as plain text: a small table and one sentence."""

import textwrap
from collections.abc import Iterator, Sequence

from bench import units
from bench.analysis.answers import Answer, Cell
from bench.prove.load_test import CONNECTIONS, SEARCHED, SIDES, TIMED, ConfigSide, Cost
from bench.report.text_table import format_number, prose_width

_RATE = "requests_per_s"
_ROWS = (
    ("requests/s", _RATE),
    ("latency p99, ms", "p99_ms"),
    ("CPU nginx, us/request", "nginx_cpu_us_per_request"),
    ("connections per request", "connections_per_request"),
    ("TIME_WAIT nginx", "time_wait_nginx"),
    ("TIME_WAIT backend", "time_wait_backend"),
    ("errors", "errors"),
)
_WIDTH = 14


def format_costs(found: Sequence[Cost]) -> str:
    """Return a table of medians for each nginx, and its summary."""
    return "\n".join("\n".join(_format_cost(each)) for each in found) + "\n"


def _format_cost(found: Cost) -> list[str]:
    if found.location is None:
        return [f"load, nginx {found.version}: {found.missing}"]
    passing = found.location.pass_location
    place = f"{passing.context} -> {passing.target} ({passing.directive.place})"
    title = f"load, nginx {found.version}: {place}"
    if found.missing:
        return [f"{title}: {found.missing}"]
    lines = [
        f"{title}, {CONNECTIONS} clients, medians of {len(found.windows) // len(SIDES)}",
        "  " + " " * 24 + "".join(f"{side:>{_WIDTH}}" for side in SIDES),
    ]
    for name, figure in _ROWS:
        values = [_format_value(found.median(side, figure), _absence(found, side, figure)) for side in SIDES]
        lines.append(f"  {name:<24}" + "".join(f"{value:>{_WIDTH}}" for value in values))
    texts = [*_list_busy(found), *_list_mixed(found), _summarize(found)]
    return [*lines, *(line for text in texts for line in textwrap.wrap(text, prose_width() - 2))]


def _absence(found: Cost, side: ConfigSide, figure: str) -> str:
    """Return what stands in place of a figure that no window of a side may be quoted for."""
    windows = [each for each in found.windows if each.side == side]
    if figure in SEARCHED and any(each.is_mixed for each in windows):
        return "mixed"
    return "void" if figure in TIMED and any(each.is_void for each in windows) else "-"


def _list_mixed(found: Cost) -> Iterator[str]:
    """Yield in how many windows half of the ports were used, and what that does to the figures."""
    mixed = sum(each.is_mixed for each in found.windows)
    if mixed:
        yield (
            f"! half of the ports were used in {mixed} of {len(found.windows)} windows, and connect() slowed:"
            " rate, latency and CPU of those are mixed and do not count; take a shorter --duration"
        )


def _list_busy(found: Cost) -> Iterator[str]:
    """Yield in how many windows others used the machine, and what that does to the figures."""
    busy = [each for each in found.windows if each.busy is not None]
    if busy:
        worst = max(busy, key=lambda each: each.is_void)
        assert worst.busy is not None, "those are chosen that have one"
        count = f"{len(busy)} of {len(found.windows)} windows"
        yield f"! {count}; the worst: {worst.busy.message}; {worst.busy.advice}"


def _format_value(value: float | None, absence: str) -> str:
    if value is None:
        return absence
    return f"{value:.4f}" if 0 < value < 0.1 else format_number(value)


def _summarize(found: Cost) -> str:
    cpu, rate = (found.compare(name) for name in ("nginx_cpu_us_per_request", _RATE))
    opened = found.median("repaired", "connections_per_request") or 0.0
    per_connection = (
        f"one connection for {format_number(1 / opened)} requests" if opened else "no new connections"
    )
    before = found.median("as it is", "connections_per_request") or 0.0
    parts = [f"it opens {per_connection} instead of {format_number(before)} for each"]
    ratios = [_format_ratio(cpu, "spends {} of nginx's CPU per request", is_share=True)]
    ratios += [_format_ratio(rate, "serves {} the requests per second", is_share=False)]
    known = [text for text in ratios if text]
    told = [cell for cell in (cpu, rate) if cell is not None and cell.ratio is not None]
    seen = _format_windows(told)
    parts += [f"{seen}{known[0]}", *known[1:]] if known else []
    absent = {_absence(found, side, _RATE) for side in SIDES if not found.values(side, _RATE)}
    void = f" Its rates are {' and '.join(sorted(absent))}." if absent else ""
    return f"Repaired, {', '.join(parts[:2])}{''.join(f' and {part}' for part in parts[2:])}.{void}"


def _format_ratio(cell: Cell | None, text: str, *, is_share: bool) -> str:
    """Return a ratio within `text`; empty where there is none."""
    if cell is None or cell.ratio is None:
        return ""
    center = cell.ratio.center
    return text.format(f"{format_number(100 * center)} %" if is_share else units.ratio(center))


def _format_windows(cells: Sequence[Cell]) -> str:
    """Return in how many windows ratios were seen, where those cannot tell that it is a difference."""
    samples = [cell.samples for cell in cells if cell.answer is Answer.CANNOT_TELL and cell.samples]
    counts = [min(len(each.old), len(each.new)) for each in samples]
    if not counts:
        return ""
    windows = "this window" if min(counts) == 1 else f"these {min(counts)} windows"
    return f"and in {windows} of each side it "
