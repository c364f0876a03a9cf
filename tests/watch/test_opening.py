"""What a command line asks to watch, opened and closed: which watch, which sources, what nginx says."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from bench.errors import LabError, PlanError
from bench.watch import nginx_here, opening, requests
from bench.watch import scope as scopes
from bench.watch.model import RequestFlow
from bench.watch.nginx_here import NginxHere, NginxLocation
from bench.watch.nginx_here.changes import take_marks
from bench.watch.nginx_here.model import ServerAddress
from bench.watch.nginx_lookup import NginxLookup
from bench.watch.opening import Asked, open_session
from bench.watch.scope import Scope, open_scope
from tests.watch.made_up import UPSTREAM, short, watched
from tests.watch.scripted import ScriptedSource, ScriptedWatch

CHURN = watched(short(UPSTREAM, 2_000, 5))
LOCATION = NginxLocation(
    "shop:80 location /", "/etc/nginx/nginx.conf:8", "http://app", "not reused", True, "no keepalive",
    "add `keepalive 32;`", servers=(ServerAddress("10.0.0.2", 8080, frozenset({"10.0.0.2"})),),
)  # fmt: skip


class Events(ScriptedWatch):
    """A watch by events, which may have none."""

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(CHURN)
        self.reason = reason


@pytest.fixture
def no_nginx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be no nginx on this host."""
    monkeypatch.setattr(nginx_here, "find_nginx", lambda *_, **__: ())


def test_events_are_read_where_they_may_be_and_a_sample_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events, dumps = Events(), ScriptedWatch(CHURN)
    monkeypatch.setattr(opening, "ExactWatch", lambda scope: events)
    monkeypatch.setattr(opening, "SampledWatch", lambda scope: dumps)
    scope = open_scope()
    assert opening.open_watch(scope, Asked()) is events
    assert opening.open_watch(scope, Asked(exact=True)) is events
    assert opening.open_watch(scope, Asked(sampled=True)) is dumps


def test_without_events_a_watch_goes_on_unless_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    events = Events("the kernel's tracing is for root only")
    monkeypatch.setattr(opening, "ExactWatch", lambda scope: events)
    scope = open_scope()
    assert opening.open_watch(scope, Asked()) is events
    with pytest.raises(
        LabError, match=r"^--exact: the kernel's tracing is for root only; leave it out, or become root$"
    ):
        opening.open_watch(scope, Asked(exact=True))
    assert events.is_closed


@pytest.mark.usefixtures("no_nginx")
def test_all_that_was_opened_is_closed_also_where_a_source_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    source = ScriptedSource([])

    def open_source(spec: str, *_: object) -> ScriptedSource:
        if spec == "bad":
            raise ValueError("bad: refuses the connection; start it")
        return source

    monkeypatch.setattr(opening, "open_watch", lambda *_: pytest.fail("a watch is opened behind its sources"))
    monkeypatch.setattr(requests, "open_source", open_source)
    with (
        pytest.raises(PlanError, match=r"^--requests bad: refuses the connection; start it$"),
        open_session(Asked(requests=("good", "bad"))),
    ):
        pass
    assert source.is_closed


@pytest.mark.usefixtures("no_nginx")
def test_sources_are_closed_where_the_watch_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    source = ScriptedSource([])

    def open_watch(*_: object) -> ScriptedWatch:
        raise LabError("--exact: no tracefs")

    monkeypatch.setattr(opening, "open_watch", open_watch)
    monkeypatch.setattr(requests, "open_source", lambda *_: source)
    with pytest.raises(LabError), open_session(Asked(requests=("any",))):
        pass
    assert source.is_closed


