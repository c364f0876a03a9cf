"""When the trials of a run are looked at while it goes on, and what each look may spend of the error. Pure.

A run that ends once its interval is narrow, or once a condition fails, is judged more often than once. Each
look therefore gets a part of the allowed error, and intervals that leave out that part only: repeated
confidence intervals (Jennison and Turnbull, Interim Analyses: the Repeated Confidence Interval Approach, JRSS
B 51, 1989). The parts follow a spending function of Pocock's type (Lan and DeMets, Discrete Sequential
Boundaries for Clinical Trials, Biometrika 70, 1983). They are added up as if looks had nothing in common,
which is more than needed, and so holds for every test. A look may come at any moment that no figure chose.
"""

import math

from bench.analysis import stats

FIRST = 5
"""Blocks before the first look."""
_GROWTH = 1.25
"""Each look has a quarter more blocks than the one before: more looks would each get less."""


def looks(most: int) -> tuple[int, ...]:
    """Return the numbers of blocks after which a run of `most` blocks is looked at; the last is `most`."""
    found, blocks = [], min(FIRST, most)
    while blocks < most:
        found.append(blocks)
        blocks = max(blocks + 1, round(blocks * _GROWTH))
    return (*found, most)


def alpha_at(blocks: int, most: int) -> float:
    """Return what a look after `blocks` of `most` leaves out of its intervals: its part of `stats.ALPHA`."""
    before = max((look for look in looks(most) if look < blocks), default=0)
    return _spent(blocks / most) - _spent(before / most)


def _spent(share: float) -> float:
    """Return what of the error has been spent after a share of the trials."""
    return stats.ALPHA * math.log1p((math.e - 1) * min(1.0, share))
