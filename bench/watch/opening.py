"""Open what a command line asks to watch: its scope, the watch, the sources of requests, the judge."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from bench.errors import LabError, PlanError
from bench.runs.watch_trial import WatchPlan
from bench.watch import scope as scopes
from bench.watch import verdict
from bench.watch.exact import ExactWatch
from bench.watch.model import RequestFlow, Snapshot
from bench.watch.nginx_lookup import NginxLookup
from bench.watch.sampled import SampledWatch
from bench.watch.scope import Scope
from bench.watch.session import JUDGING_SHARE, LARGER_SHARE, Judge, Session, Watch
from bench.watch.stretches import LASTS_S
from bench.watch.verdict import WatchVerdict

if TYPE_CHECKING:
    from bench.watch.requests import RequestSource

USUAL_INTERVAL_S = 1.0
"""From one look to the next: a person reads no faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be watched, and how; without a scope it is this host."""

    netns: str | None = None
    pid: int | None = None
    process: str | None = None
    container: str | None = None
    exact: bool = False
    """Whether it is to fail where only sampling is possible."""
    sampled: bool = False
    requests: Sequence[str] = ()
    """The sources of requests, as `requests.open_source` takes them."""
    log_format: str | None = None
    nginx_dump: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that is ready, and what it is about."""

    session: Session
    scope: str
    """In words."""
    judge: Judge
    """What judges without a configuration, whose places nothing masks."""
    plan: WatchPlan
    """The same as the header of a recording has it."""
    is_whole_host: bool = True
    """Whether it is all processes of a host or namespace; else what the kernel counts is not all theirs."""


@contextmanager
def open_session(asked: Asked, interval_s: float | None = None) -> Iterator[Opened]:
    """Open a session; it is closed with the block.

    Without an interval it looks once a second, or more seldom where a look costs more than a small share of a
    core. PlanError where what is asked makes no sense, LabError where this user or this machine cannot do it.
    """
    with ExitStack() as closing:
        scope = closing.enter_context(
            scopes.open_scope(
                netns=asked.netns, pid=asked.pid, process=asked.process, container=asked.container
            )
        )
        nginx = closing.enter_context(NginxLookup(scope, asked.nginx_dump))
        sources = _open_sources(asked, scope, nginx, closing) if asked.requests else []
        watch = open_watch(scope, asked)
        closing.callback(watch.close)
        for source in sources:
            source.read()  # what they counted before the first interval begins is of none
        judge = partial(verdict.judge, is_whole_host=scope.pids is None)
        session = Session(
            watch,
            partial(_judge, scope.pids is None, nginx),
            sources,
            USUAL_INTERVAL_S if interval_s is None else interval_s,
            least_interval=partial(_least_interval, watch) if interval_s is None else lambda: 0.0,
            judging_share=_judging_share(watch, interval_s),
        )
        plan = WatchPlan(scope.name, _source(asked), session.interval_s, LASTS_S, tuple(asked.requests))
        yield Opened(session, scope.name, judge, plan, scope.pids is None)


def open_watch(scope: Scope, asked: Asked) -> Watch:
    """Open the watch of a scope: by events where they may be read, unless it is to be sampled."""
    if asked.sampled:
        return SampledWatch(scope)
    watch = ExactWatch(scope)
    if asked.exact and watch.reason is not None:
        watch.close()
        raise LabError(f"--exact: {watch.reason}; leave it out, or become root")
    return watch


def _judge(is_whole_host: bool, nginx: NginxLookup, snapshots: Sequence[Snapshot]) -> WatchVerdict:
    """Return the verdict with what the configurations on this host say about it."""
    nginx.look_again(snapshots[-1].t_s)
    found = verdict.judge(snapshots, nginx.locations, is_whole_host=is_whole_host)
    return replace(found, notes=(*found.notes, *nginx.notes))


def _least_interval(watch: Watch) -> float:
    """Return what a look by dumps asks for; a watch by events spaces its dumps itself."""
    return watch.shortest_interval_s if isinstance(watch, SampledWatch | ExactWatch) else 0.0


def _judging_share(watch: Watch, interval_s: float | None) -> float:
    """Return the share of a core that judging may take, so that the whole keeps within its bound."""
    is_by_dumps = isinstance(watch, SampledWatch) or (isinstance(watch, ExactWatch) and bool(watch.reason))
    return JUDGING_SHARE if is_by_dumps and interval_s is None else LARGER_SHARE


def _source(asked: Asked) -> str:
    return "sampled" if asked.sampled else "exact" if asked.exact else "exact where possible"


class _SourceInScope:
    """A source of requests that is read in the namespace that is watched: its address belongs there."""

    def __init__(self, source: "RequestSource", scope: Scope) -> None:
        self._source, self._scope = source, scope

    @property
    def notes(self) -> tuple[str, ...]:
        return self._source.notes

    def read(self) -> tuple[RequestFlow, ...]:
        return self._scope.call(self._source.read)

    def close(self) -> None:
        self._source.close()


def _open_sources(
    asked: Asked, scope: Scope, nginx: NginxLookup, closing: ExitStack
) -> "list[RequestSource]":
    """Open the sources of requests; PlanError where one is none, or cannot be read."""
    from bench.watch.requests import open_source  # noqa: PLC0415  (kept out of the start-up of the command)

    sources: list[RequestSource] = []
    for spec in asked.requests:
        formats = nginx.wait() if spec.startswith("nginx-log:") else {}
        try:
            opened = scope.call(open_source, spec, asked.log_format, formats)
        except ValueError as error:
            raise PlanError(f"--requests {error}") from error
        closing.callback(opened.close)
        sources.append(_SourceInScope(opened, scope))
    return sources
