"""The probe's way to the server: opens connections and sends requests, one at a time, within the budget."""

import asyncio
import ssl
from dataclasses import dataclass

from bench.probe.connection import ProbeConnection
from bench.probe.exchange import ProbeAnswer, ProbeRequest, exchange
from bench.probe.limits import Budget, ProbeSettings
from bench.probe.target import ProbeTarget

CONNECT_TIMEOUT_S = 5.0


class NoConnection(Exception):
    """No connection came up, though others did before; `str()` says why."""


@dataclass(slots=True)
class ProbeClient:
    """Opens connections to one address of the target."""

    target: ProbeTarget
    address: tuple[str, int]
    settings: ProbeSettings
    budget: Budget
    context: ssl.SSLContext | None = None
    round_trip_s: float = 0.0
    """The longest time that a connect took."""
    slowest_s: float = 0.0
    """The longest time that an answer took."""

    async def open(self, context: ssl.SSLContext | None = None) -> ProbeConnection:
        """Open a connection, over TLS with `context` in place of the usual one; NoConnection on failure."""
        self.budget.take_connection()
        loop = asyncio.get_running_loop()
        used = context or self.context
        began_s = loop.time()
        connection = ProbeConnection(used, self.target.tls_name)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await loop.create_connection(lambda: connection, *self.address)
            self.round_trip_s = max(self.round_trip_s, loop.time() - began_s)
            await connection.shake_hands(loop.time() + CONNECT_TIMEOUT_S)
        except TimeoutError as error:
            connection.close()
            raise NoConnection(f"none came up within {CONNECT_TIMEOUT_S:g} s") from error
        except OSError as error:
            connection.close()
            raise NoConnection((error.strerror or str(error)).lower()) from error
        return connection

    async def ask(
        self, connection: ProbeConnection, request: ProbeRequest, patience_s: float | None = None
    ) -> ProbeAnswer:
        """Send a request and return its answer; NoAnswer where none comes in time.

        `patience_s` is how long it may take, where that is not the usual time.
        """
        self.budget.take_request()
        data = request.encode(self.target.host_field, self.target.fields)
        limit_s = self.settings.patience_s if patience_s is None else patience_s
        answer = await exchange(connection, data, request.method, limit_s)
        self.slowest_s = max(self.slowest_s, answer.took_s)
        return answer
