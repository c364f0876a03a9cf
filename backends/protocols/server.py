"""`python -m backends.protocols.server`: servers that speak one protocol and count each address apart.

They stand behind a proxy of many locations (`bench prove`), with TLS or without. What a protocol responds is
responder.py's and its kin's.
"""

import argparse
import asyncio
import importlib
import ssl
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from operator import itemgetter
from typing import Any, cast

from backends.protocols.address import Address, Served
from backends.protocols.behaviour import Behaviour, add_behaviour_flags, read_behaviour
from backends.protocols.responder import PeerError, Responder, Response
from backends.role.backend import Backend, CountedConnection
from backends.role.closing import Close, CloseKind, parse_close, reset
from backends.role.command_line import run_server, server_parser
from backends.role.counters import Counters, sum_counters
from backends.role.errors import MisuseError
from backends.role.listening import format_address
from backends.role.pipes import Values

_RESPONDERS = {
    "http": "http1.Http1",
    "h2": "http2.Http2",
    "either": "either_http.EitherHttp",
    "fastcgi": "fastcgi.FastCgi",
    "uwsgi": "uwsgi_scgi.Uwsgi",
    "scgi": "uwsgi_scgi.Scgi",
    "memcached": "memcached.Memcached",
}
KINDS = tuple(_RESPONDERS)

MakeResponder = Callable[[Behaviour], Responder]
"""Makes one connection's side of a protocol, given how its address behaves."""


def responder(kind: str) -> MakeResponder:
    """Return what makes the responders of a protocol."""
    # Each is imported for its kind only: h2 costs more than all others together.
    module, _, name = _RESPONDERS[kind].partition(".")
    return cast(MakeResponder, getattr(importlib.import_module(f"backends.protocols.{module}"), name))


class ProtocolServer(Backend):
    """What all connections share: how they respond and close, and the state of each address."""

    def __init__(
        self,
        make_responder: MakeResponder,
        close: Close,
        tls: ssl.SSLContext | None,
        behaviour: Behaviour | None = None,
    ) -> None:
        super().__init__(Counters())
        self.close = close
        self.tls = tls
        self.by_listen: dict[str, Address] = {}
        self._make_responder = make_responder
        self._behaviour = behaviour or Behaviour()
        # Each is about the addresses in its value `listen`.
        self.commands = {
            "hold": lambda values: self._each(values, Address.hold),
            "release": self._release,
            "expire": self._expire,
            "answer": self._answer,
        }

    def __call__(self) -> "ResponderConnection":
        """Make the protocol of a new connection."""
        return ResponderConnection(self)

    def address(self, listen: str) -> Address:
        """Return the state of an address."""
        if listen not in self.by_listen:
            self.by_listen[listen] = Address(replace(self._behaviour))
        return self.by_listen[listen]

    def responder(self, address: Address) -> Responder:
        """Return what responds on a new connection to an address."""
        return self._make_responder(address.behaviour)

    def event(self, name: str) -> dict[str, object]:
        """Return the counters as the event `name`: the sum, then each address that was connected to."""
        apart = {listen: address.to_json() for listen, address in self.by_listen.items()}
        return {**sum_counters(apart.values()).event(name), "by_listen": apart}

    def _each(self, values: Values, obey: Callable[[Address], None]) -> None:
        for listen in values.get("listen", ()):
            obey(self.address(listen))

    def _expire(self, values: Values) -> None:
        """Let the idle time be over: PING now, or close the connection that the next request comes over."""
        ending: set[Served] = set()
        for listen in values.get("listen", ()):
            for connection in tuple(self.address(listen).connections):
                connection.expire(ending)

    def _release(self, values: Values) -> None:
        """Send what was kept back, in the order of the requests."""
        listens = values.get("listen", ())
        held = [each for listen in listens for each in self.address(listen).take_held()]
        for _, send in sorted(held, key=itemgetter(0)):
            send()

    def _answer(self, values: Values) -> None:
        """Change what a response contains from now on."""
        for listen in values.get("listen", ()):
            behaviour = self.address(listen).behaviour
            behaviour.answer, behaviour.ends = values["answer"], values.get("ends", behaviour.ends)


