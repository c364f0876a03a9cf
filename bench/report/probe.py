"""Show a probe: on a terminal while it waits, and what it found as text."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from bench import units
from bench.probe.advice import Advice, advise
from bench.probe.model import Ending, IdleTimeout, KeepAliveCase, ProbeResult
from bench.probe.progress import ProbeProgress, Report, tell_nobody
from bench.report.html import Table
from bench.report.text_table import format_table, format_warnings, wrap

_REDRAWN_EVERY_S = 0.25
_ANNOUNCED_S = 0.5
"""What is announced is whole seconds."""
_ENDINGS = {
    Ending.FIN: "by a FIN",
    Ending.RST: "by an RST",
    Ending.GOAWAY: "by a GOAWAY",
    Ending.SILENCE: "in silence: no FIN, no RST, and the next request gets no answer",
}


@contextmanager
def show_live(stream: TextIO | None) -> Iterator[Report]:
    """Show on `stream` what a probe waits for while the block lasts, where it is a terminal."""
    if stream is None or not stream.isatty():
        yield tell_nobody
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    with Live(console=Console(file=stream), auto_refresh=False, transient=True) as live:
        drawn_s, phase = 0.0, ""

        def report(progress: ProbeProgress) -> None:
            nonlocal drawn_s, phase
            if progress.phase != phase or time.monotonic() - drawn_s >= _REDRAWN_EVERY_S:
                drawn_s, phase = time.monotonic(), progress.phase
                live.update(Text(progress.format(), no_wrap=True, overflow="ellipsis"), refresh=True)

        yield report


def format_probe(result: ProbeResult) -> str:
    """Return what a probe found as text: the answer in words, a table, and how it was found."""
    server = f" (it calls itself {result.server})" if result.server else ""
    where = f"{result.target}{server}, GET {result.path}"
    parts = [wrap(" ".join([f"{where}.", *_sentences(result)])), "\n"]
    parts.append(format_table(_build_facts(result), are_figures=False))
    parts.append(format_table(_build_cases(result.cases), are_figures=False))
    parts.append(
        f"{units.plural(result.connections_used, 'connection')},"
        f" {units.plural(result.requests_used, 'request')}, {result.took_s:.1f} s\n"
    )
    return "".join([*parts, format_warnings(result.notes), *map(_format_advice, advise(result))])


def _format_advice(advice: Advice) -> str:
    """Return what one proxy in front must be told, and why."""
    lines = "".join(f"    {line}\n" for line in advice.lines)
    return f"\n{advice.proxy}: {'write' if lines else 'nothing to write'}\n{lines}{wrap(advice.why)}\n"


def _sentences(result: ProbeResult) -> Iterator[str]:
    first = next((case for case in result.cases if case.kept is not None), None)
    if result.idle is None:
        if first is not None and not first.kept:
            said = "and says so" if first.announced else "without a word"
            yield f"It ends each connection after its first response, {said}: no proxy can reuse them."
        else:
            yield "How long it keeps an idle connection did not show."
        return
    yield f"It keeps connections. An idle one is {_format_idle(result.idle)}."
    if result.idle.is_known:
        yield (
            f"A proxy in front of it has to close its idle connections before {_format_s(result.idle.low_s)}:"
            " later a request can meet the end of its connection, and is lost."
        )
        if result.announced_idle_s is not None and result.idle.low_s < result.announced_idle_s - _ANNOUNCED_S:
            yield f"It announces {result.announced_idle_s:.0f} s, and ends them before."
    if result.max_requests is not None:
        said = "says so in the last response" if result.max_requests_announced else "does not say so before"
        yield f"It ends a connection after {units.plural(result.max_requests, 'request')}, and {said}."


def _build_facts(result: ProbeResult) -> Table:
    rows = [
        ("versions", ", ".join(result.versions) or "none that this probe knows"),
        ("idle after a response", "keeps none" if result.idle is None else _format_idle(result.idle)),
        ("idle before a request", _format_blank(result.idle_before_request)),
        *([] if result.idle_http2 is None else [("idle in HTTP/2", _format_idle(result.idle_http2))]),
        ("requests on a connection", _format_requests(result)),
        ("announced", _format_announced(result)),
    ]
    return Table(("measured", "found"), rows)


def _format_announced(result: ProbeResult) -> str:
    """Return the field Keep-Alive as it came, with what in it is no number and so was not used."""
    if not result.announced:
        return "nothing"
    named = (("timeout", result.announced_idle_s), ("max", result.announced_max))
    odd = [name for name, value in named if value is None and name in result.announced.lower()]
    unused = f" ({' and '.join(odd)} not used: no plausible number)" if odd else ""
    return f"Keep-Alive: {result.announced}{unused}"


def _format_requests(result: ProbeResult) -> str:
    if result.max_requests is None:
        return f"not ended within {result.requests_tried}"
    return f"ended after {result.max_requests}{', announced' if result.max_requests_announced else ''}"


def _format_blank(idle: IdleTimeout | None) -> str:
    return "not tried" if idle is None else _format_idle(idle)


def _format_idle(idle: IdleTimeout) -> str:
    if idle.high_s is None:
        return f"not ended within {_format_s(idle.low_s)}"
    decimals = _decimals(idle.low_s)
    low, high = (f"{seconds:.{decimals}f}" for seconds in (idle.low_s, idle.high_s))
    span = f"{low} s" if low == high else f"{low} to {high} s"
    ending = "" if idle.ending is None else f" {_ENDINGS[idle.ending]}"
    count = f" ({units.plural(len(idle.seen_s), 'connection')} seen)" if idle.seen_s else ""
    return f"ended after {span}{ending}{count}"


def _format_s(seconds: float) -> str:
    return f"{seconds:.{_decimals(seconds)}f} s"


def _decimals(seconds: float) -> int:
    return 2 if seconds < 10 else 1


def _build_cases(cases: tuple[KeepAliveCase, ...]) -> Table:
    rows = [
        (case.name, "-" if case.status is None else str(case.status), *_format_case(case)) for case in cases
    ]
    return Table(("after", "status", "connection", "how"), rows)


def _format_case(case: KeepAliveCase) -> tuple[str, str]:
    if case.kept is None:
        return "not tried", case.reason
    if case.kept:
        return "kept", "announced" if case.announced else ""
    said = "announced" if case.announced else "not announced"
    if case.ending is Ending.SILENCE:
        return "ended", "the next request gets no answer"
    if case.ending is None and case.reason:
        return "unusable", case.reason
    how = f"{said}, {case.ending or 'and left open'}"
    return "ended", f"{how}: {case.reason}" if case.reason else how
