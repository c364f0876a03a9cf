"""After which exchanges a scripted server keeps its connections, and after how many requests it ends them."""

from __future__ import annotations

import pytest

from bench.probe import cases
from bench.probe.model import Ending, KeepAliveCase, ProbeResult
from tests.probe.behaviours import Behaviour, behaving, case, probed

NAMES = ("HTTP/1.1 GET", "HTTP/1.0 with keep-alive", "HEAD", "204", "304", "404", "400")
FAST = Behaviour(idle_s=0.2)


def at(behaviour: Behaviour) -> ProbeResult:
    """Return what a probe finds that does not wait for idle times."""
    with behaving(behaviour) as kept:
        return probed(kept.server.port, max_s=0.1)


def test_a_server_that_keeps_all_is_said_to() -> None:
    with behaving(FAST) as kept:
        result = probed(kept.server.port, max_s=0.1, more_paths=("/empty",))
    assert [each.name for each in result.cases] == list(NAMES)
    assert {each.name: each.kept for each in result.cases} == dict.fromkeys(NAMES, True)
    assert [each.status for each in result.cases] == [200, 200, 200, 204, 304, 404, 400]
    assert case(result, "HTTP/1.0 with keep-alive").announced


@pytest.mark.parametrize("announces", [True, False])
@pytest.mark.parametrize("kind", ["HEAD", "304", "404", "400"])
def test_a_kind_after_which_it_ends_the_connection_is_found(kind: str, announces: bool) -> None:
    result = at(Behaviour(idle_s=0.2, ends_after=(kind,), announces=announces))
    found = case(result, kind)
    assert (found.kept, found.announced, found.ending) == (False, announces, Ending.FIN)
    others = {each.name: each.kept for each in result.cases if each.name not in (kind, "204")}
    assert others == dict.fromkeys(set(NAMES) - {kind, "204"}, True)


def test_http_1_0_alone_may_not_be_kept() -> None:
    result = at(Behaviour(idle_s=0.2, keeps_http_1_0=False))
    assert case(result, "HTTP/1.0 with keep-alive").kept is False
    assert case(result, "HTTP/1.1 GET").kept is True


@pytest.mark.parametrize(
    ("behaviour", "announced"),
    [
        (Behaviour(is_short=True), True),
        (Behaviour(is_short=True, announces=False), False),
        (Behaviour(framing="close", announces=False), True),
        (Behaviour(version="HTTP/1.0", is_short=True), True),
    ],
    ids=["announced", "silent", "by-framing", "1.0"],
)
def test_a_server_without_keep_alive_has_no_idle_time(behaviour: Behaviour, announced: bool) -> None:
    result = at(behaviour)
    first = case(result, "HTTP/1.1 GET")
    assert (first.kept, first.announced, first.ending) == (False, announced, Ending.FIN)
    assert (result.idle, result.max_requests) == (None, 1)


@pytest.mark.parametrize("announces", [True, False])
@pytest.mark.parametrize("most", [2, 3, 10])
def test_the_number_of_requests_on_a_connection_is_counted(most: int, announces: bool) -> None:
    result = at(Behaviour(idle_s=0.2, most=most, announces=announces))
    assert (result.max_requests, result.max_requests_announced) == (most, announces)
    # What ends by their number is not taken for what ends by the kind of a request.
    assert [each.name for each in result.cases if each.kept is False] == []


def test_more_requests_than_were_tried_are_not_claimed() -> None:
    result = at(FAST)
    assert result.max_requests is None
    assert result.requests_tried >= 20


def test_slow_answers_are_not_counted_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "_COUNTING_S", 0.0)
    result = at(FAST)
    assert (result.max_requests, result.requests_tried) == (None, 1)
    assert result.notes == ("requests on one connection were counted for 0 s, and no longer",)


def test_what_the_server_announces_is_read() -> None:
    more = "Keep-Alive: timeout=5, max=100\r\nServer: x/1\r\n"
    result = at(Behaviour(idle_s=0.2, more=more))
    assert (result.announced_idle_s, result.announced_max, result.server) == (5.0, 100, "x/1")
    result = at(FAST)
    assert (result.announced_idle_s, result.announced_max, result.server) == (None, None, None)


@pytest.mark.parametrize(
    ("value", "idle_s", "most"),
    [
        ("timeout=15; max=3", None, None),
        ('TIMEOUT = "15" , max=0', 15.0, 0),
        ("timeout=2147483648", 2_147_483_648.0, None),
        ("timeout=2147483649, max=99999999999999", None, None),
        ("timeout=9e20, max=7", None, 7),
        ("timeout=-1, max=1.5", None, None),
        ("timeout=0x10, max=", None, None),
        ("timeout=\xb2", None, None),
        ("yes", None, None),
    ],
)
def test_what_is_announced_is_used_where_it_is_a_number(
    value: str, idle_s: float | None, most: int | None
) -> None:
    result = at(Behaviour(idle_s=0.2, more=f"Keep-Alive: {value}\r\n"))
    assert (result.announced_idle_s, result.announced_max) == (idle_s, most)
    assert result.announced is not None


def test_what_an_interim_response_says_is_not_taken_for_the_servers() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nServer: y\r\nConnection: close\r\n\r\n"
    result = at(Behaviour(idle_s=0.2, before=hints, more="Server: x\r\n"))
    assert (result.server, case(result, "HTTP/1.1 GET").kept) == ("x", True)


def test_a_case_that_the_server_does_not_allow_says_why() -> None:
    result = at(Behaviour(idle_s=0.2, etag=False, wants_host=False))
    assert case(result, "304") == KeepAliveCase(
        "304", None, reason="the response has no ETag and no Last-Modified"
    )
    assert case(result, "400") == KeepAliveCase(
        "400", None, status=200, reason="GET / without Host answers 200"
    )
    assert case(result, "204").reason == "no path that was asked for answers 204; name one with --path"


@pytest.mark.parametrize(
    ("version", "versions"), [("HTTP/1.1", ("HTTP/1.0", "HTTP/1.1")), ("HTTP/1.0", ("HTTP/1.0",))]
)
def test_versions_are_told(version: str, versions: tuple[str, ...]) -> None:
    result = at(Behaviour(idle_s=0.2, version=version))
    assert result.versions == versions


@pytest.mark.parametrize("status", [426, 505])
def test_a_server_that_refuses_http_1_0_is_not_said_to_speak_it(status: int) -> None:
    result = at(Behaviour(idle_s=0.2, refuses_http_1_0=status))
    assert result.versions == ("HTTP/1.1",)
    refused = case(result, "HTTP/1.0 with keep-alive")
    assert (refused.kept, refused.status) == (None, status)
    assert refused.reason == f"HTTP/1.0 GET / with Connection answers {status}"
