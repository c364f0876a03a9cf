"""A server that ends connections of its own accord: every so often a share of those who follow it.

Who is dropped is a decision of the counter alone, so that a run can be repeated; how is the server's part.
"""

import argparse
import asyncio
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

Follower = TypeVar("Follower")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add how often, and how many."""
    parser.add_argument("--drop-every", type=float, default=0.0, metavar="S", help="0: never")
    parser.add_argument("--drop-share", type=float, default=0.5, metavar="SHARE", help="of those who follow")


def chosen(followers: Iterable[Follower], share: float, turn: int) -> list[Follower]:
    """Return a share of the followers, spread over them all; each turn begins with others."""
    step = max(1, round(1 / share))
    return [each for place, each in enumerate(followers) if (place + turn) % step == 0]


class Dropping(Generic[Follower]):
    """Drops a share of `followers()` every `every_s`."""

    def __init__(
        self,
        given: argparse.Namespace,
        followers: Callable[[], Iterable[Follower]],
        drop: Callable[[Follower], None],
    ) -> None:
        self._every_s, self._share = given.drop_every, given.drop_share
        self._followers, self._drop = followers, drop
        self._turn = 0

    def start(self) -> None:
        """Begin, where it is asked for at all."""
        if self._every_s > 0:
            asyncio.get_running_loop().call_later(self._every_s, self._act)

    def _act(self) -> None:
        for each in chosen(list(self._followers()), self._share, self._turn):
            self._drop(each)
        self._turn += 1
        self.start()
