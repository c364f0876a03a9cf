"""A pool as nginx has it, played request by request: what the formulas are held against."""

import heapq
import random
from dataclasses import dataclass, field


@dataclass
class Connection:
    """One connection of the pool."""

    server: int
    requests: int = 0
    returned_at: float = 0.0


@dataclass
class PlayedPool:
    """One worker's pool for several servers; the unit of time is the mean latency."""

    idle: int
    servers: int = 1
    idle_timeout: float = 1e9
    most_requests: int | None = None
    cache: list[Connection] = field(default_factory=list)
    """Idle connections; the one that was used last is first."""
    busy: int = 0

    def take(self, server: int) -> tuple[Connection, bool]:
        """Return a connection to a server, and whether it was a kept one."""
        self.busy += 1
        for kept in self.cache:
            if kept.server == server:
                self.cache.remove(kept)
                return kept, True
        return Connection(server), False

    def give_back(self, connection: Connection, now: float) -> None:
        """Keep a connection, unless it has carried its requests."""
        self.busy -= 1
        connection.requests += 1
        connection.returned_at = now
        if self.most_requests is None or connection.requests < self.most_requests:
            self.cache.insert(0, connection)
            del self.cache[self.idle :]

    def expire(self, now: float) -> None:
        """Close what has been idle for too long."""
        while self.cache and now - self.cache[-1].returned_at >= self.idle_timeout:
            self.cache.pop()


def play(
    pool: PlayedPool,
    load: float,
    requests: int,
    *,
    is_random: bool = False,
    clients: int | None = None,
    seed: int = 7,
) -> tuple[float, float]:
    """Return the share of the requests that took a kept connection, and the mean connections to a server.

    With `clients` each sends a request after its response and a pause.
    """
    chance, now = random.Random(seed), 0.0
    ends: list[tuple[float, int, Connection]] = []
    due = [chance.random() * clients for _ in range(clients)] if clients else [chance.expovariate(load)]
    heapq.heapify(due)
    reused = seen = held = 0
    for number in range(requests):
        now = heapq.heappop(due)
        while ends and ends[0][0] <= now:
            end, _, connection = heapq.heappop(ends)
            pool.expire(end)
            pool.give_back(connection, end)
        pool.expire(now)
        if number >= requests // 2:
            seen += 1
            held += pool.busy + len(pool.cache)
        connection, is_kept = pool.take(
            chance.randrange(pool.servers) if is_random else number % pool.servers
        )
        reused += is_kept and number >= requests // 2
        end = now + chance.expovariate(1)
        heapq.heappush(ends, (end, number, connection))
        pause = chance.expovariate(1 / (clients / load - 1)) if clients and clients > load else 0.0
        heapq.heappush(due, end + pause if clients else now + chance.expovariate(load))
    return reused / seen, held / seen / pool.servers
