"""What a part sends is what is read, and small: whatever it observed."""

from __future__ import annotations

import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cluster import packing
from bench.cluster.reporter import PartCounts, PartReport
from bench.observe.host_observer import HostSample
from bench.subjects.subject import SubjectCounts
from tests.cluster.observed import SECOND_NS, START_NS, second

counts = st.integers(0, 2**40)
gauges = st.none() | counts
histograms = st.dictionaries(counts, counts, max_size=30)
floats = st.floats(allow_nan=False)
samples = st.builds(
    HostSample,
    t_ns=st.integers(-(2**62), 2**62),
    host=st.sampled_from(["client", "proxy"]),
    time_wait=gauges,
    established=gauges,
    resets=gauges,
    cpu_s=floats,
    memory_mib=floats,
)
seconds = st.builds(
    replace,
    st.just(second(3, 100)),
    latency_us=histograms,
    service_us=histograms,
    pacing_us=histograms,
    ticks=st.lists(counts, max_size=10).map(tuple),
    bytes=counts,
)
reports = st.builds(
    PartReport,
    start_ns=st.integers(-(2**62), 2**62),
    until_ns=counts,
    seconds=st.lists(seconds, max_size=2).map(tuple),
    samples=st.lists(samples, max_size=12).map(tuple),
    counts=st.none()
    | st.builds(PartCounts, st.text(max_size=9), st.tuples(counts, counts), subject=st.just(SubjectCounts())),
)


@given(reports)
def test_a_report_comes_as_it_was(report: PartReport) -> None:
    assert packing.unpack(packing.pack(("client-1-01234567", report))) == ("client-1-01234567", report)


@given(histograms)
def test_a_histogram_comes_as_it_was(histogram: dict[int, int]) -> None:
    assert packing.unpack_histogram(packing.pack_histogram(histogram)) == histogram


@given(st.lists(samples, max_size=12))
def test_samples_come_as_they_were(found: list[HostSample]) -> None:
    assert packing.unpack_samples(packing.pack_samples(found)) == tuple(found)


@pytest.mark.parametrize(
    ("histogram", "sent"),
    [
        ({}, b"\x00"),
        ({0: 1}, b"\x01\x00\x01"),
        ({250: 2, 248: 1}, b"\x02\xf8\x01\x02\x01\x02"),
        ({1: 300}, b"\x01\x01\xac\x02"),
    ],
)
def test_a_histogram_is_its_steps_and_their_counts(histogram: dict[int, int], sent: bytes) -> None:
    assert packing.pack_histogram(histogram) == sent


def test_a_second_of_500_requests_is_sent_in_a_byte_for_each_of_its_latencies() -> None:
    values = {250 + 3 * n + n % 2: 1 + n % 3 for n in range(250)}
    busy = replace(second(1, 500), latency_us=values, service_us=values, pacing_us=values)
    report = PartReport(START_NS, START_NS + SECOND_NS, (busy,))
    assert len(packing.pack(("client-1-01234567", report))) < 750


def test_names_take_no_room() -> None:
    rows = [HostSample(START_NS + n * 10**8, "proxy", 0, 20, 5, 5, 8, 0, 0, 0.25, 15.0) for n in range(10)]
    counted = PartCounts("1.0", (32768, 60999), subject=SubjectCounts(opened=5, accepted=8))
    report = PartReport(START_NS, START_NS + SECOND_NS, samples=tuple(rows), counts=counted)
    assert len(packing.pack(("proxy-1-89abcdef", report))) < 150


@given(st.lists(st.integers() | st.text(), max_size=5))
def test_anything_else_comes_as_it_was_too(found: list[object]) -> None:
    assert packing.unpack(packing.pack(found)) == found


def test_another_process_unpacks_the_same() -> None:
    sent = ("client-1", second(1, 100))
    source = (
        "import sys; from bench.cluster import packing;"
        "sys.stdout.write(repr(packing.unpack(sys.stdin.buffer.read())))"
    )
    root, packed = Path(__file__).parents[2], packing.pack(sent)
    done = subprocess.run(
        [sys.executable, "-c", source], input=packed, stdout=subprocess.PIPE, cwd=root, check=True, timeout=60
    )
    assert done.stdout.decode() == repr(sent)


def test_what_was_packed_against_another_report_is_refused() -> None:
    stream = zlib.compressobj(zdict=b"another version's report")
    with pytest.raises(zlib.error):
        packing.unpack(stream.compress(b"N.") + stream.flush())
