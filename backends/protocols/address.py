"""One address of a server: what it counted, how it behaves, and what waits there."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from backends.protocols.behaviour import Behaviour
from backends.role.counters import Counters


class Served(Protocol):
    """A connection, as its address sees it."""

    def serve(self) -> None:
        """Begin to answer what has come, and what will."""

    def expire(self, ending: "set[Served]") -> None:
        """Treat the idle time as over: `ending` holds those that close at the next request over one."""


@dataclass(slots=True)
class Address:
    """The state that the connections of one address share."""

    behaviour: Behaviour
    counters: Counters = field(default_factory=Counters)
    connections: set[Served] = field(default_factory=set)
    _served: set[Served] = field(default_factory=set)
    _waiting: deque[Served] = field(default_factory=deque)
    _held: list[tuple[float, Callable[[], None]]] | None = None

    def admit(self, connection: Served) -> None:
        """Serve a new connection, at once or when a process is free."""
        self.connections.add(connection)
        self._waiting.append(connection)
        self._serve_next()

    def dismiss(self, connection: Served) -> None:
        """Forget a connection that has ended; the process that served it is free."""
        self.connections.discard(connection)
        if connection in self._served:
            self._served.discard(connection)
        elif connection in self._waiting:
            self._waiting.remove(connection)
        self._serve_next()

    def _serve_next(self) -> None:
        limit = self.behaviour.processes
        while self._waiting and (limit is None or len(self._served) < limit):
            connection = self._waiting.popleft()
            self._served.add(connection)
            connection.serve()

    # Commands

    def hold(self) -> None:
        """Keep all responses back from now on."""
        if self._held is None:
            self._held = []

    def take_held(self) -> list[tuple[float, Callable[[], None]]]:
        """Keep nothing back any more; return what was, each with its moment."""
        held, self._held = self._held or [], None
        return held

    def send(self, send: Callable[[], None]) -> None:
        """Send a response, or keep it back."""
        if self._held is None:
            send()
        else:
            self._held.append((time.monotonic(), send))

    def to_json(self) -> dict[str, Any]:
        """Return the counters, and what is open or kept back now."""
        return {**asdict(self.counters), "open": len(self.connections), "held": len(self._held or ())}
