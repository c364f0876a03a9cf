"""`python -m backends.broker_grpc`: a broker that speaks RocketMQ 5's own protocol, over gRPC.

It is there for RocketMQ's real client, in whose environment it runs: messages and service are those of the
package rocketmq-python-client. A topic has one queue; what a group has received is taken for consumed.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

from rocketmq.grpc_protocol import definition_pb2 as words
from rocketmq.grpc_protocol import service_pb2 as says
from rocketmq.grpc_protocol import service_pb2_grpc as services

from backends.counters import Counters
from backends.grpc_serving import GrpcServer
from backends.queues import Queue
from backends.role import Acceptor
from backends.serving import Parser, main

_OK = words.Status(code=words.Code.OK, message="OK")
_NONE = words.Status(code=words.Code.MESSAGE_NOT_FOUND, message="no new message")


class Broker(services.MessagingServiceServicer):  # type: ignore[misc, unused-ignore]
    """RocketMQ's service, as far as producers and simple consumers use it. Its methods are named by it."""

    def __init__(self, counters: Counters, host: str, port: int) -> None:
        self._counters = counters
        self._endpoints = words.Endpoints(
            scheme=words.AddressScheme.IPv4, addresses=[words.Address(host=host, port=port)]
        )
        self._queues: dict[str, Queue] = {}
        self._received: dict[tuple[str, str], int] = {}
        self._peers: set[str] = set()

    async def QueryRoute(self, asked: Any, context: Any) -> Any:  # noqa: N802
        """Return that this broker has every topic, with one queue."""
        self._count(context)
        queue = words.MessageQueue(
            topic=asked.topic,
            id=0,
            permission=words.Permission.READ_WRITE,
            broker=words.Broker(name="broker", id=0, endpoints=self._endpoints),
            accept_message_types=[words.MessageType.NORMAL],
        )
        return says.QueryRouteResponse(status=_OK, message_queues=[queue])

    async def Telemetry(self, told: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Agree to a client's settings."""
        self._count(context)
        async for command in told:
            if command.HasField("settings"):
                yield says.TelemetryCommand(status=_OK, settings=command.settings)

    async def Heartbeat(self, asked: Any, context: Any) -> Any:  # noqa: N802
        """Accept a sign of life."""
        self._count(context)
        return says.HeartbeatResponse(status=_OK)

    async def NotifyClientTermination(self, asked: Any, context: Any) -> Any:  # noqa: N802
        """Accept a farewell."""
        return says.NotifyClientTerminationResponse(status=_OK)

    async def SendMessage(self, asked: Any, context: Any) -> Any:  # noqa: N802
        """Add messages to their topics."""
        self._count(context)
        entries = []
        for message in asked.messages:
            text = message.SerializeToString().decode("latin-1")
            number = self._queue(message.topic.name).publish(text).number
            message_id = message.system_properties.message_id
            entries.append(says.SendResultEntry(status=_OK, message_id=message_id, offset=number))
        return says.SendMessageResponse(status=_OK, entries=entries)

    async def ReceiveMessage(self, asked: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Return out what a group has not had as soon as there is something, or nothing after a time."""
        self._count(context)
        queue, key = (
            self._queue(asked.message_queue.topic.name),
            (asked.group.name, asked.message_queue.topic.name),
        )
        if not queue.after(self._received.get(key, 0)):
            await _next(queue, asked.long_polling_timeout.seconds)
        found = queue.after(self._received.get(key, 0))[: asked.batch_size]
        yield says.ReceiveMessageResponse(status=_OK if found else _NONE)
        for message in found:
            self._received[key] = message.number
            sent = words.Message.FromString(message.text.encode("latin-1"))
            sent.system_properties.queue_offset = message.number
            sent.system_properties.receipt_handle = str(message.number)
            sent.system_properties.delivery_attempt = 1
            yield says.ReceiveMessageResponse(message=sent)

    async def AckMessage(self, asked: Any, context: Any) -> Any:  # noqa: N802
        """Accept that messages were consumed."""
        self._count(context)
        entries = [
            says.AckMessageResultEntry(
                message_id=each.message_id, receipt_handle=each.receipt_handle, status=_OK
            )
            for each in asked.entries
        ]
        return says.AckMessageResponse(status=_OK, entries=entries)

    def _queue(self, topic: str) -> Queue:
        return self._queues.setdefault(topic, Queue())

    def _count(self, context: Any) -> None:
        """Count a request, and the connection that it is the first one of."""
        self._counters.requests += 1
        if context.peer() not in self._peers:
            self._peers.add(context.peer())
            self._counters.accepted += 1


async def _next(queue: Queue, timeout_s: float) -> None:
    """Wait for the next message of a queue, or until it has taken too long."""
    came = asyncio.Event()
    queue.wait(came, came.set)
    try:
        await asyncio.wait_for(came.wait(), timeout_s)
    except TimeoutError:
        queue.give_up(came)


async def _make(given: argparse.Namespace, counters: Counters) -> Acceptor:
    host, _, port = given.listen[0].rpartition(":")
    broker = Broker(counters, host, int(port))
    return GrpcServer(lambda server: services.add_MessagingServiceServicer_to_server(broker, server))


if __name__ == "__main__":
    sys.exit(main(Parser("backends.broker_grpc", "A broker, as RocketMQ 5."), sys.argv[1:], _make))
