"""push: how a message gets from one publisher to many subscribers, polled or pushed, and at what cost."""

from __future__ import annotations

from dataclasses import dataclass

from bench.analysis import histogram
from bench.plan import Mode
from bench.record import Caution
from bench.scenarios.scenario import (
    Bars,
    Case,
    Column,
    Distribution,
    Figures,
    Scenario,
    Settings,
    Way,
)
from bench.scenarios.stage import Stage
from bench.scenarios.summary import Summary
from bench.subjects.subject import Carries

_LONG = ("sse", "long-poll", "websocket")
"""The ways whose responses are long in coming, or never end."""
_CLIENT_CONNECTIONS = 2
"""Beside one for each subscriber: the publisher's, and one to spare."""


@dataclass(frozen=True, slots=True)
class PushSettings(Settings):
    """How many subscribe, how often something is published, how often pollers ask."""

    subscribers: int = 300
    messages_per_s: float = 1.0
    poll_every_s: float = 0.5
    warmup_s: float = 1.0
    duration_s: float = 6.0


def perform(stage: Stage, case: Case, settings: PushSettings) -> Figures:
    """Let one publisher and all subscribers play one way, and add up what was delivered."""
    server = stage.serve("backends.push")
    is_short = case.way == "short-poll-new"
    address = stage.front(
        case,
        server.addresses,
        settings.subscribers + _CLIENT_CONNECTIONS,
        mode=Mode.SHORT if is_short else Mode.KEEPALIVE,
        carries=Carries(upgrade=case.way == "websocket", streams=case.way in _LONG),
    )
    job = {
        "way": case.way,
        "address": address,
        "connections": settings.subscribers + _CLIENT_CONNECTIONS,
        "subscribers": settings.subscribers,
        "messages_per_s": settings.messages_per_s,
        "poll_every_s": settings.poll_every_s,
    }
    stage.clients("bench.scenarios.push.clients", [job])
    played = stage.play(settings.warmup_s, settings.duration_s)
    told = played.done[0]
    delivered = int(told["delivered"])
    return Figures(
        units=delivered,
        figures={
            "delivered": delivered,
            "published": told["published"],
            "lost": told["lost"],
            "doubled": told["doubled"],
            "reconnects": told["reconnects"],
            "requests": told["requests"],
            "requests_per_delivery": told["requests"] / delivered if delivered else None,
        },
        times_us={"delay": histogram.merge([dict(told["delay_us"])])},
        cautions=_doubts(told),
    )


def _doubts(told: dict[str, int]) -> list[Caution]:
    if told["lost"] or told["doubled"]:
        said = f"{told['lost']:,} messages were lost and {told['doubled']:,} doubled"
        return [Caution("lost", said, "a subscriber missed numbers of the feed", voids=True)]
    return []


def conclude(summary: Summary) -> str:
    """Say what each way cost for a delivered message, and how late it was."""
    parts = []
    for row in summary.rows:
        late, asked = row.value("times_ms.delay.p50"), row.value("figures.requests_per_delivery")
        cpu = row.value("cpu_us_per_unit.backend")
        if late is not None and asked is not None and cpu is not None:
            parts.append(
                f"{row.name} delivers after {late:,.3g} ms (median) with {asked:.2g} requests"
                f" and {cpu:,.0f} us of server CPU a message"
            )
    return "; ".join(parts) + "."


SCENARIO = Scenario(
    name="push",
    title="From one publisher to many subscribers: polling, long polling, SSE, WebSocket",
    claim="Polling wastes requests and adds delay, long polling wastes fewer, and pushing wastes none.",
    unit="delivered message",
    ways=(
        Way("short-poll-new", "ask every so often, on a new connection each time"),
        Way("short-poll", "ask every so often, on a kept connection"),
        Way("long-poll", "ask, and be answered when there is something"),
        Way("sse", "one response that never ends (server-sent events)"),
        Way("websocket", "one upgraded connection"),
    ),
    settings=PushSettings,
    columns=(
        Column("times_ms.delay.p50", "delay p50, ms", "ms"),
        Column("times_ms.delay.p99", "delay p99, ms", "ms"),
        Column("figures.requests_per_delivery", "requests/message", "ratio"),
        Column("hops.front.opened", "connections to the front"),
        Column("hops.back.opened", "to the backend"),
        Column("bytes_per_unit.front", "bytes/message front", "B"),
        Column("bytes_per_unit.back", "bytes/message back", "B"),
        Column("cpu_us_per_unit.client", "CPU client, us/message", "us"),
        Column("cpu_us_per_unit.proxy", "CPU proxy", "us"),
        Column("cpu_us_per_unit.backend", "CPU server", "us"),
        Column("time_wait.proxy.end", "TIME_WAIT proxy"),
        Column("figures.lost", "lost"),
    ),
    panels=(
        Distribution("delay", "Delay from publishing to delivery", "milliseconds, by percentile"),
        Bars("figures.requests_per_delivery", "Requests", "for each delivered message", "ratio"),
        Bars("cpu_us_per_unit.backend", "CPU of the server", "microseconds for each delivered message", "us"),
        Bars("hops.front.opened", "Connections", "that the clients opened", log=True),
    ),
    perform=perform,
    conclude=conclude,
    brief={
        "ways": ["short-poll-new", "long-poll", "sse", "websocket"],
        "subjects": ["direct"],
        "settings": {"subscribers": 100, "warmup_s": 0.5, "duration_s": 3.0},
    },
)
