"""After how much idle time a server ends its connections: the watch, and what it amounts to."""

import asyncio
import math
from dataclasses import dataclass

from bench.probe import estimate, silence
from bench.probe.client import ProbeClient
from bench.probe.exchange import NoAnswer, ProbeRequest
from bench.probe.limits import SCOUT_REQUESTS, LimitReached
from bench.probe.model import Ending, IdleTimeout
from bench.probe.progress import Report
from bench.probe.watching import IdleWait, IdleWatch

_ERROR_S = 0.002
"""The error of a moment on an idle machine, beside the way to the server."""
_CHECKED = 2
"""Connections that are asked at the end, where none was ended."""
_SHOWN_BYTES = 40


@dataclass(frozen=True, slots=True)
class IdleFindings:
    """The idle times of a server; None where it did not show."""

    after_response: IdleTimeout | None
    before_request: IdleTimeout | None
    http2: IdleTimeout | None = None
    notes: tuple[str, ...] = ()


async def measure_idle(
    client: ProbeClient,
    request: ProbeRequest,
    max_requests: int | None,
    http2: list[IdleWait],
    report: Report,
) -> IdleFindings:
    """Watch connections until the server ends them, or `max_s` of the settings has passed.

    `max_requests` is how many requests the server takes on one connection, as far as known; `http2` are
    connections that wait already.
    """
    is_scouted = max_requests is None or max_requests > SCOUT_REQUESTS
    scout = silence.Scout(client, request, client.settings.max_s) if is_scouted else None
    watch = IdleWatch(client, request, scout, http2, report)
    try:
        await watch.run()
        if watch.is_silent:
            after: IdleTimeout | None = await _bisect(client, request, watch)
        elif watch.ended:
            after = _judge(watch.ended, watch.waits, _error_s(client, watch))
        else:
            after = await _check(client, request, watch)
        before = _judge(_ended(watch.blanks), watch.blanks, _error_s(client, watch))
        in_http2 = _judge(_ended(http2), http2, _error_s(client, watch))
        notes = [*watch.notes, *_find_last_words(watch)]
        return IdleFindings(after, before, in_http2, tuple(dict.fromkeys(notes)))
    finally:
        watch.close()


def _error_s(client: ProbeClient, watch: IdleWatch) -> float:
    return client.round_trip_s + watch.lateness_s + _ERROR_S


def _down(seconds: float) -> float:
    """Return whole milliseconds, as a lower bound."""
    return math.floor(1000 * seconds) / 1000


def _up(seconds: float) -> float:
    """Return whole milliseconds, as an upper bound."""
    return math.ceil(1000 * seconds) / 1000


def _ended(waits: list[IdleWait]) -> list[IdleWait]:
    return [wait for wait in waits if wait.ended_s is not None]


def _judge(ended: list[IdleWait], waits: list[IdleWait], error_s: float) -> IdleTimeout | None:
    """Return what `ended` show, and those of `waits` that the server has left open."""
    now_s = asyncio.get_running_loop().time()
    open_s = [now_s - wait.since_s for wait in waits if wait.ended_s is None]
    if not ended:
        return IdleTimeout(_down(max(open_s)), None) if open_s else None
    seen_s = sorted(wait.ended_s or 0.0 for wait in ended)
    low_s, high_s = estimate.estimate(seen_s, error_s)
    endings = [wait.ending for wait in ended]
    return IdleTimeout(
        low_s=_down(low_s),
        high_s=_up(max([high_s, *open_s])),
        seen_s=tuple(round(each, 3) for each in seen_s),
        ending=max(endings, key=endings.count),
    )


async def _bisect(client: ProbeClient, request: ProbeRequest, watch: IdleWatch) -> IdleTimeout:
    """Return the bounds of the time after which connections are dropped in silence."""
    assert watch.scout is not None
    assert watch.scout.failed_s is not None
    bounds_s = (watch.scout.lasted_s, watch.scout.failed_s)
    low_s, high_s = await silence.bisect(client, request, bounds_s, watch.until_s, watch.tick)
    error_s = _error_s(client, watch)
    return IdleTimeout(_down(max(0.0, low_s - error_s)), _up(high_s + error_s), ending=Ending.SILENCE)


async def _check(client: ProbeClient, request: ProbeRequest, watch: IdleWatch) -> IdleTimeout | None:
    """Ask on the connections that waited longest whether they still work."""
    clock = asyncio.get_running_loop().time
    lasted_s = None if watch.scout is None else watch.scout.lasted_s
    for wait in watch.waits[:_CHECKED]:
        waited_s = clock() - wait.since_s
        try:
            await client.ask(wait.connection, request, silence.patience_s(client))
        except LimitReached:
            break
        except NoAnswer:
            return IdleTimeout(_down(lasted_s or 0.0), _up(waited_s), ending=Ending.SILENCE)
        lasted_s = max(waited_s, lasted_s or 0.0)
    return None if lasted_s is None else IdleTimeout(_down(lasted_s), None)


def _find_last_words(watch: IdleWatch) -> list[str]:
    """Return notes about what came on idle connections before their end, such as a 408."""
    notes = []
    for waits, which in ((watch.blanks, "without a request"), (watch.waits, "after a response")):
        said = [data for wait in waits if (data := wait.connection.take())]
        if said:
            line = said[0].split(b"\r\n")[0][:_SHOWN_BYTES].decode("latin-1")
            notes.append(f"on an idle connection {which} it sends {line!r} before it ends it")
    return notes
