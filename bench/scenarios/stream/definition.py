"""stream: a chat answer as a stream of tokens, and which settings on its way delay it or cut it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.analysis import histogram
from bench.analysis.cases import Row, Summary
from bench.experiment.definition import Bars, Column, Curves, Figures, Scenario, Settings
from bench.experiment.proxy_setup import ProxySetup
from bench.experiment.testbed import Testbed
from bench.plan.scenario_plan import Case
from bench.runs.record import TrialWarning
from bench.scenarios.stream.variants import MANNERS
from bench.subjects.nginx import Nginx
from bench.subjects.subject import Carries

_SPARE_CONNECTIONS = 16
_BOUND_S = 15.0
"""Beside the length of an answer: how long its readers may take."""
LATE_MS = 100.0
"""From when on a reader sees that the first token is late."""


@dataclass(frozen=True, slots=True)
class StreamSettings(Settings):
    """How long an answer is, and how many are read at once."""

    tokens: int = 200
    every_s: float = 0.02
    streams: int = 10
    warmup_s: float = 0.5
    browser: bool = False
    """A headless Chromium as one more reader."""


def perform(testbed: Testbed, case: Case, settings: StreamSettings) -> Figures:
    """Let all readers read an answer each, and note when the tokens came."""
    manner = MANNERS[case.variant]
    flags = ["--tokens", str(settings.tokens), "--every", str(settings.every_s)]
    flags += ["--silence", str(manner.silence_s), *(["--no-accel"] if manner.no_accel else [])]
    server = testbed.start_server("backends.scenarios.tokens.server", *flags)
    address = testbed.start_proxy(server.addresses)
    job = {
        "address": address,
        "connections": settings.streams + _SPARE_CONNECTIONS,
        "streams": settings.streams,
        "socket": manner.socket,
        "encoding": "gzip" if manner.gzip else "identity",
    }
    testbed.start_clients("bench.scenarios.stream.clients", [job])
    if settings.browser:
        path = "/?by=websocket" if manner.socket else "/"
        testbed.start_clients("bench.scenarios.client.browser", [{"address": address, "path": path}])
    answer_s = settings.tokens * settings.every_s + manner.silence_s
    told, *shown = testbed.run(settings.warmup_s, None, answer_s + _BOUND_S).done
    return _figures(told, shown, case, settings)


def proxy_setup(case: Case, settings: StreamSettings) -> ProxySetup:
    """Ask for a tunnel or a stream, for nothing special, or for nginx with the way's own settings."""
    manner, clients = MANNERS[case.variant], settings.streams + _SPARE_CONNECTIONS
    if manner.is_nginx_only:
        return ProxySetup(clients, subject=Nginx(manner.applied))
    carries = Carries() if manner.plain else Carries(upgrade=manner.socket, streams=not manner.socket)
    return ProxySetup(clients, carries=carries)


def _figures(
    told: dict[str, Any], shown: list[dict[str, Any]], case: Case, settings: StreamSettings
) -> Figures:
    expected = settings.streams * settings.tokens
    counted: dict[str, float | int | None] = {
        "tokens": told["tokens"],
        "lost": expected - told["tokens"] + told["doubled"],
        "doubled": told["doubled"],
        "cut": told["cut"],
    }
    for page in shown:
        numbers = [int(text.split(" ", 1)[0]) for _, text in page["got"] if not text.endswith(" end")]
        counted |= {"browser_tokens": len(numbers), "browser_lost": settings.tokens - len(set(numbers))}
    came = [(round(at_s, 4), float(place)) for place, at_s in enumerate(told["came_s"], 1)]
    return Figures(
        units=told["tokens"],
        figures=counted,
        times_us={name: histogram.merge([_counts(told[f"{name}_us"])]) for name in ("first", "gaps", "held")},
        curves={"tokens": came} if case.variant == "sse" or told["cut"] or _is_late(came) else {},
        warnings=[TrialWarning("doubled", f"{told['doubled']:,} tokens came twice", voids=True)]
        if told["doubled"]
        else [],
    )