class ResponderConnection(CountedConnection):
    """One connection. States: waiting (for a process), open, closing (input is ignored)."""

    def __init__(self, server: ProtocolServer) -> None:
        super().__init__(server)
        self._server = server
        self._is_closing = self._is_served = False
        self._ending: set[Served] = set()
        """The connections whose idle time is over; the first request over one of them meets its close."""
        self._unread = b""
        self._idle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection on its address, and greet."""
        listen = format_address(*transport.get_extra_info("sockname")[:2])
        self._address = self._server.address(listen)
        self._responder = self._server.responder(self._address)
        self.counters = self._address.counters
        super().connection_made(transport)
        self._address.admit(self)

    def serve(self) -> None:
        """Greet, and respond to what has come while no process was free."""
        self._is_served = True
        if greeting := self._responder.greeting():
            self.transport.write(greeting)
        unread, self._unread = self._unread, b""
        if unread:
            self.data_received(unread)

    def data_received(self, data: bytes) -> None:
        """Respond to what is whole."""
        if self._is_closing:
            return
        if not self._is_served:
            self._unread += data
            return
        if self in self._ending:
            # The request and the close have crossed.
            self._ending.clear()
            self._is_closing = True
            reset(self.transport)
            return
        self._stop_idling()
        try:
            for response in self._responder.feed(data):
                self._respond(response)
        except PeerError:
            self.counters.errors.protocol += 1
            self._is_closing = True
            self.transport.close()

    def _respond(self, response: Response) -> None:
        if response.requests:
            self._address.send(partial(self._send, response))
        else:
            self._send(response)

    def _send(self, response: Response) -> None:
        if self.transport.is_closing():
            return  # it was kept back for too long
        self.counters.requests += response.requests
        if response.data:
            self.transport.write(response.data)
        if not response.stays:
            self._close_as_configured()
        elif response.requests:
            self._start_idling()

    def _close_as_configured(self) -> None:
        self._is_closing = True
        close = self._server.close
        if close.kind is CloseKind.AT_ONCE:
            self.transport.close()
        elif close.kind is CloseKind.LINGER:
            asyncio.get_running_loop().call_later(close.linger_s, self.transport.close)

    # Idle times

    def _start_idling(self) -> None:
        self._stop_idling()
        idle_s = self._address.behaviour.idle_s
        if idle_s is not None and not self._is_closing:
            self._idle = asyncio.get_running_loop().call_later(idle_s, self._end_idling)

    def _stop_idling(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _end_idling(self) -> None:
        self._idle = None
        if self._address.behaviour.pings:
            self.transport.write(self._responder.ping())
        else:
            self._is_closing = True
            self.transport.close()

    def expire(self, ending: set[Served]) -> None:
        """Treat the idle time as over: PING now, or be one of those that close at the next request."""
        if not self._is_served or self._is_closing:
            return
        if self._address.behaviour.pings:
            self.transport.write(self._responder.ping())
        else:
            ending.add(self)
            self._ending = ending

    def connection_lost(self, error: Exception | None) -> None:
        """Count how the connection ended."""
        self._is_closing = True
        self._stop_idling()
        self._ending.discard(self)
        super().connection_lost(error)
        self._address.dismiss(self)


async def _make(given: argparse.Namespace) -> ProtocolServer:
    tls = _context(given.tls) if given.tls else None
    return ProtocolServer(responder(given.kind), parse_close(given.close), tls, read_behaviour(given))


def _context(files: tuple[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(*files)
    except (OSError, ssl.SSLError) as error:
        raise MisuseError(f"--tls {' '.join(files)}: no certificate with its key: {error}") from error
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


if __name__ == "__main__":
    parser = server_parser("backends.protocols.server", "Servers that count each address apart.")
    add: Callable[..., Any] = parser.add_argument
    add("--kind", choices=KINDS, required=True, help="the protocol of all addresses")
    add("--close", default="at-once", metavar="HOW", help="after a last answer: at-once, linger:MS or never")
    add("--tls", nargs=2, metavar=("CERT", "KEY"), help="speak TLS with this certificate")
    add_behaviour_flags(parser)
    run_server(parser, _make)
