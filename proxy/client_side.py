"""What an exchange asks of its client, whatever version of HTTP that speaks."""

from typing import Protocol

from proxy.errors import ProxyError
from proxy.transport import Transport


class ClientSide(Protocol):
    """The client of an exchange: a connection of HTTP/1, or a stream of HTTP/2.

    Attributes:
        added_fields: fields that are added to each of its requests.
        close_after_response: whether nothing more of the request is read after the response.
        is_half_closed: whether the client has closed its side: it waits for the response, or is gone.
        deadline: when the current wait times out, on the clock of the sweep.
    """

    added_fields: bytes
    close_after_response: bool
    is_half_closed: bool
    deadline: float

    @property
    def is_full(self) -> bool:
        """Return whether the client does not read what is sent."""

    def pause_reading(self) -> None:
        """Stop reading the request body."""

    def resume_reading(self) -> None:
        """Read the request body again."""

    def push_back(self, data: bytes) -> None:
        """Store the bytes after the end of a request body."""

    def count_error(self, error: ProxyError) -> None:
        """Count an error of the client."""

    def response_sent(self) -> None:
        """Note that the response is written, and the exchange over."""

    def abort_response(self) -> None:
        """Show the client that the response is incomplete."""


class Body(Protocol):
    """The body of one response, on its way to the client."""

    def write(self, content: bytes) -> None:
        """Send more content, framed if the exchange `reads_chunks` and the upstream sends chunks."""

    def end(self) -> None:
        """Send the end."""

    def sink(self) -> Transport | None:
        """Return the transport that content may be spliced to; None if it must be copied."""
