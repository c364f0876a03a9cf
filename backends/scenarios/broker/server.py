"""`python -m backends.broker`: a broker whose consumers pull, or are pushed to.

`--style pull` answers HTTP requests: at once, or, where the request says how long it would wait, as soon as
there is a message. That is how RocketMQ's consumers pull. `--style push` sends over a WebSocket what a
consumer asked for once. A consumer says which message it has last, so that nothing is lost or doubled.
"""

import argparse
import asyncio
import socket
import sys
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from backends.answering import Answer, PlainServer, Reply, Request
from backends.connections import Connections
from backends.counters import Counters
from backends.listening import BACKLOG, HANDSHAKE_S
from backends.queues import Queue
from backends.role import Acceptor, Backend
from backends.serving import Parser, main

_WAIT_MAX_S: Final = 60.0
_EMPTY: Final = Answer(status=204)
_NO_QUEUE: Final = Answer(b"queue, after and wait are needed; after and wait are numbers", 400)


class Queues:
    """All queues by name; a queue is there once somebody names it."""

    def __init__(self) -> None:
        self._queues: dict[str, Queue] = {}

    def __getitem__(self, name: str) -> Queue:
        return self._queues.setdefault(name, Queue())


class Pulls:
    """The broker for consumers that ask."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues

    def handle(self, request: Request, reply: Reply) -> None:
        """Answer one request, or lets it wait."""
        asked = place(request.query)
        if asked is None:
            reply(_NO_QUEUE)
            return
        queue, (_, after, wait_s) = self._queues[asked[0]], asked
        if request.path == "/publish":
            reply(Answer(str(queue.publish(request.body.decode()).number).encode()))
        elif request.path != "/pull":
            reply(Answer(b"not served here", 404))
        elif queue.after(after) or wait_s == 0:
            reply(batch(queue, after))
        else:
            self._hold(queue, after, wait_s, reply)

    def _hold(self, queue: Queue, after: int, wait_s: float, reply: Reply) -> None:
        who = object()

        def give_up() -> None:
            queue.give_up(who)
            reply(_EMPTY)

        timer = asyncio.get_running_loop().call_later(min(wait_s, _WAIT_MAX_S), give_up)

        def answer() -> None:
            timer.cancel()
            reply(batch(queue, after))

        queue.wait(who, answer)


def place(query: Mapping[str, str]) -> tuple[str, int, float] | None:
    """Return the queue that is asked, the last message that is there already, and how long to wait."""
    name, after, wait = query.get("queue"), query.get("after", "0"), query.get("wait", "0")
    if not name or not after.isdecimal() or not wait.replace(".", "", 1).isdecimal():
        return None
    return name, int(after), float(wait)


def batch(queue: Queue, after: int) -> Answer:
    """Return the messages after one as an answer, one a line."""
    messages = queue.after(after)
    return Answer("\n".join(message.line for message in messages).encode()) if messages else _EMPTY


class Consumer(WSListener):
    """A connection that messages of one queue are sent to, as they come."""

    def __init__(self, server: "Pushes", queue: Queue, after: int) -> None:
        self._server = server
        self._queue = queue
        self._after = after
        self._transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._server.connections.add(self)
        self._send()

    def drop(self) -> None:
        """End the connection from this side."""
        if self._transport is not None:
            self._transport.disconnect()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Accept a message to publish, or the end."""
        if frame.msg_type == WSMsgType.TEXT:
            name, _, text = frame.get_payload_as_utf8_text().partition(" ")
            number = self._server.queues[name].publish(text).number
            transport.send(WSMsgType.TEXT, str(number).encode())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), b"")
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        self._queue.give_up(self)
        self._server.lost(self, transport)

    def _send(self) -> None:
        while self._transport is not None and (messages := self._queue.after(self._after)):
            for message in messages:
                self._transport.send(WSMsgType.TEXT, message.line.encode())
            self._after = messages[-1].number
        self._queue.wait(self, self._send)


class Pushes:
    """The broker for consumers that are sent to: picows' own server, and the connections that it has."""

    def __init__(self, queues: Queues, counters: Counters) -> None:
        self.queues = queues
        self.connections: Connections[Consumer] = Connections()
        self._counters = counters

    async def accept(self, listener: socket.socket) -> asyncio.AbstractServer:
        """Serve the connections that come to a socket."""
        return await ws_create_server(
            self._consumer, sock=listener, backlog=BACKLOG, websocket_handshake_timeout=HANDSHAKE_S
        )

    async def drain(self, timeout_s: float) -> bool:
        """Close every connection; return whether all went in time."""
        for connection in self.connections:
            connection.drop()
        return await self.connections.gone(timeout_s)

    def lost(self, consumer: Consumer, transport: WSTransport) -> None:
        """Remove a connection that has ended."""
        self.connections.discard(consumer)
        if transport.close_handshake.recv is None:
            self._counters.closed_first += 1

    def _consumer(self, request: WSUpgradeRequest) -> Consumer | None:
        self._counters.accepted += 1
        asked = place(dict(parse_qsl(urlsplit(request.path.decode()).query)))
        if asked is None:
            self._counters.errors.protocol += 1
            return None
        self._counters.requests += 1
        return Consumer(self, self.queues[asked[0]], asked[1])


async def _make(given: argparse.Namespace, counters: Counters) -> Backend | Acceptor:
    if given.style == "push":
        return Pushes(Queues(), counters)
    return PlainServer(Pulls(Queues()).handle, counters)


def _parser() -> Parser:
    parser = Parser("backends.broker", "A broker, as RocketMQ.")
    parser.add_argument("--style", choices=("pull", "push"), default="pull")
    return parser


if __name__ == "__main__":
    sys.exit(main(_parser(), sys.argv[1:], _make))
