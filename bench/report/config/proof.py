"""Format proofs as plain text: what was predicted and measured, and what was changed to run it."""

import textwrap
from collections.abc import Iterator, Sequence

from bench import units
from bench.prove.balancing import Balancing
from bench.prove.proof import LocationResult, Measurement, Proof
from bench.prove.requests import Request
from bench.report.config.proof_details import detail_rows
from bench.report.text_table import prose_width
from nginx.tree import Place
from nginx.verdict import Verdict

_CLOSES = {"at-once": "at once", "never": "never"}
_PLACES_SHOWN = 6
_SERVERS_SHOWN = 6


def format_proofs(found: Sequence[Proof], close: str) -> str:
    """Return what each nginx did, and then what was changed."""
    lines = [line for proof in found for line in (*_format_proof(proof, close), "")]
    changes = _format_changes(found)
    summaries = [line for proof in found for line in _wrapped(summarize(proof), "", 2)]
    return "\n".join([*lines, *changes, *([""] if changes else []), *summaries]) + "\n"


def _format_proof(proof: Proof, close: str) -> Iterator[str]:
    delay = _CLOSES.get(close) or f"after {close.removeprefix('linger:').removesuffix('ms')} ms"
    yield f"nginx {proof.version} ({proof.program})"
    yield f"lab: {proof.lab}; backends that are told to close do so {delay}"
    for note in proof.notes:
        yield from _wrapped(f"! {note}", "  ")
    if proof.rejection is not None:
        yield from _wrapped(f"REJECTED {proof.rejection}", "  ")
        return
    for result in proof.results:
        yield ""
        yield from _format_result(result)


def _format_result(result: LocationResult) -> Iterator[str]:
    passing = result.location.pass_location
    yield f"  {passing.context} -> {passing.target} ({passing.directive.place})"
    for label, text in format_rows(result):
        yield from _wrapped(f"{label:<10} {text}", "      ", 11)


def format_rows(result: LocationResult) -> Iterator[tuple[str, str]]:
    """Yield a label and a text for each thing that is known of a location."""
    yield "predicted", _format_verdict(result.predicted)
    if result.measured is None:
        yield "measured", f"nothing: {result.unreached}"
        return
    without = f"NOT PROVEN: {result.not_proven}; without it " if result.left_out else ""
    yield "measured", without + _format_measurement(result.measured)
    if result.request is not None:
        yield "request", _format_request(result.request)
    if result.balancing is not None:
        yield "balancing", _format_balancing(result.balancing)
    yield from detail_rows(result)
    if result.is_stressed:
        yield from (
            ("FAILS", f"{what}: {units.plural(count, 'request')}") for what, count in result.failures.items()
        )
    if result.disagreement is not None:
        yield "DISAGREE", f"{result.disagreement}: a bug of bench, please report it"


def _format_request(request: Request) -> str:
    version = " over HTTP/2" if request.is_http2 else ""
    subrequest = ", whose subrequest it is" if request.is_subrequest else ""
    location = ", through a location that was added" if request.uses_added_location else ""
    file = ", with a file of that name, which was added" if request.uses_added_file else ""
    return f"{request}{version}{subrequest}{location}{file}"


def _format_verdict(verdict: Verdict) -> str:
    if verdict.answer == "depends":
        return verdict.reason
    if verdict.share is not None:
        return f"{verdict.answer}: {verdict.share}"
    if verdict.closes_first is None:
        return verdict.answer
    side = "either side" if verdict.closes_first == "race" else verdict.closes_first
    return f"{verdict.answer}; {side} closes first"


def _format_measurement(measured: Measurement) -> str:
    opened = _format_opened(measured.connections, measured.requests)
    sides = measured.closed_first
    waiting = f"TIME_WAIT {sides['nginx']:,} at nginx, {sides['backend']:,} at the backend"
    if measured.reset:
        waiting += f" ({measured.reset:,} reset)"
    failed = {status: count for status, count in measured.statuses.items() if not 200 <= status < 300}
    statuses = "".join(f"; status {status} {units.plural(count, 'time')}" for status, count in failed.items())
    others = ""
    if measured.other_requests:
        others = f"; {_format_opened(measured.other_connections, measured.other_requests)}"
        others += " through other locations"
    return f"{measured.verdict}; {opened}; {waiting}{statuses}{others}"


