"""Pages of the kernel's ring buffer: each record comes back with its time, and what was lost is counted."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.watch import event_format
from bench.watch.ring_buffer import MISSED_EVENTS, PageFormat, Records, decode
from tests.watch.page_encoder import LAYOUT, MOST_DELTA, STAMP_BITS, Page, header

payloads = st.binary(min_size=1, max_size=200)
deltas = st.one_of(st.integers(0, 1000), st.integers(0, 2 * MOST_DELTA), st.integers(0, 1 << 50))
steps = st.lists(st.tuples(st.sampled_from(["record", "record", "discarded", "stamp"]), payloads, deltas))
HEADER_PAGE = """
\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;
\tfield: local_t commit;\toffset:8;\tsize:%d;\tsigned:1;
\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;
\tfield: char data;\toffset:%d;\tsize:%d;\tsigned:0;
"""


def read(*pages: bytes, layout: PageFormat = LAYOUT) -> Records:
    return decode(np.frombuffer(b"".join(pages), np.uint8).reshape(len(pages), -1), layout)


def found(records: Records) -> list[tuple[int, int]]:
    """Return place in bytes and time of each record, in the order of their places."""
    return sorted(zip((records.word * 4).tolist(), records.time_ns.tolist(), strict=True))


def expected(pages: list[Page]) -> list[tuple[int, int]]:
    return [
        (number * page.layout.page_size + at, time_ns)
        for number, page in enumerate(pages)
        for time_ns, at, _ in page.written
    ]


def page_of(began_ns: int, asked: list[tuple[str, bytes, int]]) -> Page:
    page = Page(began_ns)
    for kind, payload, delta in asked:
        if kind == "record":
            page.record(payload, delta)
        elif kind == "discarded":
            page.discarded(payload, delta)
        elif (page.time_ns + delta) >> STAMP_BITS == began_ns >> STAMP_BITS:
            page.stamp(page.time_ns + delta)
    return page


@given(pages=st.lists(st.tuples(st.integers(0, 1 << 61), steps), min_size=1, max_size=5))
def test_every_record_comes_back_with_its_time_and_its_place(
    pages: list[tuple[int, list[tuple[str, bytes, int]]]],
) -> None:
    made = [page_of(began_ns, asked) for began_ns, asked in pages]
    records = read(*(page.end() for page in made))
    assert found(records) == expected(made)
    assert records.lost == 0


def test_full_pages_of_short_records_come_back() -> None:
    pages = [Page(1000 * number) for number in range(3)]
    for page in pages:
        for step in range(80):
            page.record(bytes([step]) * 72, 7)
    assert len(pages[0].written) == 53
    assert found(read(*(page.end() for page in pages))) == expected(pages)


@pytest.mark.parametrize(("lost", "counted"), [(None, 0), (0, 1), (1, 1), (70_000, 70_000)])
def test_what_was_lost_is_counted_and_what_is_there_is_read(lost: int | None, counted: int) -> None:
    page, other = Page(5, lost=lost), Page(9)
    page.record(b"abcd", 1)
    other.record(b"efgh", 1)
    records = read(page.end(), other.end())
    assert (found(records), records.lost) == (expected([page, other]), counted)


def test_the_flag_of_lost_records_may_fill_the_word_with_its_sign() -> None:
    # local_add(1 << 31) adds a negative int to a long.
    page = Page(5)
    page.record(b"abcd", 1)
    raw = bytearray(page.end())
    (commit,) = struct.unpack_from("<Q", raw, 8)
    struct.pack_into("<q", raw, 8, commit + MISSED_EVENTS - (1 << 32))
    records = read(bytes(raw))
    assert (found(records), records.lost) == (expected([page]), 1)


def test_no_pages_hold_no_records() -> None:
    records = decode(np.empty((0, 4096), np.uint8), LAYOUT)
    assert (len(records.word), records.lost) == (0, 0)


@given(data=st.binary(min_size=48, max_size=48), length=st.integers(0, (1 << 32) - 1))
def test_nonsense_is_read_to_its_end_and_within_it(data: bytes, length: int) -> None:
    layout = PageFormat(8, 8, 16, 64)
    records = read(struct.pack("<QQ", 1, length) + data, layout=layout)
    assert ((records.word * 4 >= 16) & (records.word * 4 < 64)).all()


def test_a_record_that_claims_more_than_its_page_is_left_out() -> None:
    page = Page(5)
    page.record(b"abcd", 1)
    page.data += header(20, 1) + b"short"
    page.data += bytes(-len(page.data) % 4)
    assert found(read(page.end())) == expected([page])


def test_a_record_without_data_is_none() -> None:
    page = Page(5)
    page.record(b"abcd", 1)
    page.data += header(0, 1) + struct.pack("<I", 4)
    assert found(read(page.end())) == expected([page])


@pytest.mark.parametrize(
    ("commit", "data", "size", "layout"),
    [(8, 16, 4080, PageFormat(8, 8, 16, 4096)), (4, 12, 65524, PageFormat(8, 4, 12, 65536))],
)
def test_the_layout_of_a_page_is_what_the_kernel_says(
    commit: int, data: int, size: int, layout: PageFormat
) -> None:
    assert PageFormat.of(event_format.parse(HEADER_PAGE % (commit, data, size))) == layout
