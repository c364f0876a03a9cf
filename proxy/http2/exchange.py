"""Exchanges whose client is a stream of HTTP/2: their responses are fields and content."""

from typing import TYPE_CHECKING

from proxy.client_side import Body
from proxy.exchange import Exchange
from proxy.http2.fields import own_response, response_fields
from proxy.http11 import grammar
from proxy.http11.response import CompleteResponse, ResponseHead

if TYPE_CHECKING:
    from proxy.http2.stream import Stream


class StreamExchange(Exchange):
    """The one exchange of a stream."""

    __slots__ = ()

    _client: "Stream"

    @property
    def reads_chunks(self) -> bool:
        """Return that the client reads no chunked coding: HTTP/2 frames content itself."""
        return False

    def forward_verbatim(self, data: bytes) -> bool:
        """Return that no response goes as it came."""
        return False

    def forward_complete(self, data: bytes, response: CompleteResponse) -> bool:
        """Forward a complete response; return False, without effect, if its content must be read first."""
        cuts, end, has_date, _, is_chunked = response
        if is_chunked or not self.request_done:
            return False
        stream = self._client
        date = b"" if has_date else self._context.date
        stream.send_head(response_fields(grammar.cut(data, 0, end, cuts), date))
        stream.write(data[end + 2 :])
        stream.end()
        self.finish()
        return True

    def _write_continue(self) -> None:
        self._client.send_interim([(b":status", b"100")])

    def _write_interim(self, head: ResponseHead) -> None:
        self._client.send_interim(response_fields(head.lines))

    def _begin_body(self, head: ResponseHead, content: bytes) -> Body:
        stream = self._client
        stream.send_head(response_fields(head.lines, b"" if head.has_date else self._context.date))
        stream.write(content)
        return stream

    def _write_own(self, status: int, reason: str, *, with_body: bool) -> None:
        fields, content = own_response(status, reason)
        stream = self._client
        stream.send_head(fields)
        stream.write(content if with_body else b"")
        stream.end()
