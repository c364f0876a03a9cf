"""The interfaces of an exchange: of its client connection, and its own towards the upstream connection."""

from typing import Protocol, TypeVar

from proxy.errors import ProxyError
from proxy.http11.response import ResponseHead
from proxy.transport import Transport

Connection_contra = TypeVar("Connection_contra", contravariant=True)


class ExchangeClient(Protocol):
    """The client connection, as its exchange uses it."""

    added_fields: bytes
    transport: Transport
    close_after_response: bool
    is_half_closed: bool
    deadline: float

    def push_back(self, data: bytes) -> None:
        """Buffer the bytes after the end of the request body."""

    def response_sent(self) -> None:
        """Start the next request, or close."""

    def abort_response(self) -> None:
        """Reset in the middle of a response."""

    def detach(self) -> tuple[Transport, bytes]:
        """Return the transport and the bytes received so far to the new owner."""

    def count_error(self, error: ProxyError) -> None:
        """Count a client error."""

    def pause_reading(self) -> None:
        """Stop reading from the client."""

    def resume_reading(self) -> None:
        """Read from the client again."""


class Downstream(Protocol[Connection_contra]):
    """The side that an upstream connection serves: an exchange."""

    request_done: bool
    """Whether the request has been sent completely."""

    def forward_verbatim(self, data: bytes) -> bool:
        """Forward a complete response as it came; return False, without effect, if it must be changed."""

    @property
    def reads_chunks(self) -> bool:
        """Return whether content in chunks is forwarded framed as it came, rather than without framing."""

    def forward_whole(self, head: ResponseHead, data: bytes) -> None:
        """Forward a response that has arrived completely: `data`, its content after `head.end`."""

    def forward_interim(self, head: ResponseHead) -> None:
        """Forward a 1xx response."""

    def switch_protocols(self, head: ResponseHead, data: bytes) -> None:
        """Take over the connection: the upstream speaks another protocol, `data` its first bytes."""

    def begin_response(self, head: ResponseHead, content: bytes) -> None:
        """Forward the head of the final response, and the content that came with it."""

    def forward_content(self, content: bytes) -> None:
        """Forward more content."""

    def sink(self) -> Transport | None:
        """Return the transport that content may be spliced to; None if it must be copied."""

    def content_spliced(self) -> None:
        """Note that some content has been spliced."""

    def end_response(self) -> None:
        """End the response."""

    def upstream_failed(self, connection: Connection_contra, error: ProxyError) -> None:
        """Handle the failure of the connection: no more of the response will come."""

    def no_connection(self, error: ProxyError) -> None:
        """Handle the lack of a connection."""

    def use_connection(self, connection: Connection_contra) -> None:
        """Send the request on this connection."""

    def pause_request_body(self) -> None:
        """Stop sending content for now."""

    def resume_request_body(self) -> None:
        """Send content again."""
