"""The figures and warnings of a push trial, from what its clients reported. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bench import units
from bench.experiment.definition import Figures
from bench.experiment.trial_result import TrialResult
from bench.load.counters import merge_histograms
from bench.runs.record import TrialWarning
from bench.scenarios.push import rising_rate
from bench.scenarios.push.rising_rate import RateStep
from bench.scenarios.push.settings import PushSettings

Done = Mapping[str, Any]
"""The `done` event of one client process."""
_SUMMED = ("delivered", "doubled", "reconnects", "refused", "too_large", "requests")


def compute_figures(result: TrialResult, settings: PushSettings) -> Figures:
    """Return what a trial measured."""
    clients = result.done[: settings.client_processes]
    published = int(clients[0]["published_total"])
    behind = sum(published - last for done in clients for last in done["behind"])
    figures: dict[str, Any] = {name: _sum(clients, name) for name in _SUMMED}
    delivered, requests = figures["delivered"], figures["requests"]
    figures |= {
        "published": clients[0]["published"],
        "lost": _sum(clients, "gaps") + behind,
        "stalled_delivered": _sum(clients, "stalled_delivered") if settings.stalled else None,
        "requests_per_delivery": requests / delivered if delivered else None,
        "delivered_per_s": delivered / result.window_s,
    }
    times_us: dict[str, Mapping[int, int]] = {}
    # Over a rising rate, which ends with the step that was too much, a delay means nothing.
    if not settings.find_limit:
        times_us["delay"] = merge_histograms(done["delay_us"] for done in clients)
    if settings.browser:
        page = _read_page(result.done[-1]["received"], published, result)
        figures |= {f"browser_{name}": getattr(page, name) for name in ("delivered", "lost", "doubled")}
        times_us["browser"] = page.delays_us
    if settings.find_limit:
        figures |= _find_limit(result, clients, settings)
    return Figures(delivered, figures, times_us, warnings=list(_warnings(figures, settings)))


class PageFigures(NamedTuple):
    """What the browser's page received."""

    delivered: int
    lost: int
    doubled: int
    delays_us: Mapping[int, int]


def _read_page(received: Sequence[tuple[int, str]], published: int, result: TrialResult) -> PageFigures:
    numbers, delays_us = [], Counter[int]()
    for now_ns, text in received:
        number, moment, *_ = text.split(" ", 2)
        numbers.append(int(number))
        if result.first.moment_ns <= int(moment) < result.last.moment_ns:
            # To the millisecond at best: a browser's clock is no finer.
            delays_us[max(1, (now_ns - int(moment)) // 1000)] += 1
    distinct = len(set(numbers))
    return PageFigures(len(numbers), published - distinct, len(numbers) - distinct, delays_us)


def _find_limit(
    result: TrialResult, clients: Sequence[Done], settings: PushSettings
) -> dict[str, float | None]:
    published = {int(step): count for step, count in clients[0]["published_steps"].items()}
    steps = [
        RateStep(
            rising_rate.due_in(step, settings.step_s, settings.messages_per_s),
            published[step],
            merge_histograms(done["steps_us"].get(str(step), ()) for done in clients),
        )
        for step in sorted(published)
    ]
    count, rate = rising_rate.sustained(steps, settings.subscribers, settings.step_s)
    step_ns = round(settings.step_s * 1e9)
    # The step that was too much; where none was tried after the last that was sustained, that one.
    begin_ns = result.first.moment_ns + min(count, max(0, len(steps) - 1)) * step_ns
    used = rising_rate.cores_used(result.samples, begin_ns, begin_ns + step_ns)
    return {
        "limit_per_s": rate,
        "limit_p99_ms": steps[count - 1].p99_ms if count else None,
        # Only a step that is too much ends the rise, or Ctrl-C.
        "limit_reached": int(count < rising_rate.STEPS and not result.interrupted),
        **{f"cores_at_limit_{role}": cores for role, cores in used.items()},
    }


def _warnings(figures: Mapping[str, Any], settings: PushSettings) -> Iterator[TrialWarning]:
    if figures["too_large"]:
        message = (
            f"{figures['too_large']:,} subscribers left (close code 1009): a message of"
            f" {settings.message_bytes:,} bytes is above their frame limit of {settings.frame_limit_bytes:,}"
        )
        yield TrialWarning("too-large", message, "raise frame_limit_bytes or lower message_bytes")
    if figures["lost"] or figures["doubled"]:
        message = f"{figures['lost']:,} messages were lost and {figures['doubled']:,} doubled"
        yield TrialWarning("lost", message, "the numbers of the feed tell", voids=True)
    lost, doubled = figures.get("browser_lost"), figures.get("browser_doubled")
    if lost or doubled:
        message = f"the browser lost {units.plural(lost or 0, 'message')}, {doubled:,} doubled"
        yield TrialWarning("browser-lost", message, "the numbers of the feed tell", voids=True)


def _sum(clients: Sequence[Done], name: str) -> int:
    return sum(int(done[name]) for done in clients)