def _format_balancing(balancing: Balancing) -> str:
    servers = [f"{each.server}: {each.connections:,} for {each.requests:,}" for each in balancing.servers]
    more = len(servers) - _SERVERS_SHOWN
    shown = "; ".join(servers[:_SERVERS_SHOWN] + ([f"{more} more"] if more > 0 else []))
    text = f"{_format_opened(balancing.connections, balancing.requests)} ({shown})"
    if balancing.is_pool_too_small:
        text += f": a pool of {balancing.pool} cannot hold a connection for each of them (NK022)"
    return text


def _format_opened(connections: int, requests: int) -> str:
    return f"{units.plural(connections, 'connection')} for {units.plural(requests, 'request')}"


# What was changed


def _format_changes(found: Sequence[Proof]) -> list[str]:
    """Return what was changed, of all proofs together: most of it is the same for each nginx."""
    by_reason: dict[tuple[str, str], dict[str, list[Place]]] = {}
    for change in (change for proof in found for change in proof.changes):
        places = by_reason.setdefault((change.kind, change.why), {}).setdefault(change.what, [])
        places += [place for place in change.places if place not in places]
    files = {place.file for named in by_reason.values() for places in named.values() for place in places}
    lines = ["Changed to run it safely:"] if by_reason else []
    for (kind, why), named in by_reason.items():
        what = ", ".join(f"{name}{_format_places(places, len(files) == 1)}" for name, places in named.items())
        lines += _wrapped(f"{kind}: {what}: {why}", "  ", 2)
    return lines


def _format_places(places: Sequence[Place], is_one_file: bool) -> str:
    if not places:
        return ""
    if is_one_file:
        return f" (line{'s' if len(places) > 1 else ''} {_format_lines([place.line for place in places])})"
    by_file: dict[str, list[int]] = {}
    for place in places:
        by_file.setdefault(place.file, []).append(place.line)
    return f" ({'; '.join(f'{file}:{_format_lines(lines)}' for file, lines in by_file.items())})"


def _format_lines(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:_PLACES_SHOWN]))
    return shown if len(numbers) <= _PLACES_SHOWN else f"{shown} and {len(numbers) - _PLACES_SHOWN} more"


# The summary


def summarize(proof: Proof) -> str:
    """Return one sentence about what one nginx did."""
    name = f"nginx {proof.version}"
    if proof.rejection is not None:
        return f"{name}: not proven, {proof.rejection}"
    proven = sum(result.is_proven for result in proof.results)
    share = f"{proven} of {units.plural(len(proof.results), 'location')}"
    if not proven:
        return f"{name}: nothing was proven ({share}){_summarize_left_out(proof)}"
    verdict = "check and traffic agree"
    if proof.disagreements:
        verdict = f"check and traffic DISAGREE on {len(proof.disagreements)}"
    if proof.failing:
        verdict += f"; {units.plural(len(proof.failing), 'location')} with ERRORS for clients"
    return f"{name}: {share} proven; {verdict}{_summarize_witnesses(proof)}{_summarize_left_out(proof)}"


def _summarize_left_out(proof: Proof) -> str:
    names = dict.fromkeys(line.name for result in proof.results for line in result.left_out)
    return f"; not proven without {', '.join(names)}" if names else ""


def _summarize_witnesses(proof: Proof) -> str:
    witnesses = proof.witnesses
    if witnesses is None or witnesses.kernel is None:
        return ""
    if witnesses.agree:
        counted = units.plural(witnesses.backend, "connection")
        return f"; in all runs, backends and kernel count the same {counted}"
    return (
        f"; WITNESSES DISAGREE: the backends accepted {witnesses.backend},"
        f" nginx's host opened {witnesses.kernel}"
    )


def _wrapped(text: str, indent: str, hanging: int = 0) -> list[str]:
    return textwrap.wrap(
        text,
        prose_width(),
        initial_indent=indent,
        subsequent_indent=indent + " " * hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
