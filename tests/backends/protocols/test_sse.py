"""Server-sent events: what is written, and where a client goes on."""

import pytest

from backends.protocols.sse import format_event, last_id


def test_an_event_has_its_id_and_ends_with_an_empty_line() -> None:
    assert format_event(7, "a b") == b"id: 7\ndata: a b\n\n"


@pytest.mark.parametrize(
    ("headers", "query", "number"),
    [
        ({}, {}, 0),
        ({}, {"since": "3"}, 3),
        ({"Last-Event-ID": "5"}, {"since": "3"}, 5),
    ],
)
def test_a_client_goes_on_after_the_last_event_that_it_has(
    headers: dict[str, str], query: dict[str, str], number: int
) -> None:
    assert last_id(headers, query) == number


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="since=x is no event's number"):
        last_id({}, {"since": "x"})
