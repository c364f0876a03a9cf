"""Answers without a body: whether their connections go back to the pool, too.

Over HTTP/2 nginx 1.31.3 keeps none where an empty DATA frame ends the answer to HEAD or a 204, as Node and
Hypercorn write it; where the head ends it, that depends on when nginx reads it. A subrequest's connection is
kept only where there is no body.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import repeat
from typing import TypedDict

from bench.prove.balancing import MeasuredVerdict, verdict_of
from bench.prove.inventory import Location
from bench.prove.requests import Request
from bench.prove.testbed import NginxTestbed

_ANSWERS = {"empty 200": "empty", "204": "none"}
_ENDS = {"": "head", " ended by a DATA frame": "data"}
"""What ends such an answer over HTTP/2: both are usual."""


class BodilessJson(TypedDict):
    """What answers without a body did, in the JSON of a proof."""

    verdict: MeasuredVerdict
    requests: int
    connections: int


@dataclass(frozen=True, slots=True)
class BodilessCounts:
    """What answers of one kind without a body did."""

    requests: int
    connections: int

    @property
    def verdict(self) -> MeasuredVerdict:
        """The verdict that the counts give."""
        return verdict_of(self.connections, self.requests)

    def to_json(self) -> BodilessJson:
        """Return the counts as plain values."""
        return {"verdict": self.verdict, "requests": self.requests, "connections": self.connections}


def needs_bodiless(location: Location, request: Request) -> bool:
    """Return whether the body of an answer decides about a location's connections."""
    is_http2 = location.pass_location.protocol == "http" and any(peer.kind == "h2" for peer in location.peers)
    return is_http2 or request.is_subrequest


def measure_bodiless(
    testbed: NginxTestbed, location: Location, request: Request, count: int
) -> Mapping[str, BodilessCounts]:
    """Return what answers without a body did, by what they are; those of HEAD among them."""
    found = {}
    is_http2 = any(peer.kind == "h2" for peer in location.peers)
    for suffix, ends in _ENDS.items() if is_http2 else [("", "head")]:
        for name, answer in _ANSWERS.items():
            testbed.backends.command(location.number, "answer", answer=answer, ends=ends)
            found[name + suffix] = _count(testbed, location, request, count)
        testbed.backends.command(location.number, "answer", answer="body", ends=ends)
        if request.method == "GET" and not request.is_subrequest:
            found[f"HEAD{suffix}"] = _count(testbed, location, replace(request, method="HEAD"), count)
    testbed.backends.command(location.number, "answer", answer="body", ends="head")
    return {name: each for name, each in found.items() if each.requests}


def _count(testbed: NginxTestbed, location: Location, request: Request, count: int) -> BodilessCounts:
    # The first one may take what is in the pool.
    testbed.send(location, [request])
    before = testbed.counts_of(location.number)
    testbed.send(location, repeat(request, count))
    added = testbed.counts_of(location.number).since(before)
    return BodilessCounts(added.requests, added.accepted)
