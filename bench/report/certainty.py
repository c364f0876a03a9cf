"""Say how many trials stand behind the figures of a page, and how many of each case."""

from collections.abc import Iterable, Sequence

from bench.analysis import claims
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
