"""Say how sure a page is: how many trials stand behind its figures, and what a test says of them."""

from collections.abc import Iterable, Sequence

from bench.analysis import claims, gain
from bench.analysis.sides import Side
from bench.report import comparison
from bench.report.run import target
from bench.runs.record import TrialRecord


def count_trials(cases: Iterable[Sequence[TrialRecord]], word: str) -> str:
    """Return how many trials of `cases` count, how many of each, and what the figures are then worth.

    It is for figures that no test has compared; nothing where there is no trial. `word` is what a case is
    called.
    """
    trials = list(cases)
    counted = [sum(map(claims.counts, each)) for each in trials]
    if not counted:
        return ""
    which = f"each of {len(counted)} {word}s" if len(counted) > 1 else f"the one {word}"
    of_each = " to ".join(dict.fromkeys((str(min(counted)), str(max(counted)))))
    count = f"{sum(counted)} of {sum(map(len, trials))} trials count in full: {of_each} of {which}."
    return f"{count} Figures are medians; differences between {word}s are not tested."


def compare_modes(sides: Sequence[Side]) -> str:
    """Return how many trials stand behind the title, and what tests say of the ratios that it quotes."""
    counted = [f"{len(side.counted)} of {len(side.trials)} trials of {side.name} count" for side in sides]
    text = f"{'; '.join(counted)}." if counted else ""
    if {side.mode for side in sides} != {"short", "keepalive"} or len(sides) != 2:
        return text
    short, keepalive = sorted(sides, key=lambda side: side.mode, reverse=True)
    found = gain.find(short, keepalive)
    whose = "target" if target.is_target(short.run) else "proxy"
    quoted = (
        ("Requests per second", found.rate, "1/s"),
        (f"CPU of the {whose} per request", found.cpu, "us"),
    )
    answers = [
        f"{what}, to {short.name}: {comparison.format_answer(cell, unit)}." for what, cell, unit in quoted
    ]
    return " ".join([text, *answers])
