"""The figures and warnings of a migration trial, from what its client reported. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bench.experiment.definition import Figures
from bench.runs.record import TrialWarning
from bench.scenarios.migration.settings import MigrationSettings

Arrival = tuple[float, int]
"""When a token came, in seconds from the first connect, and its number."""


class Outage(NamedTuple):
    """When the client's address was gone, in seconds from the first connect, and for how long."""

    at_s: float
    outage_s: float

    @property
    def end_s(self) -> float:
        """Return when the new address was there."""
        return self.at_s + self.outage_s


class AnswerArrivals(NamedTuple):
    """An answer as it arrived."""

    received: int
    """Tokens, each counted once."""
    doubled: int
    silence_s: float
    """The longest time without a new token; where some never came, up to the end of the watch."""
    curve: list[tuple[float, float]]
    """How many tokens there were, over time; ends with the watch."""


def summarize_arrivals(arrivals: Sequence[Arrival], tokens: int, watched_s: float) -> AnswerArrivals:
    """Return what `arrivals`, in the order of time, mean for an answer that was watched for `watched_s`."""
    seen: set[int] = set()
    curve: list[tuple[float, float]] = []
    silence_s = 0.0
    for at_s, number in arrivals:
        if number in seen:
            continue
        seen.add(number)
        if curve:
            silence_s = max(silence_s, at_s - curve[-1][0])
        curve.append((at_s, float(len(seen))))
    last_s = curve[-1][0] if curve else 0.0
    if len(seen) < tokens:
        silence_s = max(silence_s, watched_s - last_s)
    if watched_s > last_s:
        curve.append((watched_s, float(len(seen))))
    return AnswerArrivals(len(seen), len(arrivals) - len(seen), silence_s, curve)


def allowed_s(outage_s: float, settings: MigrationSettings) -> float:
    """Return the silence that a connection may show which survives a change of address.

    The outage, a round trip to say where the client is now, one to learn what was lost, the time between two
    tokens, and 20 ms for two busy processes.
    """
    return outage_s + 2 * settings.round_trip_s + settings.every_s + 0.02


def compute_figures(
    done: Mapping[str, Any], settings: MigrationSettings, outage: Outage, counted: Mapping[str, int | None]
) -> Figures:
    """Return what a trial measured; `counted` is what the other side counted."""
    arrivals = [(at_s, number) for at_s, number in done["arrivals"]]
    answer = summarize_arrivals(arrivals, settings.tokens, settings.watch_s)
    first_s = next((at_s for at_s, _ in arrivals if at_s > outage.end_s), None)
    return Figures(
        units=answer.received,
        figures={
            "received": answer.received,
            "lost": settings.tokens - answer.received,
            "survived": int(answer.received == settings.tokens),
            "silence_ms": answer.silence_s * 1000,
            "moved_s": outage.at_s,
            "outage_ms": outage.outage_s * 1000,
            "allowed_ms": allowed_s(outage.outage_s, settings) * 1000,
            "first_after_ms": None if first_s is None else (first_s - outage.end_s) * 1000,
            "connections": done["connections"],
            **counted,
        },
        curves={"tokens": answer.curve},
        warnings=list(_warnings(answer.doubled, done["connections"], counted.get("quic"))),
        is_paced=True,
    )


def _warnings(doubled: int, connections: int, counted: int | None) -> Iterator[TrialWarning]:
    if doubled:
        yield TrialWarning("doubled", f"{doubled} tokens came twice", voids=True)
    if counted not in (None, 0, connections):
        message = f"the client made {connections} QUIC connections, the other side saw {counted}"
        yield TrialWarning("witnesses-disagree", message)
