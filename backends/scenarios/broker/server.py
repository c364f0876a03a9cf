"""`python -m backends.scenarios.broker.server`: a broker whose consumers pull, or are pushed to.

`--style pull` answers HTTP requests: at once, or, where the request has a time to wait, as soon as
there is a message. That is how RocketMQ's consumers pull. `--style push` sends over a WebSocket what a
consumer subscribed to once. A consumer names the last message that it has: nothing is lost or doubled.
"""

import argparse
import asyncio
from collections import defaultdict

from backends.protocols.http_handler import Answer, Reply, Request, handler_backend
from backends.role.backend import Backend
from backends.role.command_line import run_server, server_parser
from backends.role.counters import Counters
from backends.scenarios.broker.queues import Position, Queue, parse_position

_WAIT_MAX_S = 60.0
_EMPTY = Answer(status=204)
_NO_QUEUE = Answer(b"queue, after and wait are needed; after and wait are numbers", 400)


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


async def _make(given: argparse.Namespace) -> Backend:
    if given.style == "push":
        from backends.scenarios.broker.push import PushBroker  # noqa: PLC0415 - needs an extra, pulling does not

        return PushBroker(Counters())
    return handler_backend(PullBroker().handle, Counters())


if __name__ == "__main__":
    parser = server_parser("backends.scenarios.broker.server", "A broker, as RocketMQ.")
    parser.add_argument("--style", choices=("pull", "push"), default="pull")
    run_server(parser, _make)
