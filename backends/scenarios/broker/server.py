"""`python -m backends.scenarios.broker.server`: a broker whose consumers pull, or are pushed to.

`--style pull` answers HTTP requests: at once, or, where the request has a time to wait, as soon as
there is a message. That is how RocketMQ's consumers pull. `--style push` sends over a WebSocket what a
consumer subscribed to once. A consumer names the last message that it has: nothing is lost or doubled.
"""

import argparse
import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from backends.protocols.http_handler import Answer, Reply, Request, handler_backend
from backends.protocols.websocket import WebSocketBackend, WebSocketConnection
from backends.role.backend import Backend
from backends.role.command_line import run_server, server_parser
from backends.role.counters import Counters
from backends.scenarios.broker.queues import Queue

_WAIT_MAX_S = 60.0
_EMPTY = Answer(status=204)
_NO_QUEUE = Answer(b"queue, after and wait are needed; after and wait are numbers", 400)


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


class PullBroker:
    """The broker for consumers that request messages."""

    def __init__(self) -> None:
        self._queues = defaultdict[str, Queue](Queue)

    def handle(self, request: Request, reply: Reply) -> None:
        """Answer one request, now or when there is a message."""
        position = parse_position(request.query)
        if position is None:
            reply(_NO_QUEUE)
            return
        queue = self._queues[position.queue]
        if request.path == "/publish":
            reply(Answer(str(queue.publish(request.body.decode()).number).encode()))
        elif request.path != "/pull":
            reply(Answer(b"not served here", 404))
        elif queue.after(position.after) or position.wait_s == 0:
            reply(_batch(queue, position.after))
        else:
            _hold(queue, position, reply)


def _hold(queue: Queue, position: Position, reply: Reply) -> None:
    waiter = object()

    def abandon() -> None:
        queue.abandon(waiter)
        reply(_EMPTY)

    timer = asyncio.get_running_loop().call_later(min(position.wait_s, _WAIT_MAX_S), abandon)

    def answer() -> None:
        timer.cancel()
        reply(_batch(queue, position.after))

    queue.wait(waiter, answer)


def _batch(queue: Queue, after: int) -> Answer:
    """Return the messages after one as an answer, one a line."""
    messages = queue.after(after)
    return Answer("\n".join(message.line for message in messages).encode()) if messages else _EMPTY


class PushBroker(WebSocketBackend):
    """The broker for consumers that are sent to."""

    def __init__(self, counters: Counters) -> None:
        super().__init__(counters)
        self.queues = defaultdict[str, Queue](Queue)

    def connect(self, path: str, query: dict[str, str]) -> WebSocketConnection | None:
        """Return the listener of a new connection; None refuses it."""
        position = parse_position(query)
        if position is None:
            return None
        self.counters.requests += 1
        return Consumer(self, position)


class Consumer(WebSocketConnection):
    """A connection that messages of one queue are sent to, as they come."""

    def __init__(self, broker: PushBroker, position: Position) -> None:
        super().__init__(broker)
        self._queues = broker.queues
        self._queue = broker.queues[position.queue]
        self._after = position.after

    def on_open(self) -> None:
        """Send the messages that are there, and then each as it comes."""
        while self.transport is not None and (messages := self._queue.after(self._after)):
            for message in messages:
                self.send(message.line.encode())
            self._after = messages[-1].number
        self._queue.wait(self, self.on_open)

    def on_text(self, text: str) -> None:
        """Publish a message, `QUEUE TEXT`; answer with its number."""
        name, _, message = text.partition(" ")
        self.send(str(self._queues[name].publish(message).number).encode())

    def on_close(self) -> None:
        """Wait for no more."""
        self._queue.abandon(self)


async def _make(given: argparse.Namespace) -> Backend:
    if given.style == "push":
        return PushBroker(Counters())
    return handler_backend(PullBroker().handle, Counters())


if __name__ == "__main__":
    parser = server_parser("backends.scenarios.broker.server", "A broker, as RocketMQ.")
    parser.add_argument("--style", choices=("pull", "push"), default="pull")
    run_server(parser, _make)
