"""What the client processes of a push trial told, brought together: figures and warnings. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bench.analysis import histogram
from bench.experiment.definition import Figures
from bench.experiment.trial_result import TrialResult
from bench.runs.record import TrialWarning
from bench.scenarios.push import rising_rate as limit
from bench.scenarios.push.rising_rate import Step
from bench.scenarios.push.settings import PushSettings

Told = Mapping[str, Any]
"""The last words of one client process."""


def figures(result: TrialResult, settings: PushSettings, browser: Told | None) -> Figures:
    """Return what a trial measured."""
    clients = result.done[: settings.client_processes]
    published = int(clients[0]["published_total"])
    missing = sum(published - last for told in clients for last in told["behind"])
    delivered = _sum(clients, "delivered")
    requests = _sum(clients, "requests")
    counted: dict[str, float | int | None] = {
        "delivered": delivered,
        "published": clients[0]["published"],
        "lost": _sum(clients, "gaps") + missing,
        "doubled": _sum(clients, "doubled"),
        "reconnects": _sum(clients, "reconnects"),
        "refused": _sum(clients, "refused"),
        "too_large": _sum(clients, "too_large"),
        "stalled_delivered": _sum(clients, "stalled_delivered") if settings.stalled else None,
        "requests": requests,
        "requests_per_delivery": requests / delivered if delivered else None,
        "delivered_per_s": delivered / ((result.last.moment_ns - result.first.moment_ns) / 1e9),
    }
    shown = None if browser is None else _shown(browser["got"], published, result)
    if shown is not None:
        counted |= {"browser_delivered": shown.delivered, "browser_lost": shown.lost}
        counted |= {"browser_doubled": shown.doubled}
    if settings.find_limit:
        counted |= _limit(result, clients, settings)
    delays = histogram.merge(_counts(told["delay_us"]) for told in clients)
    return Figures(
        units=delivered,
        figures=counted,
        times_us={"delay": delays} | ({} if shown is None else {"browser": shown.delays_us}),
        warnings=list(_warnings(counted, settings)),
    )


class Shown(NamedTuple):
    """What the browser's page got."""

    delivered: int
    lost: int
    doubled: int
    delays_us: Mapping[int, int]


def _shown(got: Sequence[tuple[int, str]], published: int, result: TrialResult) -> Shown:
    numbers, delays_us = [], Counter[int]()
    for now_ns, text in got:
        number, moment, *_ = text.split(" ", 2)
        numbers.append(int(number))
        if result.first.moment_ns <= int(moment) < result.last.moment_ns:
            # To the millisecond at best: a browser's clock is no finer.
            delays_us[max(1, (now_ns - int(moment)) // 1000)] += 1
    return Shown(len(numbers), published - len(set(numbers)), len(numbers) - len(set(numbers)), delays_us)


def _limit(result: TrialResult, clients: Sequence[Told], settings: PushSettings) -> dict[str, float | None]:
    published = {int(step): count for step, count in clients[0]["published_steps"].items()}
    steps = [
        Step(
            limit.due_in(step, settings.step_s, settings.messages_per_s),
            published[step],
            histogram.merge(_counts(told["steps_us"].get(str(step), ())) for told in clients),
        )
        for step in sorted(published)
    ]
    count, rate = limit.kept(steps, settings.subscribers, settings.step_s)
    step_ns = round(settings.step_s * 1e9)
    # The step that was too much; where none was tried after the last that was kept, that one.
    begin_ns = result.first.moment_ns + min(count, max(0, len(steps) - 1)) * step_ns
    used = limit.cores_used(result.samples, begin_ns, begin_ns + step_ns)
    return {
        "limit_per_s": rate,
        "limit_p99_ms": steps[count - 1].p99_ms if count else None,
        # It ends by itself at what is too much only, unless somebody stops it.
        "limit_reached": int(count < limit.STEPS and not result.interrupted),
        **{f"cores_at_limit_{role}": cores for role, cores in used.items()},
    }


def _warnings(counted: Mapping[str, Any], settings: PushSettings) -> Iterator[TrialWarning]:
    if counted["too_large"]:
        yield TrialWarning(
            "too-large",
            f"{counted['too_large']:,} subscribers left (close code 1009): a message of"
            f" {settings.message_bytes:,} bytes is above their frame limit of"
            f" {settings.frame_limit_bytes:,}",
            "raise frame_limit_bytes or lower message_bytes",
        )
    if counted["lost"] or counted["doubled"]:
        said = f"{counted['lost']:,} messages were lost and {counted['doubled']:,} doubled"
        yield TrialWarning("lost", said, "the numbers of the feed tell", voids=True)
    if counted.get("browser_lost") or counted.get("browser_doubled"):
        said = (
            f"the browser lost {counted['browser_lost']:,} messages, {counted['browser_doubled']:,} doubled"
        )
        yield TrialWarning("browser-lost", said, "the numbers of the feed tell", voids=True)


def _sum(clients: Sequence[Told], name: str) -> int:
    return sum(int(told[name]) for told in clients)


def _counts(pairs: Sequence[Sequence[int]]) -> dict[int, int]:
    return {pair[0]: pair[1] for pair in pairs}
