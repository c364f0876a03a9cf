"""The search itself: a seed gives the same streams, our readers pass a short one, and faults are found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest

from tests.fuzz import grammar, in_process, reading
from tests.fuzz.finds import Finds
from tests.fuzz.words import MARK

SOME = range(400)


def found() -> Counter[str]:
    finds = Finds()
    for number in SOME:
        in_process.check("test", number, finds)
    return finds.kinds


def test_our_readers_pass() -> None:
    assert found() == {}


def test_a_seed_gives_the_same_streams() -> None:
    first, again = ([grammar.requests(Random(f"seed {number}")) for number in SOME] for _ in range(2))
    assert first == again
    assert len(set(first)) > len(SOME) / 2


def test_about_as_many_streams_are_read_as_are_refused() -> None:
    streams = (grammar.requests(Random(number)).replace(MARK, b"id") for number in SOME)
    ends = Counter(reading.read_requests([stream]).end for stream in streams)
    assert min(ends["between"] + ends["closed"], ends["refused 400"], 20 * ends["incomplete"]) > len(SOME) / 5


@pytest.mark.usefixtures("capsys")
def test_a_reader_that_the_cut_misleads_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = reading.read_requests

    def misled(pieces: Sequence[bytes]) -> reading.Reading:
        return right([piece.replace(b"\n", b"") if len(piece) == 1 else piece for piece in pieces])

    monkeypatch.setattr(reading, "read_requests", misled)
    assert found().keys() == {"a cut decides how a request is read"}


@pytest.mark.usefixtures("capsys")
def test_a_reader_that_reads_another_length_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = reading.read_requests

    def lenient(pieces: Sequence[bytes]) -> reading.Reading:
        return right([b"".join(pieces).replace(b"Content-Length: 5", b"Content-Length: 4")])

    monkeypatch.setattr(reading, "read_requests", lenient)
    assert "h11 reads a request in another way" in found()
