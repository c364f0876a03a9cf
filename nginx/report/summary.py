"""Sum a check up: how many locations have which answer, and what an upgrade of nginx changes."""

from collections.abc import Iterator, Sequence
from typing import get_args

from nginx.acceptance import BY
from nginx.check import FAILING, CheckResult
from nginx.tree import Place
from nginx.verdict import Answer, Verdict

ANSWERS: Sequence[Answer] = get_args(Answer)
_REUSED = frozenset({"reused", "partly reused"})
_SHARED_WRONGLY = frozenset({"NK029", "NK030", "NK031", "NK032"})


def summary(result: CheckResult, hidden: int, shown: int) -> Iterator[str]:
    """Yield the last lines of a report: the answers by version, what an upgrade changes, what is left out.

    Args:
        result: the whole result.
        hidden: how many remarks are not shown.
        shown: how many of its locations are.
    """
    total = len(result.locations)
    if not total:
        yield "no pass location here: nothing is sent to an upstream server"
    for version in result.versions if total else ():
        answers = [location.verdicts[version].answer for location in result.locations]
        counts = [f"{answers.count(answer)} {answer}" for answer in ANSWERS if answer in answers]
        yield f"nginx {version}: of {_count(total, 'location')}, {', '.join(counts)}"
    if total and len(result.versions) > 1:
        old, new = result.versions[0], result.versions[-1]
        shared = _shared_since(result, old, new)
        pairs = [(each.verdicts[old], each.verdicts[new]) for each in result.locations]
        right = [pair for pair, each in zip(pairs, result.locations, strict=True) if each.place not in shared]
        yield _format_upgrade(old, new, right, len(shared))
    if total > shown:
        yield f"{_count(total - shown, 'location')} not shown in which nothing fails"
    for by in BY:
        if count := sum(each.by == by for each in result.accepted):
            yield f"{_count(count, 'finding')} not shown, accepted by {by}"
    if hidden:
        yield f"{_count(hidden, 'remark')} not shown (--show info shows all)"
    if any(verdict.answer in _REUSED for each in result.locations for verdict in each.verdicts.values()):
        yield from (f"assumed: {each}" for each in result.assumptions)


def _shared_since(result: CheckResult, old: str, new: str) -> set[Place]:
    """Return the locations that share connections wrongly under the new version, and not under the old."""
    return {
        place
        for finding in result.findings
        if finding.rule in _SHARED_WRONGLY and new in finding.versions and old not in finding.versions
        for place in finding.passes
    }


def _format_upgrade(old: str, new: str, pairs: list[tuple[Verdict, Verdict]], shared: int) -> str:
    """Return what changes from the first version to the last."""
    broken = [(before, after) for before, after in pairs if before.answer in FAILING]
    repaired = sum(after.answer == "reused" for _, after in broken)
    left = sum(after.answer in FAILING for _, after in broken)
    lost = sum(before.answer not in FAILING and after.answer in FAILING for before, after in pairs)
    unsure = sum(before.answer != "depends" == after.answer for before, after in pairs)
    sure = sum(before.answer == "depends" and after.answer == "reused" for before, after in pairs)
    other_side = sum(after.closes_first not in {None, before.closes_first} for before, after in broken)
    parts = {
        f"repairs {repaired or 'none'} of {_count(len(broken), 'location')} without reuse": len(broken),
        f"{left} stay{'s' if left == 1 else ''} as broken": left and repaired,
        f"{lost} lose{'s' if lost == 1 else ''} reuse": lost,
        f"in {unsure} it then depends": unsure,
        f"{sure} that depend{'s is' if sure == 1 else ' are'} then reused": sure,
        f"in {other_side} another side closes first": other_side,
        f"in {shared} connections are then shared that must not be": shared,
    }
    text = "; ".join(part for part, number in parts.items() if number)
    if not text:
        is_all = all(after.answer == "reused" for _, after in pairs)
        return f"from {old} to {new} nothing changes{': all connections are reused' if is_all else ''}"
    return f"an upgrade from {old} to {new}{'' if broken else ':'} {text}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number != 1 else ''}"
