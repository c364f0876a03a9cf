"""The backend's framing reads the corpus as its table says, however the bytes arrive."""

import pytest

from backends.http11 import CHUNKED, ProtocolError, RequestHead, RequestReader
from messages.corpus import REQUESTS, cuts
from messages.model import Accept, Incomplete, Refuse, RequestReading


def read(pieces: list[bytes]) -> RequestReading:
    """Reads the first request in `pieces`, as a server does; what comes after it is trailing."""
    reader = RequestReader()
    head: RequestHead | None = None
    body: list[bytes] = []
    whole = False
    rest: list[bytes] = []
    try:
        for piece in pieces:
            if whole:
                rest.append(piece)
                continue
            reader.feed(piece)
            head = head or reader.head()
            while reader.in_body and (part := reader.body()):
                body.append(part)
            whole = head is not None and not reader.in_body
    except ProtocolError as error:
        return Refuse((error.status,), str(error), in_body=head is not None)
    if head is None:
        return Incomplete()
    framing = "chunked" if head.length == CHUNKED else f"CL={head.length}" if head.length else "none"
    if not whole:
        return Incomplete(framing, b"".join(body))
    return Accept(
        head.method.decode(),
        framing,
        b"".join(body),
        reader.unread + b"".join(rest),
        head.keep_alive,
        head.expects_continue,
    )


def agree(reading: RequestReading, expected: RequestReading) -> bool:
    """Whether a reading is the expected one; of a refusal's statuses one is enough."""
    if isinstance(reading, Refuse) and isinstance(expected, Refuse):
        return reading.in_body == expected.in_body and set(reading.statuses) <= set(expected.statuses)
    return reading == expected


@pytest.mark.parametrize("name", REQUESTS)
def test_corpus(name: str) -> None:
    message = REQUESTS[name]
    readings = {
        reading if not isinstance(reading, Refuse) else (reading.statuses, reading.in_body): reading
        for pieces in cuts(message.data)
        for reading in [read(pieces)]
    }
    assert len(readings) == 1, readings
    (reading,) = readings.values()
    assert any(agree(reading, expected) for expected in message.expected_of_backend), reading
