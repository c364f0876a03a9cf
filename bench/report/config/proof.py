"""Proofs as plain text: predicted beside measured, and what was changed to run it. No printing."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from bench.prove.balancing import Share, Turns
from bench.prove.changes import Change
from bench.prove.proof import Measured, Outcome, Proof
from bench.prove.requests import Request
from nginx.tree import Place
from nginx.verdict import Verdict

_WIDTH = 100
_CLOSES = {"at-once": "at once", "never": "never"}
_PLACES_SHOWN = 6
_SERVERS_SHOWN = 6


def proofs(found: Sequence[Proof], close: str) -> str:
    """Returns what each nginx did, and then what was changed."""
    lines = [line for proof in found for line in (*_proof(proof, close), "")]
    changes = _changes(found)
    sums = [line for proof in found for line in _folded(_sum(proof), "", 2)]
    return "\n".join([*lines, *changes, *([""] if changes else []), *sums]) + "\n"


def _proof(proof: Proof, close: str) -> Iterator[str]:
    yield f"nginx {proof.version} ({proof.program})"
    yield f"lab: {proof.lab}; backends that are told to close do so {_closing(close)}"
    for note in proof.notes:
        yield from _folded(f"! {note}", "  ")
    if proof.refusal is not None:
        yield from _folded(f"REFUSED {proof.refusal}", "  ")
        return
    for outcome in proof.outcomes:
        yield ""
        yield from _outcome(outcome)


def _closing(close: str) -> str:
    return _CLOSES.get(close) or f"after {close.removeprefix('linger:').removesuffix('ms')} ms"


def _outcome(outcome: Outcome) -> Iterator[str]:
    location = outcome.spot.location
    yield f"  {location.context} -> {location.target} ({location.directive.place})"
    yield from _folded(f"predicted  {_predicted(outcome.predicted)}", "      ", 11)
    if outcome.measured is None:
        yield from _folded(f"measured   nothing: {outcome.unreached}", "      ", 11)
        return
    yield from _folded(f"measured   {_measured(outcome.measured)}", "      ", 11)
    yield from _folded(f"by         {outcome.request}{_helped(outcome.request)}", "      ", 11)
    if outcome.turns is not None:
        yield from _folded(f"in turn    {_turns(outcome.turns)}", "      ", 11)
    if outcome.disagreement is not None:
        yield from _folded(
            f"DISAGREE   {outcome.disagreement}: a bug of bench, please report it", "      ", 11
        )


def _helped(request: Request | None) -> str:
    if request is None:
        return ""
    version = " over HTTP/2" if request.is_http2 else ""
    entrance = ", by an entrance of this run's" if request.is_entrance else ""
    return version + entrance + (", with a file of that name" if request.wants_file else "")


def _predicted(verdict: Verdict) -> str:
    if verdict.answer == "depends":
        return verdict.reason
    if verdict.closes_first is None:
        return verdict.answer
    side = verdict.closes_first
    closing = "a race who closes first" if side == "race" else f"{side} closes first"
    return f"{verdict.answer}; {closing}"


def _measured(measured: Measured) -> str:
    opened = f"{_count(measured.connections, 'connection')} for {_count(measured.requests, 'request')}"
    sides = measured.closed_first
    waiting = f"TIME_WAIT {sides['nginx']} at nginx, {sides['backend']} at the backend"
    if measured.reset:
        waiting += f" ({measured.reset} reset)"
    others = {status: count for status, count in measured.statuses.items() if not 200 <= status < 300}
    odd = "".join(f"; status {status} {count} times" for status, count in others.items())
    beside = ""
    if measured.requests_beside:
        others_opened = _count(measured.connections_beside, "connection")
        asked = _count(measured.requests_beside, "request")
        beside = f"; beside them, {others_opened} for {asked} on behalf of other locations"
    return f"{measured.answer}; {opened}; {waiting}{odd}{beside}"


def _turns(turns: Turns) -> str:
    opened = f"{_count(turns.connections, 'connection')} for {_count(turns.requests, 'request')}"
    shown = [_share(share) for share in turns.shares[:_SERVERS_SHOWN]]
    more = len(turns.shares) - len(shown)
    said = f"{opened} ({'; '.join([*shown, *([f'{more} more'] if more else [])])})"
    if turns.is_crowded:
        said += f": a pool of {turns.pool} holds no connection for each of them (NK022)"
    return said


def _share(share: Share) -> str:
    return f"{share.server}: {share.connections} for {share.requests}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


# What was changed


def _changes(found: Sequence[Proof]) -> list[str]:
    """Returns what was changed, of all proofs together: most of it is the same for each nginx."""
    by_reason: dict[tuple[str, str], dict[str, list[Place]]] = {}
    for change in (change for proof in found for change in proof.changes):
        _gather(change, by_reason)
    files = {place.file for named in by_reason.values() for places in named.values() for place in places}
    lines = ["To run it without harm:"] if by_reason else []
    for (kind, why), named in by_reason.items():
        what = ", ".join(f"{name}{_at(places, len(files) == 1)}" for name, places in named.items())
        lines += _folded(f"{kind}: {what}: {why}", "  ", 2)
    return lines


def _gather(change: Change, by_reason: dict[tuple[str, str], dict[str, list[Place]]]) -> None:
    places = by_reason.setdefault((change.kind, change.why), {}).setdefault(change.what, [])
    places += [place for place in change.places if place not in places]


def _at(places: Sequence[Place], is_one_file: bool) -> str:
    if not places:
        return ""
    if is_one_file:
        return f" (line{'s' if len(places) > 1 else ''} {_lines([place.line for place in places])})"
    by_file: dict[str, list[int]] = {}
    for place in places:
        by_file.setdefault(place.file, []).append(place.line)
    return f" ({'; '.join(f'{file}:{_lines(lines)}' for file, lines in by_file.items())})"


def _lines(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:_PLACES_SHOWN]))
    return shown if len(numbers) <= _PLACES_SHOWN else f"{shown} and {len(numbers) - _PLACES_SHOWN} more"


# What it comes to


def _sum(proof: Proof) -> str:
    name = f"nginx {proof.version}"
    if proof.refusal is not None:
        return f"{name}: not proven, {proof.refusal}"
    proven = sum(outcome.measured is not None for outcome in proof.outcomes)
    of = f"{proven} of {_count(len(proof.outcomes), 'location')}"
    if not proof.outcomes or not proven:
        return f"{name}: nothing was proven ({of})"
    verdict = "check and traffic agree"
    if proof.disagreements:
        verdict = f"check and traffic DISAGREE on {len(proof.disagreements)}"
    return f"{name}: {of} proven; {verdict}{_witnessed(proof)}"


def _witnessed(proof: Proof) -> str:
    seen = proof.witnesses
    if seen is None or seen.kernel is None:
        return ""
    if seen.agree:
        return f"; backends and kernel count the same {_count(seen.backend, 'connection')}"
    return f"; WITNESSES DISAGREE: the backends accepted {seen.backend}, nginx's host opened {seen.kernel}"


def _folded(text: str, indent: str, hanging: int = 0) -> list[str]:
    further = indent + " " * hanging
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=indent,
        subsequent_indent=further,
        break_long_words=False,
        break_on_hyphens=False,
    )
