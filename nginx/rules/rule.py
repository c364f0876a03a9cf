"""Define what a rule is: its id, its function, its explanation, and a configuration on either side of it."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from fnmatch import fnmatch
from typing import TypeVar

from nginx.directive_versions import lines_too_new
from nginx.finding import Severity
from nginx.idle_times import Front, IdleLimit
from nginx.known_directives import KnownDirectives
from nginx.measured import MeasuredServer
from nginx.model import Model, PassLocation
from nginx.refusals.find import find_refusals
from nginx.refusals.refusal import Refusal
from nginx.refusals.resolving import unresolvable
from nginx.tree import Directive, Place
from nginx.upstreams import Pool, Upstream
from nginx.verdict import Verdict, compute_verdict
from nginx.versions import Version

Value = TypeVar("Value")
_REUSING = frozenset({"reused", "partly reused"})
"""The answers by which connections are reused, at least in part."""

# The parts that the examples of several rules share.
POOL = "upstream app { server 10.0.0.1:8080; keepalive 64; }\n"
KEEPALIVE_LINES = 'proxy_http_version 1.1; proxy_set_header Connection "";'
"""What nginx has to send, so that a server leaves the connection open."""
PASS = "proxy_pass http://app;"
KEPT = f"{PASS} {KEEPALIVE_LINES}"


def location(*lines: str) -> str:
    """Return the pool and a location with these lines."""
    inner = "\n        ".join(line for line in lines if line)
    return f"{POOL}server {{\n    location / {{\n        {inner}\n    }}\n}}"


def server(lines: str) -> str:
    """Return an upstream {} of these lines, and a location that uses it as it should."""
    return f"upstream app {{ {lines} }}\nserver {{\n    location / {{ {KEPT} }}\n}}"


GOOD = location(KEPT)


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """What the configuration does not say and the sizing rules need; None where it is not given."""

    workers: int | None = None
    """Worker processes of nginx; else what `worker_processes` says."""
    concurrency: int | None = None
    """Requests in flight at once, over all workers."""
    backend_idle_s: float | None = None
    """After how many idle seconds a server closes a connection."""
    backend_max_connections: int | None = None
    """How many connections one server accepts."""
    upstream_idle_s: Mapping[str, float] = field(default_factory=dict)
    """The idle seconds of the servers of single upstreams, by name."""
    upstream_max_connections: Mapping[str, int] = field(default_factory=dict)
    """How many connections one server of single upstreams accepts, by name."""
    closing: Mapping[str, str] = field(default_factory=dict)
    """Why the servers of an upstream keep no connections open, by its name; "" is about all others."""
    measured: tuple[MeasuredServer, ...] = ()
    """What probes measured of servers; it counts more than what is given or assumed of them."""
    front: Front | None = None
    """What is in front of nginx."""
    ignored: tuple[tuple[str, str], ...] = ()
    """Rules that are not reported, each with the pattern of the files that are meant."""
    known: KnownDirectives | None = None
    """The directives of the nginx that is installed."""

    def is_ignored(self, rule: str, file: str) -> bool:
        """Return whether a rule is not reported in a file."""
        return any(rule == named and fnmatch(file, pattern) for named, pattern in self.ignored)

    def measured_of(self, upstream: str, addresses: Iterable[str]) -> list[MeasuredServer]:
        """Return what was measured of the servers of an upstream with these addresses."""
        listed = list(addresses)
        return [each for each in self.measured if each.is_among(upstream, listed)]

    def idle_limit_of(self, upstream: str, addresses: Iterable[str]) -> IdleLimit | None:
        """Return when the servers of an upstream close idle connections; the one that is first decides."""
        measured = self.measured_of(upstream, addresses)
        limits = [
            IdleLimit(each.idle_s, each.spread_s, f"{each.idle} ({each.by})")
            for each in measured
            if each.idle_s is not None
        ]
        if limits:
            return min(limits, key=lambda limit: limit.idle_s - limit.spread_s)
        assumed = _of(self.upstream_idle_s, upstream, self.backend_idle_s)
        kept_s = min((each.kept_s for each in measured if each.kept_s is not None), default=0.0)
        return None if assumed is None or assumed < kept_s else IdleLimit(assumed)

    def request_limit_of(self, upstream: str, addresses: Iterable[str]) -> MeasuredServer | None:
        """Return the server of an upstream that was measured to close after the fewest requests."""
        limited = [each for each in self.measured_of(upstream, addresses) if each.requests is not None]
        return min(limited, key=lambda each: each.requests or 0, default=None)

    def max_connections_of(self, upstream: str) -> int | None:
        """Return how many connections one server of an upstream accepts."""
        return _of(self.upstream_max_connections, upstream, self.backend_max_connections)

    def closing_of(self, upstream: str, addresses: Iterable[str] = ()) -> str | None:
        """Return why the servers of an upstream keep no connections open; None if nothing says so."""
        measured = self.measured_of(upstream, addresses)
        if measured:
            by = next((each.by for each in measured if each.closes), None)
            return None if by is None else f"its server closes after each response ({by})"
        return _of(self.closing, upstream, self.closing.get(""))


def _of(values: Mapping[str, Value], upstream: str, default: Value | None) -> Value | None:
    """Return the value for an upstream, whose name nginx compares without case."""
    return next((value for name, value in values.items() if name.lower() == upstream.lower()), default)


@dataclass(frozen=True, slots=True)
class Hit:
    """One application of a rule; `severity` None stands for the severity of the rule."""

    place: Place
    message: str
    fix: str = ""
    severity: Severity | None = None
    related: tuple[Directive, ...] = ()
    passes: tuple[PassLocation, ...] = ()


@dataclass(slots=True, eq=False)
class RuleContext:
    """What a rule reads: a model under one version of nginx."""

    model: Model
    version: Version
    settings: CheckSettings = field(default_factory=CheckSettings)
    oldest: Version | None = None
    """The oldest version of the same check; None if this is the only one."""
    _verdicts: dict[int, Verdict] = field(default_factory=dict)
    _refusals: list[Refusal] | None = None
    _too_new: list[Directive] | None = None

    @property
    def refusals(self) -> list[Refusal]:
        """What this version refuses in the text, so that it does not start with it."""
        if self._refusals is None:
            self._refusals = find_refusals(self.model, self.version)
        return self._refusals

    def verdict(self, each: PassLocation) -> Verdict:
        """Return the verdict on a pass location under this version.

        In a configuration that nginx refuses nothing is reused: what is wrong decides.
        """
        key = id(each)
        if key not in self._verdicts:
            found = self._with_measured(each, compute_verdict(each, self.version, self.per_worker))
            place = self._stops_at(each) if found.answer in _REUSING else None
            if place is not None:
                reason = f"depends on {place}, for which nginx does not start; without that: {found.reason}"
                found = replace(found, answer="depends", reason=reason, share=None)
            self._verdicts[key] = found
        return self._verdicts[key]

    def _with_measured(self, each: PassLocation, found: Verdict) -> Verdict:
        """Return a verdict with what was measured of the servers: those that close leave nothing to reuse."""
        used = each.upstreams() if self.settings.measured and found.answer in _REUSING else []
        closing = [self._measured_closing(upstream) for upstream in used]
        if not closing or None in closing:
            return found
        reason = "; ".join(dict.fromkeys(filter(None, closing)))
        return replace(found, answer="not reused", closes_first="backend", reason=reason, share=None)

    def _measured_closing(self, upstream: Upstream) -> str | None:
        settings, addresses = self.settings, upstream.addresses
        is_measured = settings.measured_of(upstream.name, addresses)
        return settings.closing_of(upstream.name, addresses) if is_measured else None

    def _stops_at(self, each: PassLocation) -> Place | None:
        """Return a line for which nginx does not start, one of a location itself if there is one."""
        for refusal in sorted(self.refusals, key=lambda refusal: (not refusal.concerns(each), refusal.place)):
            return refusal.place
        return next((line.place for line in self._lines_too_new), None)

    @property
    def _lines_too_new(self) -> list[Directive]:
        """The lines about upstream connections that this version does not know, or not without others."""
        if self._too_new is None:
            newer = [
                line
                for needed, line in lines_too_new(self.model, self.version)
                if needed.within == "upstream" or needed.name.startswith("proxy_")
            ]
            self._too_new = newer + [line for _, line, _, _ in unresolvable(self.model)]
        return self._too_new

    def using_protocol(self, protocol: str) -> Iterator[PassLocation]:
        """Yield the pass locations of a protocol."""
        return (each for each in self.model.passes if each.protocol == protocol)

    def reusing(self) -> Iterator[PassLocation]:
        """Yield the pass locations whose connections are reused, at least in part."""
        return filter(self.reuses, self.model.passes)

    def reuses(self, each: PassLocation) -> bool:
        """Return whether connections of a pass location are reused, at least in part."""
        return self.verdict(each).answer in _REUSING

    def pooled(self) -> Iterator[tuple[Upstream, Pool]]:
        """Yield the upstreams that have a pool, with it."""
        for upstream in self.model.upstreams:
            pool = upstream.pool(self.version)
            if pool is not None and self.model.users(upstream):
                yield upstream, pool

    def main(self, name: str) -> Directive | None:
        """Return the last directive of that name outside http {}."""
        directives = self.model.configuration.main
        return next((each for each in reversed(directives) if each.name == name), None)

    def lines(self, name: str, *args: str) -> Iterator[Directive]:
        """Yield the directives of that name in http {} that have these arguments, or any."""
        for line in (line for level in self.model.levels for line in level.all(name)):
            if line.args == args or (line.args and not args):
                yield line

    @property
    def workers(self) -> int | None:
        """The number of worker processes, as far as it is known."""
        if self.settings.workers is not None:
            return self.settings.workers
        line = self.main("worker_processes")
        if line is not None and line.number is not None:
            return line.number
        return 1 if line is None and not self.model.configuration.is_fragment else None

    @property
    def per_worker(self) -> int:
        """The requests in flight per worker, rounded up; 0 where they are not given."""
        return -(-(self.settings.concurrency or 0) // (self.workers or 1))


CATALOGUE: "dict[str, Rule]" = {}
Detect = Callable[[RuleContext], Iterable[Hit]]


@dataclass(slots=True, eq=False)
class Rule:
    """One rule; as a decorator it joins the catalogue with the function that detects it.

    The function has the rule's name; the first line of its docstring is its summary, the rest explains it.
    """

    id: str
    severity: Severity
    _: KW_ONLY
    bad: str
    """A configuration that it flags; empty where only traffic can show it."""
    good: str = GOOD
    """A configuration that it must not flag."""
    about_reuse: bool = False
    """It says why connections are reused or not, so that the verdict on its `passes` names it."""
    shown_on: str = "1.22.1"
    """The version under which `bad` and `good` are flagged and not flagged."""
    shown_with: CheckSettings = CheckSettings()
    """The settings for that."""
    follows_from: tuple[str, ...] = ()
    """The rules whose fault brings it along: who accepts that accepts this, and one edit mends both."""
    unproven: str = ""
    """Why no test shows it by nginx itself; empty where one does."""
    name: str = field(init=False)
    summary: str = field(init=False)
    explanation: str = field(init=False)
    detect: Detect = field(init=False)
    """Yields a hit for each application."""

    def __call__(self, detect: Detect) -> Detect:
        """Add the rule to the catalogue with its function."""
        self.name = detect.__name__.replace("_", "-")
        self.summary, _, explanation = inspect.cleandoc(detect.__doc__ or "").partition("\n")
        self.explanation, self.detect = explanation.strip(), detect
        self.bad, self.good = (inspect.cleandoc(text) + "\n" for text in (self.bad, self.good))
        CATALOGUE[self.id] = self
        return detect