@pytest.mark.usefixtures("no_nginx")
def test_requests_from_before_the_first_interval_are_of_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration is read, and events are asked for, while requests go on."""
    early, first = RequestFlow("log", 50), RequestFlow("log", 300)
    watch = ScriptedWatch(CHURN)
    monkeypatch.setattr(opening, "open_watch", lambda *_: watch)
    monkeypatch.setattr(requests, "open_source", lambda *_: ScriptedSource([(early,), (first,)]))
    with open_session(Asked(requests=("any",))) as opened:
        assert opened.session.look().snapshot.requests == (first,)
    assert watch.is_closed


@pytest.mark.usefixtures("no_nginx")
def test_a_source_is_asked_in_the_namespace_that_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[str] = []

    class Telling(ScriptedSource):
        def read(self) -> tuple[RequestFlow, ...]:
            places.append(threading.current_thread().name)
            return ()

    def open_source(*_: object) -> ScriptedSource:
        places.append(threading.current_thread().name)
        return Telling([])

    inside = ThreadPoolExecutor(1, thread_name_prefix="inside")
    monkeypatch.setattr(scopes, "open_scope", lambda **_: Scope("blue", None, thread=inside))
    monkeypatch.setattr(opening, "open_watch", lambda scope, asked: ScriptedWatch(CHURN))
    monkeypatch.setattr(requests, "open_source", open_source)
    with open_session(Asked(netns="blue", requests=("any",))) as opened:
        opened.session.look()
    assert len(places) >= 2
    assert set(places) == {"inside_0"}


def test_what_nginx_on_this_host_is_told_stands_beside_the_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    found = NginxHere(7, locations=(LOCATION,), notes=("a file cannot be read",))
    monkeypatch.setattr(nginx_here, "find_nginx", lambda *_, **__: (found,))
    monkeypatch.setattr(opening, "open_watch", lambda scope, asked: ScriptedWatch(CHURN))
    with open_session(Asked()) as opened:
        for _ in range(5):
            look = opened.session.look(is_last=True)
        told = opened.judge(look.snapshots)
    assert look.verdict.faults[0].change == "add `keepalive 32;`"
    assert "a file cannot be read" in look.verdict.notes
    assert told.faults[0].configured == (), "a recording that is masked names no place of nginx"


def test_the_first_looks_do_not_wait_for_a_long_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    is_read = threading.Event()

    def find_nginx(*_: object, **__: object) -> tuple[NginxHere, ...]:
        assert is_read.wait(120)
        return (NginxHere(7, notes=("it was long",)),)

    monkeypatch.setattr(nginx_here, "find_nginx", find_nginx)
    monkeypatch.setattr(opening, "open_watch", lambda scope, asked: ScriptedWatch(CHURN))
    try:
        with open_session(Asked()) as opened:
            assert "it was long" not in opened.session.look(is_last=True).verdict.notes
            is_read.set()
            while "it was long" not in opened.session.look(is_last=True).verdict.notes:
                pass
    finally:
        is_read.set()


class Clock:
    """Looks again at one time after the other, until something shows."""

    def __init__(self, lookup: NginxLookup) -> None:
        self.lookup, self.t_s = lookup, 0.0

    def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.t_s += 1.0
            self.lookup.look_again(self.t_s)


def test_an_nginx_that_changed_is_read_anew_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    same = take_marks(os.getpid(), ())
    runs = [NginxHere(7, locations=(LOCATION,), marks=replace(same, started="before a restart"))]
    monkeypatch.setattr(nginx_here, "find_nginx", lambda *_, **__: (runs[0],))
    monkeypatch.setattr(nginx_here, "find_pids", lambda *_: frozenset({7}))
    with open_scope() as scope, NginxLookup(scope, may_dump=False) as nginx:
        clock = Clock(nginx)
        clock.until(lambda: nginx.locations == (LOCATION,))
        assert not nginx.notes
        runs[0] = NginxHere(7, notes=("it is mended",), marks=same)
        clock.until(lambda: "it is mended" in nginx.notes)
        assert nginx.locations == ()
        assert "changed" in nginx.notes[1]
        assert "was read anew, and connections from before are those of the old one" in nginx.notes[1]


def test_an_nginx_that_came_later_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[NginxHere] = []
    monkeypatch.setattr(nginx_here, "find_nginx", lambda *_, **__: tuple(runs))
    monkeypatch.setattr(nginx_here, "find_pids", lambda *_: frozenset(each.pid for each in runs))
    with open_scope() as scope, NginxLookup(scope, may_dump=False) as nginx:
        clock = Clock(nginx)
        clock.until(lambda: clock.t_s > 100)
        assert not nginx.notes
        runs.append(NginxHere(7, locations=(LOCATION,)))
        clock.until(lambda: nginx.locations == (LOCATION,))
        assert "nginx changed" in nginx.notes[0]