def _is_late(came: Sequence[tuple[float, float]]) -> bool:
    """Return whether the first token was late: what came in time looks all alike, and needs no line each."""
    return bool(came) and came[0][0] * 1000 > LATE_MS


def _counts(pairs: Sequence[Sequence[int]]) -> dict[int, int]:
    return {pair[0]: pair[1] for pair in pairs}


def refuse(case: Case, settings: StreamSettings) -> str | None:
    """Refuse nginx's settings on other subjects, and a browser where there is none."""
    if MANNERS[case.variant].is_nginx_only and case.subject.name != "nginx":
        return "is about a setting of nginx's"
    if settings.browser:
        from bench.scenarios.client import browser  # noqa: PLC0415 - only for those who ask for it

        return browser.missing()
    return None


def conclude(summary: Summary) -> str:
    """Say what comes at once, what is held back and by how much, and what is cut."""
    rows = [row for row in summary.rows if row.value("times_ms.first.p50") is not None]
    fast = [row for row in rows if not _is_held(row) and not row.value("figures.cut")]
    held = sorted((row for row in rows if _is_held(row)), key=lambda row: -(_first(row)))
    cut = [row for row in rows if row.value("figures.cut")]
    parts = []
    if fast:
        slowest = max(_first(row) for row in fast)
        parts.append(f"The first token is there within {slowest:,.0f} ms in {len(fast)} of {len(rows)} cases")
    if held:
        told = ", ".join(f"{row.name} {_first(row) / 1000:.3g} s" for row in held)
        parts.append(f"it is held back by {told}")
    if cut:
        told = ", ".join(f"{row.name} ({row.value('figures.lost'):,.0f} tokens lost)" for row in cut)
        parts.append(f"the answer is cut by {told}")
    return ("; ".join(parts) or "No token came") + "."


def _first(row: Row) -> float:
    return row.value("times_ms.first.p50") or 0.0


def _is_held(row: Row) -> bool:
    """Return whether the first token was held back."""
    return _first(row) > LATE_MS


SCENARIO = Scenario(
    name="stream",
    title="A chat answer as a stream of tokens, and what stands in its way",
    claim="Buffering on breaks server-sent events.",
    unit="token",
    variants=tuple(manner.variant for manner in MANNERS.values()),
    settings=StreamSettings,
    columns=(
        Column("times_ms.first.p50", "first token, ms", "ms"),
        Column("times_ms.gaps.p50", "gap p50", "ms"),
        Column("times_ms.gaps.max", "max", "ms"),
        Column("times_ms.held.p50", "held back p50", "ms"),
        Column("times_ms.held.max", "max", "ms"),
        Column("bytes_per_unit.front", "bytes/token", "B"),
        Column("cpu_us_per_unit.proxy", "CPU proxy, us", "us"),
        Column("figures.cut", "answers cut"),
        Column("figures.lost", "tokens lost"),
        Column("figures.browser_tokens", "browser"),
    ),
    panels=(
        Curves("tokens", "One answer, as its reader sees it", "tokens so far", "seconds since asking"),
        Bars("times_ms.first.p50", "The first token", "milliseconds from asking, median", "ms", log=True),
        Bars("times_ms.held.max", "The longest that a token was held back", "milliseconds", "ms", log=True),
        Bars("figures.lost", "Tokens lost", "of all answers"),
    ),
    perform=perform,
    conclude=conclude,
    proxy_setup=proxy_setup,
    refuse=refuse,
    default_subjects=("direct", "nginx", "haproxy", "envoy", "caddy", "asyncio"),
    brief={
        "variants": ["sse", "http10", "http11-gzip"],
        "subjects": ["nginx"],
        "settings": {"tokens": 100, "streams": 5},
    },
)
