"""Define what a rule is: its id, its function, its explanation, and a configuration on either side of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from nginx.finding import Severity
from nginx.known_directives import KnownDirectives
from nginx.model import Model, PassLocation
from nginx.rules.examples import GOOD
from nginx.tree import Directive, Place
from nginx.upstreams import Pool, Upstream
from nginx.verdict import Verdict
from nginx.versions import Version


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
    known: KnownDirectives | None = None
    """The directives of the nginx that is installed."""


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

    def verdict(self, each: PassLocation) -> Verdict:
        """Return the verdict on a pass location under this version."""
        key = id(each)
        if key not in self._verdicts:
            self._verdicts[key] = each.verdict(self.version)
        return self._verdicts[key]

    def using_protocol(self, protocol: str) -> Iterator[PassLocation]:
        """Yield the pass locations of a protocol."""
        return (each for each in self.model.passes if each.protocol == protocol)

    def reusing(self) -> Iterator[PassLocation]:
        """Yield the pass locations whose connections are reused."""
        return (each for each in self.model.passes if self.verdict(each).answer == "reused")

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

    def lines(self, name: str) -> Iterator[Directive]:
        """Yield the directives of that name in http {} that have an argument."""
        return (line for level in self.model.levels for line in level.all(name) if line.args)

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


Detect = Callable[[RuleContext], Iterable[Hit]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the catalogue."""

    id: str
    name: str
    severity: Severity
    summary: str
    explanation: str
    detect: Detect
    """Yields a hit for each application."""
    bad: str
    """A configuration that it flags; empty where only traffic can show it."""
    good: str
    """A configuration that it must not flag."""
    about_reuse: bool
    """It explains a verdict, so the verdict names it."""
    shown_on: str
    """The version under which `bad` and `good` are flagged and not flagged."""
    shown_with: CheckSettings
    """The settings for that."""
    unproven: str
    """Why no traffic of the tests shows it; empty where it does."""


CATALOGUE: dict[str, Rule] = {}


def rule(
    rule_id: str,
    name: str,
    severity: Severity,
    *,
    bad: str,
    good: str = GOOD,
    about_reuse: bool = False,
    shown_on: str = "1.22.1",
    shown_with: CheckSettings = CheckSettings(),
    unproven: str = "",
) -> Callable[[Detect], Detect]:
    """Add a function to the catalogue; its docstring is the summary and the explanation of the rule."""

    def add(detect: Detect) -> Detect:
        summary, _, explanation = inspect.cleandoc(detect.__doc__ or "").partition("\n")
        bad_text, good_text = (inspect.cleandoc(text) + "\n" for text in (bad, good))
        CATALOGUE[rule_id] = Rule(
            rule_id,
            name,
            severity,
            summary,
            explanation.strip(),
            detect,
            bad_text,
            good_text,
            about_reuse,
            shown_on,
            shown_with,
            unproven,
        )
        return detect

    return add
