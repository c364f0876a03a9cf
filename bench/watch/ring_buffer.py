"""Decode the binary pages of the kernel's ring buffer, all pages at once: one record of each in every step.

A page begins with the time of its first record and a word that says how many bytes follow. A record is a
header (5 bits for its kind or length, 27 bits for the nanoseconds since the one before) and its data.
Sources: events/header_page and events/header_event of tracefs; include/linux/ring_buffer.h;
kernel/trace/ring_buffer.c (rb_update_event, rb_read_data_buffer, ring_buffer_read_page).
"""

import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.watch.event_format import EventFormat

WORD_BYTES = 4
"""Records start at multiples of it (RB_ALIGNMENT)."""
LARGEST_SHORT = 28
"""Up to here the kind of a record is the number of its words; 0 says that the length follows."""
LONG, PADDING, TIME_EXTEND, TIME_STAMP = 0, 29, 30, 31
DELTA_BITS = 27
MISSED_EVENTS, MISSED_STORED = 1 << 31, 1 << 30
"""Flags of the word with the length: records were lost before this page; their number stands behind it."""
_LENGTH_MASK = MISSED_STORED - 1
_STAMP_BITS = 59
"""An absolute time keeps so many bits; the rest is that of the page (rb_fix_abs_ts)."""


@dataclass(frozen=True, slots=True)
class PageFormat:
    """Where a page has what, in bytes."""

    commit_offset: int
    commit_size: int
    data_offset: int
    page_size: int

    @classmethod
    def of(cls, header: EventFormat) -> "PageFormat":
        """Return what `events/header_page` says."""
        commit, data = header.fields["commit"], header.fields["data"]
        return cls(commit.offset, commit.size, data.offset, data.offset + data.size)


@dataclass(frozen=True, slots=True)
class Records:
    """The records of some pages, a column each, in no certain order."""

    time_ns: NDArray[np.int64]
    word: NDArray[np.int64]
    """Where the data of a record starts, in words from the first page on."""
    lost: int
    """How many records the kernel overwrote before they were read; at least 1 where it does not say."""


def decode(pages: NDArray[np.uint8], layout: PageFormat) -> Records:
    """Return the records in `pages`, of shape (pages, bytes of a page).

    What does not fit into its page is left out: a record that claims to be longer ends its page.
    """
    count, page_bytes = pages.shape
    raw = np.ascontiguousarray(pages)
    length, lost = _lengths(raw, layout)
    # One word more, so that the word behind a header may be read also at the very end.
    words = np.append(raw.reshape(-1).view(np.uint32), np.uint32(0)).astype(np.int64)
    first = np.arange(count, dtype=np.int64) * (page_bytes // WORD_BYTES)
    begin = first + layout.data_offset // WORD_BYTES
    room = (page_bytes - layout.data_offset) // WORD_BYTES
    end = begin + np.minimum(length // WORD_BYTES, room)
    times, starts = _walk(words, begin, end, raw[:, :8].copy().view(np.int64).reshape(-1))
    return Records(times, starts, lost)


def _lengths(raw: NDArray[np.uint8], layout: PageFormat) -> tuple[NDArray[np.int64], int]:
    """Return the bytes of data in each page, and how many records were lost before them."""
    at, size = layout.commit_offset, layout.commit_size
    kind = np.uint64 if size == 8 else np.uint32
    commit = raw[:, at : at + size].copy().view(kind).reshape(-1).astype(np.uint64) & np.uint64(0xFFFFFFFF)
    length = (commit & np.uint64(_LENGTH_MASK)).astype(np.int64)
    lost = 0
    for page in np.flatnonzero(commit & np.uint64(MISSED_EVENTS)).tolist():
        behind = layout.data_offset + int(length[page])
        stored = raw[page, behind : behind + size].copy()
        is_stored = bool(int(commit[page]) & MISSED_STORED) and len(stored) == size
        lost += max(1, int(stored.view(kind)[0])) if is_stored else 1
    return length, lost


def _walk(
    words: NDArray[np.int64], at: NDArray[np.int64], end: NDArray[np.int64], time_ns: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Go through all pages side by side, from `at` to `end`; return the times and the places of the data."""
    times: list[NDArray[np.int64]] = []
    starts: list[NDArray[np.int64]] = []
    while True:
        goes_on = at < end
        if not goes_on.all():
            at, end, time_ns = at[goes_on], end[goes_on], time_ns[goes_on]
        if not len(at):
            break
        kind, delta = _split(words[at])
        if ((kind != LONG) & (kind <= LARGEST_SHORT)).all():
            step, time_ns, is_data, data = 1 + kind, time_ns + delta, None, at + 1
        else:
            step, time_ns, is_data = _uncommon(kind, delta, words[at + 1], time_ns)
            data = at + 1 + (kind == LONG)
        following = at + step
        fits = following <= end
        keep = fits if is_data is None else fits & is_data & (data < following)
        times.append(time_ns[keep])
        starts.append(data[keep])
        at = np.where(fits, following, end)
    if not times:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate(times), np.concatenate(starts)


def _split(header: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return kind and delta of headers: a bit field, which starts with the lowest bits of a little word."""
    if sys.byteorder == "little":
        return header & 31, header >> 5
    return header >> DELTA_BITS, header & ((1 << DELTA_BITS) - 1)


def _uncommon(
    kind: NDArray[np.int64], delta: NDArray[np.int64], word: NDArray[np.int64], time_ns: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return the words of each record with its header, its time, and whether it has data."""
    behind = 1 + (word + WORD_BYTES - 1) // WORD_BYTES
    # A padding with no delta ends its page: a step that fits into none.
    padding = np.where(delta == 0, np.iinfo(np.int64).max // 2, behind)
    step = np.where(kind <= LARGEST_SHORT, 1 + kind, 2)
    step = np.where(kind == LONG, behind, np.where(kind == PADDING, padding, step))
    far = delta + (word << DELTA_BITS)
    high = time_ns & ~((1 << _STAMP_BITS) - 1)
    time_ns = np.where(kind == TIME_STAMP, high | far, time_ns + np.where(kind == TIME_EXTEND, far, delta))
    return step, time_ns, kind <= LARGEST_SHORT
