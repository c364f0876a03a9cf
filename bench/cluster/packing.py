"""Reports and results of parts as they are sent: small beside the traffic that is measured.

Classes are pickled as the values of their fields, and compressed against a report that both sides know:
names take no room. Both run the same code (same_code.py), and so have the same report. What is unpacked
equals what was packed.
"""

import dataclasses
import io
import pickle
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from bench.cluster.reporter import PartCounts, PartReport
from bench.load.counters import ERROR_KINDS
from bench.load.generator import Second
from bench.observe.host_observer import HostSample
from bench.subjects.subject import SubjectCounts

_PROTOCOL = 5
_LEVEL = 9
_HISTOGRAMS = frozenset(("latency_us", "service_us", "connect_us", "pacing_us", "handshake_us"))
_SECOND_FIELDS = tuple(each.name for each in dataclasses.fields(Second))
_SERVED = ("accepted", "requests", "failed", "errors", "closed_first")
_FAILURES = ("address_exhausted", "refused", "reset", "timeout", "protocol", "pool")
"""What a backend and a proxy of ours count (docs/reference/pipes.md)."""
_SAMPLE_FIELDS = tuple(each.name for each in dataclasses.fields(HostSample))


def pack(found: Any) -> bytes:
    """Return what was measured as it is sent."""
    stream = zlib.compressobj(_LEVEL, zdict=_dictionary())
    return stream.compress(_pickle(found)) + stream.flush()


def unpack(sent: bytes) -> Any:
    """Return it as it was before."""
    stream = zlib.decompressobj(zdict=_dictionary())
    return pickle.loads(stream.decompress(sent) + stream.flush())


def pack_histogram(histogram: Mapping[int, int]) -> bytes:
    """Return a histogram as varints: how many values it has, the steps between them, and their counts."""
    values = sorted(histogram)
    steps = (value - before for before, value in zip([0, *values], values, strict=False))
    return _varints((len(values), *steps, *(histogram[value] for value in values)))


def unpack_histogram(sent: bytes) -> dict[int, int]:
    """Return it as it was before."""
    count, *numbers = _read_varints(sent)
    value, histogram = 0, {}
    for step, responses in zip(numbers[:count], numbers[count:], strict=True):
        value += step
        histogram[value] = responses
    return histogram


def pack_samples(samples: Sequence[HostSample]) -> list[Any]:
    """Return samples by column: how many there are, then the values of each field."""
    columns = ([getattr(each, name) for each in samples] for name in _SAMPLE_FIELDS)
    return [len(samples), *map(_pack_column, columns)] if samples else []


def unpack_samples(sent: Sequence[Any]) -> tuple[HostSample, ...]:
    """Return them as they were before."""
    if not sent:
        return ()
    count, *packed = sent
    columns = [_unpack_column(each, count) for each in packed]
    return tuple(HostSample(*row) for row in zip(*columns, strict=True))


def _pack_column(values: list[Any]) -> Any:
    """Return a single value in a tuple where all are the same, steps as bytes where they are integers."""
    if len(set(values)) == 1:
        return (values[0],)
    if not all(type(value) is int for value in values):
        return values
    steps = (value - before for before, value in zip([0, *values], values, strict=False))
    # Signed numbers by zigzag: small ones stay small.
    return _varints(2 * step if step >= 0 else -2 * step - 1 for step in steps)


def _unpack_column(sent: Any, count: int) -> Sequence[Any]:
    if isinstance(sent, tuple):
        return sent * count
    if isinstance(sent, list):
        return sent
    value, values = 0, []
    for number in _read_varints(sent):
        value += -(number + 1) // 2 if number % 2 else number // 2
        values.append(value)
    return values


def _varints(numbers: Iterable[int]) -> bytes:
    """Return numbers in groups of seven bits, the lowest first; the eighth says that another follows."""
    found = bytearray()
    for number in numbers:
        left = number
        while left > 0x7F:
            found.append(left & 0x7F | 0x80)
            left >>= 7
        found.append(left)
    return bytes(found)


def _read_varints(sent: bytes) -> Iterator[int]:
    number = shift = 0
    for byte in sent:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield number
            number = shift = 0


class _Pickler(pickle.Pickler):
    """Pickles reports by their values."""

    def reducer_override(self, found: Any) -> Any:
        """Return how to make `found` again."""
        if type(found) is Second:
            values = ((name, getattr(found, name)) for name in _SECOND_FIELDS)
            return _second, tuple(
                pack_histogram(value) if name in _HISTOGRAMS else value for name, value in values
            )
        if type(found) is PartReport:
            return _report, (
                found.start_ns,
                found.until_ns,
                found.seconds,
                pack_samples(found.samples),
                found.counts,
            )
        return NotImplemented


def _pickle(found: Any) -> bytes:
    stream = io.BytesIO()
    _Pickler(stream, _PROTOCOL).dump(found)
    return stream.getvalue()


def _second(*sent: Any) -> Second:
    values: dict[str, Any] = dict(zip(_SECOND_FIELDS, sent, strict=True))
    return Second(**(values | {name: unpack_histogram(values[name]) for name in _HISTOGRAMS}))


def _report(start_ns: int, until_ns: int, seconds: Any, samples: Sequence[Any], counts: Any) -> PartReport:
    return PartReport(start_ns, until_ns, seconds, unpack_samples(samples), counts)


@cache
def _dictionary() -> bytes:
    """Return a report with all that reports of each role have in common; the most frequent at its end."""
    served = {"event": "count", "role": "backend", **dict.fromkeys(_SERVED, 0)}
    subject = SubjectCounts(opened=0, accepted=0, quic=0, lost=0, errors=dict.fromkeys(_FAILURES, 0))
    rows: list[Any] = [(n * 100_000_000, "backend", *([n] * 7), n / 3, n / 7) for n in range(10)]
    samples = tuple(HostSample(*row) for row in rows)
    counts = PartCounts("-", (32768, 60999), served, subject)
    errors = dict.fromkeys(ERROR_KINDS, 0)
    numbers: dict[str, Any] = dict.fromkeys(_SECOND_FIELDS, 0) | {name: {1: 1} for name in _HISTOGRAMS}
    second = Second(**{**numbers, "ticks": (100,) * 10, "errors": errors, "statuses": {"200": 1000}})
    return b"".join(
        _pickle(each)
        for each in (
            ("backend-1-01234567", PartReport(0, 1, samples=samples, counts=counts)),
            ("client-1-01234567", PartReport(0, 1, (second,), samples)),
        )
    )
