"""What each source of requests can do, and the error where it does not answer."""

from typing import Protocol

from bench.watch.model import RequestFlow


class RequestSource(Protocol):
    """Counts requests; opened on the first answer, from which it counts on."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What limits the last answer, one sentence each; `Snapshot.notes` has room for them."""

    def read(self) -> tuple[RequestFlow, ...]:
        """Return the requests since the last read that was answered, by hop.

        Takes at most a second. Without an answer it returns nothing, and `notes` says why; the next answer
        then holds all requests since the last one.
        """

    def close(self) -> None:
        """Close the connection or the file that it reads."""


class SourceError(Exception):
    """A source gives no answer that can be read; `reason` and `remedy` are half a sentence each."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason, remedy)
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.reason}; {self.remedy}"


def reason_of(error: OSError) -> str:
    """Return why the system refuses, as half a sentence behind a name."""
    if isinstance(error, TimeoutError):
        return "gives no answer within 1 s"
    if isinstance(error, ConnectionRefusedError):
        return "refuses the connection"
    if isinstance(error, ConnectionError):
        return "ends the connection without an answer"
    return f"cannot be read: {error.strerror or error}"
