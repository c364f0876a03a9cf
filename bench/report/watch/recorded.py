"""A recording of a watch as text: its verdict, and the figures of its hops."""

from collections.abc import Sequence
from pathlib import Path

from bench.analysis import claims, metrics
from bench.analysis.recordings import weight
from bench.analysis.sides import ComparedCase, split
from bench.report.html import Table
from bench.report.text_table import format_paths, format_sample, format_table, format_warnings, wrap
from bench.runs.watch_trial import HOST_CASE, KEY, WatchRun, WatchTrial
from bench.watch.verdict import latest_notes

MOST_ROWS = 20
"""Hops that a table shows; all are in the file."""
_COLUMNS = (
    ("opened/s", "opened_per_s"),
    ("TIME_WAIT", "time_wait.host.peak"),
    ("ports used", "ports_used"),
    ("established", "established"),
    ("requests per connection", "requests_per_connection"),
)
_FINE = "Nothing here wasted connections."


def format_run(run: WatchRun, picture: Path | None = None) -> str:
    """Return what `bench show` prints of a recording."""
    parts = [
        f"{wrap(format_title(run))}\n",
        format_table(build_table(run)),
        "\n",
        f"{wrap(summarize(run))}\n",
    ]
    parts += [format_warnings(summarize_limits(run)), "\n", format_paths(run.directory, picture)]
    return "".join(parts)


def format_title(run: WatchRun) -> str:
    """Return what was watched, and for how long."""
    seconds = sum(trial.window_s for trial in of_host(run))
    return f"A watch of {run.plan[KEY]['scope']}, {seconds:.0f} s"


def summarize(run: WatchRun) -> str:
    """Return what wasted connections, in the words of the last stretch in which something did."""
    stretches = of_host(run)
    wasteful = [trial for trial in stretches if trial.verdict]
    if not wasteful:
        return _FINE
    count = (
        "every stretch"
        if len(wasteful) == len(stretches)
        else f"{len(wasteful)} of {len(stretches)} stretches"
    )
    return f"In {count} something wasted connections. In the last of them: {' '.join(wasteful[-1].verdict)}"


def summarize_limits(run: WatchRun) -> list[str]:
    """Return what limits the figures: what could not be seen, each once."""
    notes = latest_notes(note for trial in of_host(run) for note in trial.notes)
    bounds = sorted({trial.case for trial in run.trials if trial.is_lower_bound})
    if bounds:
        shown = ", ".join(bounds[:3]) + (f" and {len(bounds) - 3} more" if len(bounds) > 3 else "")
        notes.append(f"opened/s of {shown} is a lower bound: sampled, and closed by the peer")
    return notes


def build_table(run: WatchRun) -> Table:
    """Return a row for each hop, what opens or holds most at the top: medians, least and greatest."""
    sides = select_sides(run)[:MOST_ROWS]
    shown = [
        (title, metric)
        for title, key in _COLUMNS
        for metric in [metrics.named(key, metrics.WATCHED)]
        if any(side.sample(metric).values for side in sides)
    ]
    rows = [
        (side.name, *(format_sample(side.sample(metric), metric.unit) for _, metric in shown))
        for side in sides
    ]
    return Table(("hop", *(title for title, _ in shown)), rows)


def select_sides(run: WatchRun) -> list[ComparedCase[WatchTrial]]:
    """Return the cases of a recording: the whole host, then the hops, what opens or holds most first."""
    sides = split(run)
    return sorted(sides, key=lambda side: (side.case != HOST_CASE, -weight(run, side.case)))


def of_host(run: WatchRun) -> Sequence[WatchTrial]:
    """Return the trials of the whole host: one for each stretch."""
    return [trial for trial in run.trials if trial.case == HOST_CASE]


def count_stretches(run: WatchRun) -> str:
    """Return what the figures rest on, in a sentence."""
    whole = [trial for trial in of_host(run) if claims.counts(trial)]
    lasts_s = run.plan[KEY]["stretch_s"]
    return (
        f"{len(whole)} whole stretches of {lasts_s:g} s. Figures are medians over them, with the least and"
        " the greatest."
    )
