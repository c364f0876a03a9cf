"""The verdict of a watch: its findings in the order of what hurts first, or that nothing wastes connections.

Pure: from snapshots, and from what configurations on this host say, to findings in words.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

from bench import units
from bench.watch import churn, failing, host_patterns
from bench.watch.evidence import HopGroup, collect, group
from bench.watch.finding import (
    CHURN,
    ConfiguredHop,
    Pattern,
    WatchFinding,
    WatchFindingJson,
    rate_words,
)
from bench.watch.forecast import is_loopback
from bench.watch.model import Direction, PeerHop, Snapshot, Source

NOTHING = "nothing here wastes connections"
SILENCE = "no connection carried anything, so that nothing can be said"
RECENT_S = 30.0
"""What is older is over, but for what shows slowly: a leak, and the idle race."""
_COUNTED = re.compile(r"\d[\d.,]*|s\b")
"""In which notes of one kind differ: a number, and the plural of what it counts."""
_CAUSES = frozenset({Pattern.LEAK, Pattern.PORTS_HELD})
"""What explains the connections of a hop better than churn does: it takes the place of it."""

_OF_BOTH_ENDS = CHURN | {Pattern.HEALTH_CHECKS}
"""What shows at both ends of a connection, and is told once."""


class SeenJson(TypedDict):
    """What a verdict rests on, in JSON."""

    seconds: float
    source: str
    hops: int
    opened_per_s: float
    is_lower_bound: bool
    established: int
    requests_per_s: float | None


class WatchVerdictJson(TypedDict):
    """The verdict of `bench watch` in JSON."""

    is_wasteful: bool | None
    """None: nothing can be said."""
    headline: str
    seen: SeenJson
    findings: list[WatchFindingJson]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a verdict rests on."""

    seconds: float
    source: Source
    hops: int
    opened_per_s: float
    established: int
    requests_per_s: float | None
    """None where no source was named."""
    is_silent: bool = False
    """Nothing was opened, and what is open carried nothing."""

    def sentence(self) -> str:
        """Return it in words."""
        opened = rate_words(self.opened_per_s, is_lower_bound=self.source is Source.SAMPLED)
        parts = [
            units.plural(self.hops, "hop"),
            units.plural(self.established, "established connection"),
            f"{opened} opened or accepted" if self.opened_per_s else "none opened or accepted",
        ]
        if self.requests_per_s is not None:
            parts.append(f"{units.rate(self.requests_per_s).removesuffix('/s')} requests/s")
        judged = f" Judged by the last {RECENT_S:.0f} s." if self.seconds >= 1.2 * RECENT_S else ""
        return f"Seen in {self.seconds:.0f} s: {', '.join(parts)}.{judged}"

    def to_json(self) -> SeenJson:
        """Return it as plain values."""
        return {
            "seconds": round(self.seconds, 3),
            "source": self.source.value,
            "hops": self.hops,
            "opened_per_s": round(self.opened_per_s, 2),
            "is_lower_bound": self.source is Source.SAMPLED,
            "established": self.established,
            "requests_per_s": None if self.requests_per_s is None else round(self.requests_per_s, 2),
        }


@dataclass(frozen=True, slots=True)
class WatchVerdict:
    """All findings, what hurts first at the front, and what they rest on."""

    findings: tuple[WatchFinding, ...]
    seen: Seen
    notes: tuple[str, ...] = ()
    """What limits it, a sentence each."""

    @property
    def faults(self) -> tuple[WatchFinding, ...]:
        """Return the findings that ask for a change."""
        return tuple(each for each in self.findings if each.is_fault)

    @property
    def is_wasteful(self) -> bool | None:
        """Whether something asks for a change; None where there was nothing to judge."""
        if not self.faults and self.seen.is_silent:
            return None
        return bool(self.faults)

    @property
    def headline(self) -> str:
        """Return the verdict in one line, without a full stop."""
        if not self.faults:
            return NOTHING if self.is_wasteful is False else SILENCE
        first = self.faults[0]
        more = len(self.faults) - 1
        rest = "" if not more else f", and {more} more finding{'s' if more > 1 else ''}"
        return f"{first.hop}: {first.pattern.value.replace('-', ' ')}{rest}"

    def to_json(self) -> WatchVerdictJson:
        """Return the verdict as plain values."""
        return {
            "is_wasteful": self.is_wasteful,
            "headline": self.headline,
            "seen": self.seen.to_json(),
            "findings": [each.to_json() for each in self.findings],
            "notes": list(self.notes),
        }


