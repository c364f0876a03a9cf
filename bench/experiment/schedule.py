"""The order of trials, for anything that takes part in a run: modes, cases, configurations.

Every command that measures uses it, so that no item of a run has an advantage by its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def interleave(items: Sequence[T], rounds: int) -> Iterator[T]:
    """Yield each of `items` once a round; every other round is reversed.

    Interleaving spreads the drift of the machine over all items alike. Reversing spreads what the first
    trial of a round leaves behind for those that follow.
    """
    for number in range(rounds):
        yield from items if number % 2 == 0 else reversed(items)


def numbered(items: Sequence[T], rounds: int) -> Iterator[tuple[int, T]]:
    """Yield the same with the numbers of the trials, which count from 1."""
    return enumerate(interleave(items, rounds), 1)
