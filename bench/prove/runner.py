"""The course of a proof: put a configuration on the stage, find requests, send them, count, compare."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import repeat

from bench.lab import landlock
from bench.prove import balancing, requests
from bench.prove.accepting import Refusal
from bench.prove.changes import Ledger
from bench.prove.http_client import Answers, ask
from bench.prove.inventory import Scene, Spot, scene
from bench.prove.proof import Measured, Outcome, Proof, Witnesses
from bench.prove.requests import Request
from bench.prove.testbed import Client, Ended, Heard, Setting, Stage, staged
from bench.subjects.programs import Program
from nginx import versions
from nginx.model import Model
from nginx.rules import CATALOGUE, RuleContext
from nginx.rules import CheckSettings as Rules
from nginx.versions import Version

REQUESTS = 8
"""Sent to each location once a request was found that reaches it."""
_SEARCH_S = 10.0
"""The longest that requests for one location are tried: some may wait for a timeout."""
_SETTLE_S = 3.0
_POLL_S = 0.01
_LACKING = 'unknown "'


@dataclass(frozen=True, slots=True)
class Settings:
    """How a proof is run."""

    lab: str = "auto"
    close: str = "at-once"
    """When the backend closes what it was told to close: at-once, linger:MS or never."""
    client: Client = "auto"
    requests: int = REQUESTS
    given: Sequence[Request] = ()

    @property
    def stage(self) -> Setting:
        """What of it is the stage's."""
        return Setting(self.lab, self.close, self.client)


@dataclass(slots=True)
class _Reached:
    """How a location was reached, or why not, and what the client got there."""

    request: Request | None
    unreached: str
    statuses: Counter[int]


def prove(model: Model, program: Program, settings: Settings) -> Proof:
    """Runs a configuration under one nginx and returns what it did.

    RoleError where a backend or nginx does not come up, LabError where the lab does not open.
    """
    found, ledger = scene(model), Ledger()
    proof = Proof(program.path, program.version, settings.lab)
    proof.refusal = _unreadable(model, versions.parse(program.version))
    if proof.refusal is not None:
        proof.outcomes = [_unproven(spot, program, "it was not run") for spot in found.spots]
        return proof
    if not found.spots:
        proof.notes = ["no location passes anything on: there is nothing to prove"]
        return proof
    with staged(found, program, settings.stage, ledger) as stage:
        if isinstance(stage, Refusal):
            proof.refusal = stage
            proof.outcomes = [_unproven(spot, program, "nginx refuses it") for spot in found.spots]
        else:
            proof.lab = stage.place.name
            proof.notes = _notes(stage)
            _measure(stage, found, settings, proof)
    proof.changes = ledger.changes
    _take_turns(found, program, settings, proof)
    return proof


def _unreadable(model: Model, version: Version) -> Refusal | None:
    """Returns why a text is not run at all: nginx would not read it, or nobody knows what it renders to."""
    refused = CATALOGUE["NX001"].detect
    assert refused is not None
    for hit in refused(RuleContext(model, version, Rules())):
        # What a copy may lack (the variables of a module, say) is for the copy and nginx to find out.
        if _LACKING not in hit.message:
            words = hit.message.removeprefix("[emerg] ")
            return Refusal(f"nginx would refuse it: {words}", hit.place)
    for place, language in model.configuration.templates:
        return Refusal(
            f"a {language} template, and what it renders to decides; prove the rendered text", place
        )
    return None


def _notes(stage: Stage) -> list[str]:
    found = list(stage.place.notes)
    if not stage.confined:
        why = "no Landlock" if not landlock.abi_version() else "no Landlock for ports"
        found.append(f"this kernel has {why}: that nginx touches nothing rests on what was replaced")
    return found


def _measure(stage: Stage, found: Scene, settings: Settings, proof: Proof) -> None:
    """Proves one location after the other; what each gets beside its own requests is told apart."""
    own = {spot.number: _in_turn(stage, spot, found, settings) for spot in found.spots}
    counts = stage.backends.count()
    proof.witnesses = Witnesses(sum(heard.accepted for heard in counts.values()), stage.opened())
    version = versions.parse(proof.version)
    for spot in found.spots:
        how, measured = own[spot.number]
        if measured is not None:
            all_in_all = stage.heard(spot.number, counts)
            measured = replace(
                measured,
                requests_beside=all_in_all.requests - measured.requests,
                connections_beside=all_in_all.accepted - measured.connections,
            )
        proof.outcomes.append(
            Outcome(spot, spot.location.verdict(version), how.request, how.unreached, measured)
        )


def _in_turn(stage: Stage, spot: Spot, found: Scene, settings: Settings) -> tuple[_Reached, Measured | None]:
    before = _seen(stage, spot)
    how = _reach(stage, spot, found, settings)
    return how, None if how.request is None else _measured(before, _seen(stage, spot), how)