def judge(
    snapshots: Sequence[Snapshot], configured: Sequence[ConfiguredHop] = (), *, is_whole_host: bool = True
) -> WatchVerdict:
    """Return the verdict on `snapshots`, which follow each other and are not empty.

    Where the hops are of some processes only, `is_whole_host` is False: what the counters of the host have
    beyond those hops is then somebody else's.
    """
    recent = [each for each in snapshots if each.t_s > snapshots[-1].t_s - RECENT_S]
    groups, slow = group(collect(recent)), {each.key: each for each in group(collect(_slow(snapshots)))}
    found = [finding for each in groups for finding in _of_group(each, slow.get(each.key, each), recent)]
    found = list(_without_far_ends(found, [hop.hop for each in groups for hop in each.hops]))
    found += _of_host(recent, found, is_whole_host=is_whole_host)
    placed = (_with_configuration(each, configured) for each in found)
    notes = latest_notes(note for snapshot in recent for note in snapshot.notes)
    notes += filter(None, map(failing.unclear_resets, slow.values()))
    if (old := host_patterns.left_over(snapshots, is_whole_host=is_whole_host)) >= _MANY_LEFT:
        notes.append(f"{units.count(old)} sockets in TIME_WAIT are of connections from before the watch.")
    return WatchVerdict(
        tuple(sorted(placed, key=lambda each: each.rank)),
        _seen(snapshots, groups),
        tuple(notes),
    )


_MANY_LEFT = 300
"""A rate that is worth a word (churn.WASTEFUL_PER_S) leaves so many."""


def latest_notes(notes: Iterable[str]) -> list[str]:
    """Return the last of those notes that differ in nothing but their numbers, in the order of the first."""
    found: dict[str, str] = {}
    for note in notes:
        found[_COUNTED.sub("", note)] = note
    return list(found.values())


