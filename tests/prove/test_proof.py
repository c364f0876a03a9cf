"""What counts of connections come to, and where they contradict a verdict."""

from __future__ import annotations

from typing import Any

import pytest

from bench.prove.accepting import Refusal
from bench.prove.inventory import scene
from bench.prove.proof import Measured, Outcome, Proof, Witnesses
from nginx.verdict import Answer, ClosesFirst, Verdict
from prove.configurations import model

SPOT = scene(model("server { location / { proxy_pass http://a; } }")).spots[0]


def measured(connections: int, requests: int = 8, **more: Any) -> Measured:
    known: dict[str, Any] = {"still_open": 0, "left_first": 0, "time_wait_nginx": 0, "time_wait_backend": 0}
    return Measured(requests, connections, statuses={200: requests}, **known | more)


def outcome(answer: Answer, closes_first: ClosesFirst | None, seen: Measured | None) -> Outcome:
    return Outcome(SPOT, Verdict(answer, closes_first, None, "1.1", (), "because"), None, "", seen)


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
    assert measured(connections).answer == answer


@pytest.mark.parametrize(
    ("answer", "closes_first", "seen", "agrees", "said"),
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
    seen: Measured | None,
    agrees: bool | None,
    said: str | None,
) -> None:
    found = outcome(answer, closes_first, seen)
    assert (found.agrees, found.disagreement) == (agrees, said)


def test_without_the_kernel_the_backend_tells_who_left_first() -> None:
    unknown = {"time_wait_nginx": None, "time_wait_backend": None}
    assert measured(8, left_first=3, still_open=1, **unknown).closed_first == {"nginx": 4, "backend": 3}


def test_what_ended_without_time_wait_was_reset() -> None:
    assert measured(8, closed=8, time_wait_nginx=5, time_wait_backend=1).reset == 2
    assert measured(8, closed=8, time_wait_nginx=8, time_wait_backend=1).reset == 0  # both closed at once


AGREED = Witnesses(8, 8)
GOOD = [outcome("reused", None, measured(1))]
BAD = [outcome("reused", None, measured(8))]


@pytest.mark.parametrize(
    ("proof", "is_sound"),
    [
        (Proof("p", "1", "l", outcomes=GOOD, witnesses=AGREED), True),
        (Proof("p", "1", "l", outcomes=GOOD, witnesses=Witnesses(8, None)), True),
        (Proof("p", "1", "l", outcomes=GOOD, witnesses=Witnesses(8, 9)), False),
        (Proof("p", "1", "l", outcomes=[*GOOD, *BAD], witnesses=AGREED), False),
        (Proof("p", "1", "l", outcomes=[outcome("reused", None, None)], witnesses=AGREED), False),
        (Proof("p", "1", "l", refusal=Refusal("no"), outcomes=GOOD, witnesses=AGREED), False),
        (Proof("p", "1", "l"), False),
    ],
)
def test_what_a_sound_proof_is(proof: Proof, is_sound: bool) -> None:
    assert proof.is_sound is is_sound
