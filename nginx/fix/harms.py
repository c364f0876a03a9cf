"""Find what edited text would make worse, location by location, beside the text as it was.

What was wrong before stays out of it: an edit is judged by what it changes.
"""

import itertools
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from nginx.finding import Severity
from nginx.fix.new_upstreams import IDENTITY
from nginx.model import Model, PassLocation
from nginx.rules import CATALOGUE, Hit, RuleContext
from nginx.tree import Place
from nginx.upstreams import Pool, Upstream

# What must not begin to apply because connections are pooled now.
_SHARED_WRONGLY = ("NK029", "NK030", "NK031", "NK032")
_REFUSED = ("NX001", "NK015", "NK017", "NK019", "NK040")
"""The rules whose errors are about text that nginx refuses."""
_OF_A_MODULE = 'unknown "'
"""An unknown variable may be that of a module."""
_PREFIX = re.compile(r"\[emerg\] |nginx refuses (?:it: )?")
DEFAULT_WORKER_CONNECTIONS = 512
RANKS: dict[str, int] = {"not reused": 0, "depends": 1, "partly reused": 1, "reused": 2}
"""How good an answer is."""


@dataclass(frozen=True, slots=True)
class Harm:
    """What edits make worse, and in which pass locations, by their number in the text."""

    passes: frozenset[int]
    """Empty where it concerns them all."""
    reason: str
    is_of_size: bool = False
    """Smaller pools would take less; they are not refused for it."""


def refusals(ctx: RuleContext) -> Iterator[tuple[Place, str]]:
    """Yield what a version of nginx refuses in a configuration, as far as that is known."""
    rendered_later = {place.file for place, _ in ctx.model.configuration.templates}
    for rule in _REFUSED:
        for hit in CATALOGUE[rule].detect(ctx):
            is_error = _severity(rule, hit) is Severity.ERROR and _OF_A_MODULE not in hit.message
            if is_error and hit.place.file not in rendered_later:
                yield hit.place, _PREFIX.sub("", hit.message)


def find_harms(contexts: Sequence[RuleContext], after: Model, repaired: Collection[int]) -> list[Harm]:
    """Return what a repair of some locations makes worse, under each version."""
    found: dict[Harm, None] = {}
    for old in contexts:
        new = RuleContext(after, old.version, old.settings)
        for each in (_refused, _answers, _shared_wrongly, _shared_differently, _capacity, _budget):
            found.update(dict.fromkeys(each(old, new, repaired)))
    return list(found)


def _refused(old: RuleContext, new: RuleContext, repaired: Collection[int]) -> Iterator[Harm]:
    before = [reason for _, reason in refusals(old)]
    for place, reason in refusals(new):
        if reason in before:
            before.remove(reason)
        else:
            yield Harm(frozenset(), f"nginx {new.version} would refuse {place}: {reason}")


def _answers(old: RuleContext, new: RuleContext, repaired: Collection[int]) -> Iterator[Harm]:
    for number, (was, now) in enumerate(zip(old.model.passes, new.model.passes, strict=True)):
        before, after = old.verdict(was), new.verdict(now)
        if number in repaired and after.answer != "reused":
            yield Harm(frozenset({number}), f"it would still be so: {after.reason}")
        elif RANKS[after.answer] < RANKS[before.answer]:
            text = f"{was.context} ({was.directive.place}) would be {after.answer}: {after.reason}"
            yield Harm(frozenset({number}), text)
        elif after.closes_first == "nginx" and before.closes_first not in {"nginx", None}:
            text = (
                f"it would also change {was.context} ({was.directive.place}), which reuses no connections: "
            )
            yield Harm(frozenset({number}), f"{text}nginx would begin to close them first")


# What shares a pool


def _shared_wrongly(old: RuleContext, new: RuleContext, repaired: Collection[int]) -> Iterator[Harm]:
    known = {(rule, numbers): idle for rule, numbers, idle, _ in _wrong_hits(old)}
    for rule, numbers, idle, message in _wrong_hits(new):
        if idle > known.get((rule, numbers), 0):
            yield Harm(numbers, message)


def _wrong_hits(ctx: RuleContext) -> Iterator[tuple[str, frozenset[int], int, str]]:
    """Yield what shares a pool wrongly, with its size: in a larger one it happens more often."""
    numbers = _numbers(ctx)
    for rule in _SHARED_WRONGLY:
        for hit in CATALOGUE[rule].detect(ctx):
            # A remark is about the location as it was written, not about its pool.
            if _severity(rule, hit) >= Severity.HIGH:
                used = [upstream for each in hit.passes for upstream in each.upstreams()]
                pools = [pool for upstream in used if (pool := upstream.pool(ctx.version)) is not None]
                idle = max((pool.idle for pool in pools), default=1)
                yield rule, frozenset(numbers[id(each)] for each in hit.passes), idle, hit.message


