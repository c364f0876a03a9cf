"""Keep an advice from what would be wrong: a pool for connections that belong to one client."""

from dataclasses import replace

from nginx.finding import Severity
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
