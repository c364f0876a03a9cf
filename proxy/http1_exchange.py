"""Exchanges whose client speaks HTTP/1: its responses are bytes, and most go as they came."""

from typing import TYPE_CHECKING

from proxy import forwarding
from proxy.client_side import Body
from proxy.exchange import Exchange
from proxy.http11 import grammar
from proxy.http11.response import CompleteResponse, ResponseHead
from proxy.response_body import ResponseBody
from proxy.tunnel import Tunnel

if TYPE_CHECKING:
    from proxy.client import ClientConnection


class Http1Exchange(Exchange):
    """The exchanges of one client connection, one after another."""

    __slots__ = ()

    _client: "ClientConnection"

    @property
    def reads_chunks(self) -> bool:
        """Return whether the client reads the chunked coding."""
        return not self._head.is_http10

    def forward_verbatim(self, data: bytes) -> bool:
        """Forward a complete response as it came; return False, without effect, if it must be changed."""
        client = self._client
        if client.close_after_response or self._head.is_http10 or not self.request_done:
            return False
        client.transport.send(data)
        self.finish()
        return True

    def forward_complete(self, data: bytes, response: CompleteResponse) -> bool:
        """Forward a complete response with a few lines cut or added; as `forward_verbatim`."""
        cuts, end, has_date, _, is_chunked = response
        client = self._client
        to_http10 = self._head.is_http10
        if not self.request_done or (is_chunked and to_http10):
            return False
        added = b"" if has_date else self._context.date
        if client.close_after_response:
            added += forwarding.CLOSE
        elif to_http10:
            added += forwarding.KEEP_ALIVE
        if len(cuts) == 1 and not added:
            begin, after = cuts[0]
            data = data[:begin] + data[after:]
        elif cuts or added:
            data = b"".join((grammar.cut(data, 0, end, cuts), added, data[end:]))
        client.transport.send(data)
        self.finish()
        return True

    def switch_protocols(self, head: ResponseHead, data: bytes) -> None:
        """Replace the exchange with a tunnel, if the client has offered the protocol."""
        offered = [each.strip() for each in self._head.upgrade.lower().split(b",")]
        if not head.upgrade or head.upgrade.lower() not in offered:
            super().switch_protocols(head, data)
        connection = self._detach_upstream()
        upstream = connection.detach_transport()
        client, early_data = self._client.detach()
        client.write(forwarding.interim_head(head) + data)
        self._context.open_tunnel(Tunnel(client, upstream, connection), early_data)

    def _write_continue(self) -> None:
        self._client.transport.write(forwarding.CONTINUE)

    def _write_interim(self, head: ResponseHead) -> None:
        self._client.transport.write(forwarding.interim_head(head))

    def _begin_body(self, head: ResponseHead, content: bytes) -> Body:
        client = self._client
        body = ResponseBody(self, head, client.transport, to_http10=self._head.is_http10)
        if body.ends_by_close:
            client.close_after_response = True
        body.begin(content, keep_alive=not client.close_after_response, date=self._context.date)
        return body

    def _write_own(self, status: int, reason: str, *, with_body: bool) -> None:
        client = self._client
        keep_alive = not client.close_after_response
        response = forwarding.proxy_response(status, reason, keep_alive=keep_alive, with_body=with_body)
        client.transport.write(response)