def _shared_differently(old: RuleContext, new: RuleContext, repaired: Collection[int]) -> Iterator[Harm]:
    known = {pair: idle for pair, idle, _ in _different_pairs(old)}
    for pair, idle, message in _different_pairs(new):
        if idle > known.get(pair, 0):
            yield Harm(frozenset(pair), message)


def _different_pairs(ctx: RuleContext) -> Iterator[tuple[tuple[int, int], int, str]]:
    """Yield locations that leave connections to others that would open them differently.

    A location whose own connections are closed takes those of others from the pool all the same. With each
    pair comes the size of the pool: in a larger one it happens more often.
    """
    numbers = _numbers(ctx)
    for upstream, pool in ctx.pooled():
        users = [] if pool.is_local else ctx.model.users(upstream)
        kept = {id(each): _kept_by_connection(each, ctx) for each in users}
        for one, other in itertools.permutations(users, 2):
            differing = [name for name, value in kept[id(one)].items() if value != kept[id(other)][name]]
            if differing and _leaves_connections(one, ctx):
                text = f"{one.context} and {other.context} would share connections of upstream "
                pair = (numbers[id(one)], numbers[id(other)])
                yield pair, pool.idle, f'{text}"{upstream.name}", but differ in {", ".join(differing)}'


def _kept_by_connection(each: PassLocation, ctx: RuleContext) -> dict[str, object]:
    """Return what a connection keeps from the location that opened it."""
    is_tls = any(target.is_tls for target in each.targets)
    is_http2 = each.protocol == "http" and each.http.effective(ctx.version) == "2"
    found: dict[str, object] = {"protocol": (each.protocol, is_tls), "HTTP version": is_http2}
    for name in IDENTITY:
        found[name] = _args(each, name) if is_tls or not name.startswith("ssl") else ()
    return found


def _leaves_connections(each: PassLocation, ctx: RuleContext) -> bool:
    return RANKS[ctx.verdict(each).answer] > 0


def _args(each: PassLocation, name: str) -> tuple[str, ...]:
    line = each.module_setting(name)
    return line.args if line else ()


def _used_pools(ctx: RuleContext) -> Iterator[tuple[Upstream, Pool, list[PassLocation]]]:
    for upstream, pool in ctx.pooled():
        users = [each for each in ctx.model.users(upstream) if _leaves_connections(each, ctx)]
        if users:
            yield upstream, pool, users


# How much is kept


def _capacity(old: RuleContext, new: RuleContext, repaired: Collection[int]) -> Iterator[Harm]:
    """Yield servers to which all pools together may keep as many connections as they accept."""
    workers, before = new.workers, _kept(old)
    for address, (idle, numbers, capacity) in _kept(new).items():
        grows = address not in before or idle > before[address][0]
        if workers is not None and capacity is not None and idle * workers >= capacity and grows:
            text = f"{workers} workers would keep up to {idle * workers} idle connections to {address}, "
            yield Harm(numbers, f"{text}which accepts {capacity}")


def _budget(old: RuleContext, new: RuleContext, repaired: Collection[int]) -> Iterator[Harm]:
    """Yield a pool for which worker_connections does not suffice: nginx closes idle clients instead of it."""
    events = new.main("events")
    idle = sum(pool.idle for _, pool in new.pooled())
    if events is None or idle <= sum(pool.idle for _, pool in old.pooled()):
        return
    line = events.child("worker_connections")
    limit = line.number if line is not None and line.number is not None else DEFAULT_WORKER_CONNECTIONS
    text = f"{idle} idle connections in all pools leave too few of {limit} worker_connections to clients"
    if 2 * idle > limit:
        yield Harm(frozenset(), text, is_of_size=True)
    if idle + 2 * new.per_worker > limit:
        yield Harm(frozenset(), text)


def _kept(ctx: RuleContext) -> dict[str, tuple[int, frozenset[int], int | None]]:
    """Return of each server how many connections a worker may keep, for whom, and how many it accepts."""
    numbers, found = _numbers(ctx), dict[str, tuple[int, frozenset[int], int | None]]()
    for upstream, pool, users in _used_pools(ctx):
        own, accepted = (
            frozenset(numbers[id(each)] for each in users),
            ctx.settings.max_connections_of(upstream.name),
        )
        for address in {line.args[0].lower() for line in upstream.servers if line.args}:
            idle, others, capacity = found.get(address, (0, frozenset(), None))
            least = min((each for each in (capacity, accepted) if each is not None), default=None)
            found[address] = idle + pool.idle, others | own, least
    return found


def _numbers(ctx: RuleContext) -> dict[int, int]:
    return {id(each): number for number, each in enumerate(ctx.model.passes)}


def _severity(rule: str, hit: Hit) -> Severity:
    return CATALOGUE[rule].severity if hit.severity is None else hit.severity