def _slow(snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    """Return the snapshots with those hops only that may leak, or race: what shows slowly."""
    failed = any(flow.failed for snapshot in snapshots for flow in snapshot.requests)
    ports = {
        (each.hop.direction, each.hop.port)
        for snapshot in snapshots
        for each in snapshot.hops
        if each.state.close_wait or each.flow.reset_there or each.flow.reset_after_fin or failed
    }
    if not ports:
        return [replace(snapshot, hops=()) for snapshot in snapshots]
    return [
        replace(
            snapshot,
            hops=tuple(each for each in snapshot.hops if (each.hop.direction, each.hop.port) in ports),
        )
        for snapshot in snapshots
    ]


def _of_group(group: HopGroup, slow: HopGroup, recent: Sequence[Snapshot]) -> Iterator[WatchFinding]:
    """Yield what is found on the hops of one port: no two that contradict each other.

    `slow` are the same hops over a longer time.
    """
    host = recent[-1].host
    fails = sum(snapshot.host_flow.attempt_fails for snapshot in recent)
    causes = [failing.leak(slow), failing.ports_held(group, host)]
    found = [each for each in causes if each is not None]
    found += filter(None, (failing.failed_connects(group, fails), failing.idle_race(slow)))
    if not any(each.pattern in _CAUSES for each in found) and (wasted := churn.churn(group, host)):
        found.append(wasted)
    if not found and (checks := churn.health_checks(group)):
        found.append(checks)
    yield from found


def _without_far_ends(findings: Sequence[WatchFinding], hops: Sequence[PeerHop]) -> Iterator[WatchFinding]:
    """Yield the findings but for those of an incoming hop whose other end is on this host, too.

    Both ends of such a connection are among `hops`; the one that opened it is judged.
    """
    near = {_both_ends(hop) for hop in hops if hop.direction is Direction.OUTGOING}
    for each in findings:
        is_far = bool(each.hops) and all(
            hop.direction is Direction.INCOMING and _both_ends(hop) in near for hop in each.hops
        )
        if not (is_far and each.pattern in _OF_BOTH_ENDS):
            yield each


def _both_ends(hop: PeerHop) -> tuple[str, int]:
    """Return what both hops of a connection within this host share; loopback addresses are all one."""
    return ("loopback" if is_loopback(hop.peer) else hop.peer), hop.port


def _of_host(
    snapshots: Sequence[Snapshot], found: list[WatchFinding], *, is_whole_host: bool
) -> list[WatchFinding]:
    """Return the findings about the host; those of `found` that unseen connections belong to say so then."""
    about_host = [
        each
        for pattern in (host_patterns.syn_backlog, host_patterns.conntrack, host_patterns.time_wait_overflow)
        if (each := pattern(snapshots)) is not None
    ]
    if not is_whole_host:
        # Whose backlog was full the kernel does not count: one that is named may be another process's.
        return [each for each in about_host if each.pattern is not Pattern.SYN_BACKLOG]
    if not any(each.pattern is Pattern.FAILED_CONNECTS for each in found):
        about_host += filter(None, (host_patterns.failed_connects(snapshots),))
    for direction in Direction:
        unseen = host_patterns.unseen(snapshots, direction)
        if unseen is None:
            continue
        at = next((at for at, each in enumerate(found) if _may_hold(each, direction)), None)
        if at is None:
            about_host.append(unseen)
        else:
            found[at] = replace(found[at], facts=(*found[at].facts, unseen.summary))
    return about_host


def _may_hold(finding: WatchFinding, direction: Direction) -> bool:
    """Return whether connections that no dump shows are probably those of a finding."""
    is_same = any(hop.direction is direction for hop in finding.hops)
    return is_same and finding.pattern in CHURN and finding.is_lower_bound


def _with_configuration(finding: WatchFinding, configured: Sequence[ConfiguredHop]) -> WatchFinding:
    """Return the finding with what configurations say about its hops; their fix is then the change."""
    if finding.pattern not in CHURN | {Pattern.IDLE_RACE}:
        return finding
    # Two nginx may read the same file.
    said = {
        (each.place, each.heading, each.reason): each
        for each in configured
        if each.is_failing and any(map(each.reaches, finding.hops))
    }
    about = list(said.values())
    if not about:
        return finding
    fix = next((each.fix for each in about if each.fix), "")
    return replace(finding, configured=tuple(about), change=fix or finding.change)


def _requests_seen(snapshots: Sequence[Snapshot]) -> int:
    """Return how many requests were counted, each once: a proxy takes it from a client, and passes it on.

    That of the two sides counts, and of the sources of that side the one, that counted more.
    """
    counted = Counter[tuple[Direction, str]]()
    for snapshot in snapshots:
        for flow in snapshot.requests:
            counted[flow.direction, flow.source] += flow.requests
    return max(counted.values(), default=0)


def _seen(snapshots: Sequence[Snapshot], groups: Sequence[HopGroup]) -> Seen:
    seconds = max(math.fsum(snapshot.duration_s for snapshot in snapshots), 1e-3)
    sources = {flow.source for snapshot in snapshots for flow in snapshot.requests}
    requests = _requests_seen(snapshots)
    is_exact = all(snapshot.source is Source.EXACT for snapshot in snapshots)
    # The groups may be of the last seconds only.
    hops = [each for snapshot in snapshots for each in snapshot.hops if not each.is_unattributed]
    return Seen(
        seconds,
        Source.EXACT if is_exact else Source.SAMPLED,
        sum(len(each.hops) for each in groups),
        sum(each.flow.opened for each in hops) / seconds,
        sum(each.established[-1] for each in groups),
        requests / seconds if sources else None,
        is_silent=not requests and not any(map(_carries, snapshots)),
    )


def _carries(snapshot: Snapshot) -> bool:
    """Return whether a connection was opened, or ended, or carried something, as far as it is known."""
    for each in snapshot.hops:
        flow, state = each.flow, each.state
        if flow.opened or flow.ended or flow.failed_opens:
            return True
        if state.established and not (state.idle_s and min(state.idle_s) > snapshot.duration_s):
            return True
    return False