def _seen(stage: Stage, spot: Spot) -> tuple[Heard, Ended | None]:
    """Returns what is known of a location's connections, once none is being closed any more."""
    ended = _settled(stage, spot)
    return stage.heard(spot.number, stage.backends.count()), ended


def _unproven(spot: Spot, program: Program, unreached: str) -> Outcome:
    return Outcome(spot, spot.location.verdict(versions.parse(program.version)), unreached=unreached)


def _measured(
    before: tuple[Heard, Ended | None], after: tuple[Heard, Ended | None], how: _Reached
) -> Measured:
    (heard, waiting), (then, ended) = before, after
    left: tuple[int, int] | tuple[None, None] = (None, None)
    if waiting is not None and ended is not None:
        left = (
            ended.time_wait_nginx - waiting.time_wait_nginx,
            ended.time_wait_backend - waiting.time_wait_backend,
        )
    return Measured(
        requests=then.requests - heard.requests,
        connections=then.accepted - heard.accepted,
        still_open=then.still_open,
        closed=then.accepted - heard.accepted + heard.still_open - then.still_open,
        left_first=then.closed_first - heard.closed_first,
        time_wait_nginx=left[0],
        time_wait_backend=left[1],
        statuses=how.statuses,
    )


# Taking turns


def _take_turns(found: Scene, program: Program, settings: Settings, proof: Proof) -> None:
    """Runs once more what was reached and has several servers, each of them a backend of its own."""
    reached = {each.spot.number: each.request for each in proof.outcomes if each.request is not None}
    apart = {number: count for number, count in balancing.apart(found).items() if number in reached}
    if not apart:
        return
    with staged(found, program, settings.stage, Ledger(), apart=apart) as stage:
        assert isinstance(stage, Stage), "the same lines with other addresses were accepted before"
        seen = {
            number: _turns(stage, spot, reached[number], settings, proof)
            for number, spot in ((spot.number, spot) for spot in found.spots)
            if number in apart
        }
        assert proof.witnesses is not None
        accepted = sum(heard.accepted for heard in stage.backends.count().values())
        proof.witnesses += Witnesses(accepted, stage.opened())
    proof.outcomes = [replace(each, turns=seen.get(each.spot.number)) for each in proof.outcomes]


def _turns(stage: Stage, spot: Spot, request: Request, settings: Settings, proof: Proof) -> balancing.Turns:
    before = stage.heard_apart(spot.number, stage.backends.count())
    _sent(stage, spot, repeat(request, balancing.requests(spot, settings.requests)))
    after = stage.heard_apart(spot.number, stage.backends.count())
    counted = [
        (now.requests - then.requests, now.accepted - then.accepted)
        for then, now in zip(before, after, strict=True)
    ]
    return balancing.turns(spot, versions.parse(proof.version), counted)


# Reaching


def _reach(stage: Stage, spot: Spot, found: Scene, settings: Settings) -> _Reached:
    """Tries requests until one reaches the location, then sends the series; its own backends tell."""
    if spot.obstacle is not None:
        return _Reached(None, spot.obstacle, Counter())
    wanted = requests.candidates(spot, found, settings.given, settings.client)
    deadline_s = time.monotonic() + _SEARCH_S
    first, tried = Answers(), 0
    # Some locations hand over only what is a file: in the second round all that is asked for is one.
    for request in (*wanted, *(replace(each, wants_file=True) for each in wanted)):
        if time.monotonic() > deadline_s:
            break
        before = stage.heard(spot.number, stage.backends.count()).requests
        answers = _sent(stage, spot, [request])
        tried += 1
        if stage.heard(spot.number, stage.backends.count()).requests > before:
            series = _sent(stage, spot, repeat(request, settings.requests))
            return _Reached(request, "", answers.statuses + series.statuses)
        first = answers if tried == 1 else first
    said = f"; the likeliest got {first.text}{_complaint(stage)}" if tried else ""
    help_ = "say one with --request 'GET /path Host: name'"
    return _Reached(None, f"none of {tried} requests reached it{said}; {help_}", Counter())


def _sent(stage: Stage, spot: Spot, asked: Iterable[Request]) -> Answers:
    """Sends requests to the site of a location, and returns the answers."""
    listed = list(asked)
    if listed[0].wants_file:
        stage.furnish(listed[0].path)
    return stage.place.hosts["client"].call(ask, stage.doors[spot.site.number], listed)


def _complaint(stage: Stage) -> str:
    """Returns the last error that nginx wrote, which may well be about the last request."""
    words = re.sub(r"^\S+ \S+ \[\w+\] \d+#\d+: (\*\d+ )?", "", stage.nginx.exit_message)
    return f" (nginx: {words.partition(', client:')[0]})" if words else ""


def _settled(stage: Stage, spot: Spot) -> Ended | None:
    deadline_s = time.monotonic() + _SETTLE_S
    while (ended := stage.ended(spot.number)) is not None:
        if not ended.moving or time.monotonic() > deadline_s:
            return ended
        time.sleep(_POLL_S)
    return None
