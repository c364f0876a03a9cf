"""The open connections of one worker, and the moment when the last of them has gone."""

import asyncio
from collections.abc import Iterator
from typing import Generic, TypeVar

Connection = TypeVar("Connection")


class Connections(Generic[Connection]):
    """A set of connections that can be waited for to become empty."""

    def __init__(self) -> None:
        self._open: set[Connection] = set()
        self._none_left: asyncio.Future[None] | None = None

    def __iter__(self) -> Iterator[Connection]:
        # A copy: whoever walks over the connections may close some of them.
        return iter(tuple(self._open))

    def add(self, connection: Connection) -> None:
        """Remember a connection that was accepted."""
        self._open.add(connection)

    def discard(self, connection: Connection) -> None:
        """Remove a connection that was lost."""
        self._open.discard(connection)
        if self._none_left is not None and not self._open and not self._none_left.done():
            self._none_left.set_result(None)

    async def gone(self, timeout_s: float) -> bool:
        """Wait until no connection is left; return whether that came true in time."""
        self._none_left = asyncio.get_running_loop().create_future()
        if not self._open:
            return True
        await asyncio.wait([self._none_left], timeout=timeout_s)
        return self._none_left.done()
