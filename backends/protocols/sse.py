"""Server-sent events as a server writes them (WHATWG HTML, section 9.2). No sockets."""

from collections.abc import Mapping

HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
"""The header fields of a response that is a stream of events."""


def format_event(number: int, data: str) -> bytes:
    """Return an event with its id, which a client that comes back sends as Last-Event-ID.

    `data` is one line.
    """
    return f"id: {number}\ndata: {data}\n\n".encode()


def last_id(headers: Mapping[str, str], query: Mapping[str, str]) -> int:
    """Return the number of the last event that the client has: 0 for none, or from `since=` in the query.

    Raise ValueError where it is no number.
    """
    text = headers.get("Last-Event-ID") or query.get("since", "0")
    if not text.isdecimal():
        raise ValueError(f"since={text} is no event's number")
    return int(text)
