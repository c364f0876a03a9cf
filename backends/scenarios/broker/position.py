"""Where a consumer of a broker stands, as its request says it."""

from collections.abc import Mapping
from typing import NamedTuple


class Position(NamedTuple):
    """Where a consumer stands: a queue, the last message that it has, and how long it would wait for more."""

    queue: str
    after: int
    wait_s: float


def parse_position(query: Mapping[str, str]) -> Position | None:
    """Return the position that a query names; None where it names none."""
    name, after, wait = query.get("queue"), query.get("after", "0"), query.get("wait", "0")
    if not name or not after.isdecimal() or not wait.replace(".", "", 1).isdecimal():
        return None
    return Position(name, int(after), float(wait))
