"""What counts of connections come to, and where they contradict a verdict."""

from __future__ import annotations

from typing import Any

import pytest

from bench.prove.changes import Rejection
from bench.prove.proof import ConnectionWitnesses, LocationResult, Measurement, Proof
from nginx.verdict import Answer, ClosesFirst, Verdict
from tests.proving import last_location

LOCATION = last_location("server { location / { proxy_pass http://a; } }")


def measured(connections: int, requests: int = 8, **more: Any) -> Measurement:
    known: dict[str, Any] = {
        "still_open": 0,
        "closed_by_backend": 0,
        "time_wait_nginx": 0,
        "time_wait_backend": 0,
    }
    return Measurement(requests, connections, statuses={200: requests}, **known | more)


def result(answer: Answer, closes_first: ClosesFirst | None, seen: Measurement | None) -> LocationResult:
    return LocationResult(LOCATION, Verdict(answer, closes_first, None, "1.1", (), "because"), None, "", seen)


@pytest.mark.parametrize(
    ("connections", "answer"),
    [
        (0, "reused"),
        (1, "reused"),
        (4, "reused"),
        (5, "partly reused"),
        (7, "partly reused"),
        (8, "not reused"),
    ],
)
def test_the_answer_of_counts(connections: int, answer: str) -> None:
    assert measured(connections).verdict == answer


@pytest.mark.parametrize(
    ("answer", "closes_first", "seen", "agrees", "disagreement"),
    [
        ("reused", None, measured(1), True, None),
        ("reused", None, measured(8), False, "check says reused, traffic says not reused"),
        ("reused", None, measured(6), False, "check says reused, traffic says partly reused"),
        ("not reused", "race", measured(8, time_wait_backend=8), True, None),
        ("not reused", "nginx", measured(8, time_wait_nginx=8), True, None),
        (
            "not reused",
            "nginx",
            measured(8, time_wait_nginx=6, time_wait_backend=2),
            False,
            "check says nginx closes first, backend did so 2 times",
        ),
        ("not reused", "nginx", measured(1), False, "check says not reused, traffic says reused"),
        ("depends", None, measured(8), None, None),
        ("reused", None, None, None, None),
    ],
)
def test_agreement(
    answer: Answer,
    closes_first: ClosesFirst | None,
    seen: Measurement | None,
    agrees: bool | None,
    disagreement: str | None,
) -> None:
    found = result(answer, closes_first, seen)
    assert (found.agrees, found.disagreement) == (agrees, disagreement)


def test_without_the_kernel_the_backend_shows_who_closed_first() -> None:
    unknown: dict[str, Any] = {"time_wait_nginx": None, "time_wait_backend": None}
    found = measured(8, closed_by_backend=3, still_open=1, **unknown)
    assert found.closed_first == {
        "nginx": 4,
        "backend": 3,
    }


def test_what_ended_without_time_wait_was_reset() -> None:
    assert measured(8, closed=8, time_wait_nginx=5, time_wait_backend=1).reset == 2
    assert measured(8, closed=8, time_wait_nginx=8, time_wait_backend=1).reset == 0  # both closed at once


AGREED = ConnectionWitnesses(8, 8)
GOOD = [result("reused", None, measured(1))]
BAD = [result("reused", None, measured(8))]


@pytest.mark.parametrize(
    ("proof", "is_sound"),
    [
        (Proof("p", "1", "l", results=GOOD, witnesses=AGREED), True),
        (Proof("p", "1", "l", results=GOOD, witnesses=ConnectionWitnesses(8, None)), True),
        (Proof("p", "1", "l", results=GOOD, witnesses=ConnectionWitnesses(8, 9)), False),
        (Proof("p", "1", "l", results=[*GOOD, *BAD], witnesses=AGREED), False),
        (Proof("p", "1", "l", results=[result("reused", None, None)], witnesses=AGREED), False),
        (Proof("p", "1", "l", rejection=Rejection("no"), results=GOOD, witnesses=AGREED), False),
        (Proof("p", "1", "l"), False),
    ],
)
def test_what_a_sound_proof_is(proof: Proof, is_sound: bool) -> None:
    assert proof.is_sound is is_sound
