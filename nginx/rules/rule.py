"""What a rule is: an id, a test for it, its explanation, and a configuration on either side of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from nginx.finding import Severity
from nginx.known_directives import Known
from nginx.model import Model, PassLocation
from nginx.tree import Directive, Place
from nginx.upstreams import Pool, Upstream
from nginx.verdict import Verdict
from nginx.versions import Version


@dataclass(frozen=True, slots=True)
class Settings:
    """What the configuration does not say and the sizing rules need; None where nobody said it.

    Attributes:
        workers: nginx's worker processes; else what `worker_processes` says.
        concurrency: requests in flight at once, over all workers.
        backend_idle_s: after how many idle seconds a server closes a connection.
        backend_max_connections: how many connections one server takes.
        known: the directives of the nginx that is installed.
    """

    workers: int | None = None
    concurrency: int | None = None
    backend_idle_s: float | None = None
    backend_max_connections: int | None = None
    known: Known | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """One application of a rule; the rule's own severity unless it says another."""

    place: Place
    message: str
    fix: str = ""
    severity: Severity | None = None
    related: tuple[tuple[Place, str], ...] = ()
    passes: tuple[PassLocation, ...] = ()


@dataclass(slots=True, eq=False)
class Case:
    """One model under one version of nginx: what a rule looks at.

    `oldest` is the oldest version that is asked about beside this one, None if this is the only one.
    """

    model: Model
    version: Version
    settings: Settings = field(default_factory=Settings)
    oldest: Version | None = None
    _verdicts: dict[int, Verdict] = field(default_factory=dict)

    def verdict(self, each: PassLocation) -> Verdict:
        """Returns the verdict on a pass location under this version."""
        key = id(each)
        if key not in self._verdicts:
            self._verdicts[key] = each.verdict(self.version)
        return self._verdicts[key]

    def speaking(self, protocol: str) -> Iterator[PassLocation]:
        """Yields the pass locations of a protocol."""
        return (each for each in self.model.passes if each.protocol == protocol)

    def reusing(self) -> Iterator[PassLocation]:
        """Yields the pass locations whose connections are reused."""
        return (each for each in self.model.passes if self.verdict(each).answer == "reused")

    def pooled(self) -> Iterator[tuple[Upstream, Pool]]:
        """Yields the upstreams that have a pool, with it."""
        for upstream in self.model.upstreams:
            pool = upstream.pool(self.version)
            if pool is not None and self.model.users(upstream):
                yield upstream, pool

    @property
    def workers(self) -> int | None:
        """The number of worker processes, as far as it is known."""
        if self.settings.workers is not None:
            return self.settings.workers
        line = last(self.model.configuration.main, "worker_processes")
        if line is not None and line.args and line.args[0].isdigit():
            return int(line.args[0])
        return 1 if line is None and not self.model.configuration.is_fragment else None


Detect = Callable[[Case], Iterable[Hit]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the catalogue.

    Attributes:
        about_reuse: it explains a verdict, so the verdict names it.
        detect: yields a hit for each application; None where only traffic can show it.
        bad, good: a configuration that it flags, and one that it must not flag.
        shown_on: the version, and `shown_with` the settings, under which the two are so.
        unproven: why no traffic of the tests shows it; empty where it does.
    """

    id: str
    name: str
    severity: Severity
    summary: str
    explanation: str
    detect: Detect | None
    bad: str
    good: str
    about_reuse: bool
    shown_on: str
    shown_with: Settings
    unproven: str


CATALOGUE: dict[str, Rule] = {}


def rule(
    rule_id: str,
    name: str,
    severity: Severity,
    *,
    bad: str,
    good: str,
    about_reuse: bool = False,
    shown_on: str = "1.22.1",
    shown_with: Settings = Settings(),
    unproven: str = "",
) -> Callable[[Detect], Detect]:
    """Enters a detector in the catalogue; its docstring is the rule's summary and explanation."""

    def enter(detect: Detect) -> Detect:
        summary, _, explanation = inspect.cleandoc(detect.__doc__ or "").partition("\n")
        CATALOGUE[rule_id] = Rule(
            id=rule_id,
            name=name,
            severity=severity,
            summary=summary,
            explanation=explanation.strip(),
            detect=detect,
            bad=inspect.cleandoc(bad) + "\n",
            good=inspect.cleandoc(good) + "\n",
            about_reuse=about_reuse,
            shown_on=shown_on,
            shown_with=shown_with,
            unproven=unproven,
        )
        return detect

    return enter


def last(directives: Iterable[Directive], name: str) -> Directive | None:
    """Returns the last directive of that name among some."""
    found = None
    for directive in directives:
        if directive.name == name:
            found = directive
    return found


def said_at(directive: Directive) -> tuple[Place, str]:
    """Returns a directive as a related line of a finding."""
    return directive.place, str(directive)
