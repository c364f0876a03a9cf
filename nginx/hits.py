"""Apply the rules under each version of nginx, and make findings of what they hit."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from nginx import versions
from nginx.acceptance import Acceptance
from nginx.advice import NO_CHANGE, with_capacity, without_wrong_pool
from nginx.directive_versions import dated
from nginx.finding import Finding, Severity
from nginx.model import PassLocation, build_model
from nginx.rules import CATALOGUE, Hit, Rule, RuleContext
from nginx.tree import Directive, Place
from nginx.unshareable import unshareable
from nginx.verdict import Verdict
from nginx.versions import Version

_Applied = tuple[Rule, Hit]
_MIXED_PROTOCOLS = "NK030"


@dataclass(slots=True, eq=False)
class RuleHits:
    """What the rules hit under one version, apart from what is accepted."""

    ctx: RuleContext
    left: list[_Applied] = field(default_factory=list)
    """What is reported."""
    accepted: dict[Acceptance, None] = field(default_factory=dict)
    """What comments and settings accept, in the order of the rules."""
    _about: dict[int, list[tuple[Rule, Hit, Acceptance | None]]] = field(default_factory=dict)
    """What explains the verdict on a pass location, by its identity, and by what it is accepted."""
    _acceptances: dict[tuple[str, int], Acceptance] = field(default_factory=dict)
    """By rule, and by the identity of the pass location that it is about."""
    _mixed: dict[int, _Applied] = field(default_factory=dict)
    """What makes a pass location's requests fail in its pool, by its identity."""

    @classmethod
    def of(cls, ctx: RuleContext) -> "RuleHits":
        """Apply the rules to a model under a version."""
        found = cls(ctx)
        conditions = _Conditions.of(ctx)
        for rule in sorted(CATALOGUE.values(), key=lambda each: bool(each.follows_from)):  # causes come first
            for hit in rule.detect(ctx):
                if conditions is None or conditions.may_hold(rule, hit):
                    found._add(rule, without_wrong_pool(ctx, rule, with_capacity(ctx, rule, hit)))
        return found

    def _add(self, rule: Rule, hit: Hit) -> None:
        passes = {id(each) for each in hit.passes}
        acceptance = self._acceptance(rule, hit)
        if acceptance is None:
            if passes and passes <= self._with_cause(rule):
                hit = replace(hit, fix="")  # that of the cause
            self.left.append((rule, hit))
            if rule.id == _MIXED_PROTOCOLS and severity(rule, hit) is Severity.ERROR:
                self._mixed.update((each, (rule, hit)) for each in passes)
        else:
            self.accepted[acceptance] = None
            self._acceptances.update(((rule.id, each), acceptance) for each in passes)
        for each in passes if rule.about_reuse else ():
            self._about.setdefault(each, []).append((rule, hit, acceptance))

    def _with_cause(self, rule: Rule) -> set[int]:
        """Return the identities of the pass locations for which the cause of a rule is to be mended."""
        causes = [hit for each, hit in self.left if each.id in rule.follows_from]
        mended = (hit for hit in causes if hit.fix and not hit.fix.startswith(NO_CHANGE))
        return {id(each) for hit in mended for each in hit.passes}

    def verdict(self, each: PassLocation) -> Verdict:
        """Return the verdict on a location.

        Reuse is no answer where a request fails on a connection that another protocol left in the pool.
        """
        found = self.ctx.verdict(each)
        if id(each) not in self._mixed or found.answer not in {"reused", "partly reused"}:
            return found
        rule, hit = self._mixed[id(each)]
        reason = (
            "depends on which location opened the connection that is taken from the pool: on one of another "
            f"protocol the request fails ({rule.id}, {hit.place}); without that: {found.reason}"
        )
        return replace(found, answer="depends", reason=reason, share=None)

    def rules_about(self, each: PassLocation) -> tuple[str, ...]:
        """Return the ids of the rules that explain the verdict on a location."""
        return tuple(sorted({rule.id for rule, _, _ in self._about.get(id(each), ())}))

    def accepts(self, each: PassLocation) -> bool:
        """Return whether a verdict may be as it is: what explains it is accepted, or it is right so."""
        is_right = self.ctx.verdict(each).answer == "not reused" and unshareable(each) is not None
        return is_right or bool(self.acceptances(each))

    def acceptances(self, each: PassLocation) -> list[Acceptance]:
        """Return by what the verdict on a location is accepted; nothing where more than that is wrong."""
        own = self._about.get(id(each), [])
        if any(by is None and severity(rule, hit) >= Severity.MEDIUM for rule, hit, by in own):
            return []
        return list(dict.fromkeys(by for _, _, by in own if by is not None))

    def _acceptance(self, rule: Rule, hit: Hit) -> Acceptance | None:
        place = hit.place
        commented = self.ctx.model.configuration.ignored.get((place.file, place.line), {})
        if rule.id in commented:
            return Acceptance(rule.id, place, "a comment", commented[rule.id])
        if self.ctx.settings.is_ignored(rule.id, place.file):
            return Acceptance(rule.id, place, "--ignore")
        causes = [
            next(
                (one for cause in rule.follows_from if (one := self._acceptances.get((cause, id(each))))),
                None,
            )
            for each in hit.passes
        ]
        return causes[0] if causes and None not in causes else None


