"""Keep an advice from what would be wrong: a pool that shares connections wrongly, or starves a server."""

from collections.abc import Iterator
from dataclasses import replace

from nginx.finding import Severity
from nginx.model import PassLocation
from nginx.process_servers import PooledServers
from nginx.rules.rule import Hit, Rule, RuleContext
from nginx.unshareable import unshareable

NO_CHANGE = "leave it so: "
"""What an advice begins with that is to change nothing."""
_HARMLESS = frozenset({"NK048"})
"""Rules whose advice holds without a pool too."""


def without_wrong_pool(ctx: RuleContext, rule: Rule, hit: Hit) -> Hit:
    """Return an application of a rule without the advice to pool what must not be pooled.

    Where all its locations need connections of their own, that they are not reused is right: nothing has
    to be changed. Where some do, the others can have a pool once those are apart.
    """
    severity = rule.severity if hit.severity is None else hit.severity
    is_about_pool = rule.about_reuse and rule.id not in _HARMLESS and severity < Severity.ERROR
    unpooled = [each for each in hit.passes if ctx.verdict(each).answer == "not reused"]
    if not is_about_pool or not hit.fix or not unpooled:
        return hit
    reasons = {id(each): line for each in unpooled if (line := unshareable(each)) is not None}
    if not reasons:
        return hit
    line = next(iter(reasons.values()))
    if len(reasons) == len(hit.passes):
        text = f"{NO_CHANGE}`{line}` ({line.place}) needs a connection for each client"
        return replace(hit, fix=text, severity=Severity.INFO)
    named = next(each for each in unpooled if id(each) in reasons)
    text = f"{hit.fix}; but first give {named.context} an upstream {{}} of its own, because of `{line}`"
    return replace(hit, fix=f"{text} ({line.place})")


def with_capacity(ctx: RuleContext, rule: Rule, hit: Hit) -> Hit:
    """Return an application of a rule whose advice makes no pool that a server may not bear.

    That is one to a server with a process per connection whose number of processes is not given.
    """
    if rule.id not in _MAKE_POOLS or not hit.fix:
        return hit
    for each in hit.passes:
        for servers in _servers(each):
            reason, capacity = servers.one_process_each, ctx.settings.max_connections_of(servers.name)
            if capacity is not None:
                return replace(hit, fix=hit.fix.replace("keepalive 32;", _sized(ctx, capacity)))
            if reason is not None:
                asked = f"with --backend-max-connections, and `bench fix` sizes it: {reason}"
                return replace(hit, fix=f"pool it only if you know how many it has; say so {asked}")
    return hit


def _sized(ctx: RuleContext, capacity: int) -> str:
    """Return the line of a pool that all workers together fill to half of what a server accepts."""
    return f"keepalive {max(1, min(32, capacity // (2 * (ctx.workers or 1))))};"


_MAKE_POOLS = frozenset({"NK001", "NK006", "NK033", "NK034"})


def _servers(each: PassLocation) -> Iterator[PooledServers]:
    for target in each.targets:
        if target.upstream is not None:
            yield PooledServers.of(target.upstream, each.protocol)
        elif target.is_known:
            yield PooledServers.alone(target.host, each.protocol, target.server)