@dataclass(frozen=True, slots=True)
class _Conditions:
    """What holds where the conditions of a template hold, or do not: never all of its branches at once."""

    lines: frozenset[Place]
    """The lines that are there in one of the cases."""
    hits: frozenset[tuple[str, Place]]
    """The rules that hit there, by line."""

    @classmethod
    def of(cls, ctx: RuleContext) -> "_Conditions | None":
        """Apply the rules to each case; None where there are no conditions."""
        configurations = ctx.model.configuration.conditional
        if not configurations:
            return None
        cases = [
            RuleContext(build_model(each), ctx.version, ctx.settings, ctx.oldest) for each in configurations
        ]
        hits = (
            (rule.id, hit.place) for case in cases for rule in CATALOGUE.values() for hit in rule.detect(case)
        )
        return cls(frozenset(_places(each.http for each in configurations)), frozenset(hits))

    def may_hold(self, rule: Rule, hit: Hit) -> bool:
        """Return whether a rule that hits with all branches may hit with those that go together."""
        is_about_text = rule.id.startswith("NX")
        return is_about_text or hit.place not in self.lines or (rule.id, hit.place) in self.hits


def _places(blocks: Iterable[Sequence[Directive]]) -> Iterator[Place]:
    for block in blocks:
        for line in block:
            yield line.place
            yield from _places([line.block or ()])


def severity(rule: Rule, hit: Hit) -> Severity:
    """Return how much an application of a rule matters."""
    return rule.severity if hit.severity is None else hit.severity


def merge_findings(hits: Mapping[str, RuleHits]) -> Iterator[Finding]:
    """Yield one finding for each rule, place and message, with all versions under which it applies."""
    merged: dict[tuple[str, Place, str], list[tuple[str, Rule, Hit]]] = {}
    for version, found in hits.items():
        for rule, hit in found.left:
            merged.setdefault((rule.id, hit.place, hit.message), []).append((version, rule, hit))
    oldest = min(map(versions.parse, hits))
    return (_finding(same, oldest) for same in merged.values())


def _finding(same: list[tuple[str, Rule, Hit]], oldest: Version) -> Finding:
    _, rule, hit = same[0]
    return Finding(
        rule=rule.id,
        severity=max(severity(rule, hit) for _, rule, hit in same),
        place=hit.place,
        message=hit.message,
        fix=_advice(same, oldest),
        related=tuple((line.place, str(line)) for line in hit.related),
        passes=tuple(dict.fromkeys(each.directive.place for _, _, other in same for each in other.passes)),
        versions=_unique(version for version, _, _ in same),
    )


def _advice(same: list[tuple[str, Rule, Hit]], oldest: Version) -> str:
    """Return what to change; where that differs by version, each part with those that it is for."""
    by_fix: dict[str, list[str]] = {}
    for version, rule, hit in same:
        within = "" if rule.id.startswith("CK") else "upstream"
        by_fix.setdefault(dated(hit.fix, oldest, within), []).append(version)
    if len(by_fix) == 1:
        return next(iter(by_fix))
    return "; ".join(f"{fix} [{', '.join(_unique(held))}]" for fix, held in by_fix.items() if fix)


def _unique(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))
