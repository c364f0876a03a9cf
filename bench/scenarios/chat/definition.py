"""chat: a customer service with a room for each customer, behind proxies that time out, reload, restart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.analysis import histogram
from bench.analysis.cases import Summary
from bench.errors import PlanError
from bench.experiment.definition import Bars, Column, Curves, Figures, Need, Scenario, Settings, Variant
from bench.experiment.proxy_setup import ProxySetup
from bench.experiment.testbed import Testbed
from bench.experiment.trial_result import Fault, TrialResult
from bench.plan.scenario_plan import Case
from bench.runs.record import TrialWarning
from bench.scenarios.chat import servers
from bench.subjects.subject import Carries

_SPARE_CONNECTIONS = 64
_RELOADED = ("nginx", "haproxy")
"""The subjects that read their configuration anew on a signal, and keep what is under way."""
_IDLE_WAYS = ("idle", "idle-beats")
_TOLD = {
    "reload": "a reload drops",
    "restart": "a restart drops",
    "idle": "a timeout for silence drops",
    "idle-beats": "with heartbeats it drops",
}
_CURVE_STEP_NS = 50_000_000


@dataclass(frozen=True, slots=True)
class ChatSettings(Settings):
    """How many rooms and agents there are, how often something is said, and when something happens."""

    rooms: int = 200
    agents: int = 50
    agents_per_room: int = 2
    say_every_s: float = 2.0
    """Between two messages in one room."""
    idle_s: float = 1.0
    """The silence after which the proxy ends a connection (ways idle and idle-beats)."""
    happens_s: float = 2.0
    """When in the window the proxy is reloaded or restarted."""
    warmup_s: float = 2.0
    duration_s: float = field(default=6.0)

    def check(self) -> None:
        """Raise PlanError where a value makes no sense."""
        Settings.check(self)
        if not self.agents_per_room <= self.agents <= self.rooms * self.agents_per_room:
            raise PlanError(
                f"plan: settings.agents = {self.agents} cannot have {self.agents_per_room} in each of"
                f" {self.rooms} rooms and a room each; take {self.agents_per_room} to"
                f" {self.rooms * self.agents_per_room}"
            )

    @property
    def connections(self) -> int:
        """Return the connections of all members."""
        return self.rooms + self.agents


def perform(testbed: Testbed, case: Case, settings: ChatSettings) -> Figures:
    """Let all members come in and talk, and something happen to the proxy, and add up what was heard."""
    is_idle = case.variant in _IDLE_WAYS
    upstream = servers.channels(testbed) if case.variant == "channels" else servers.ours(testbed)
    job = {
        "address": testbed.start_proxy([upstream]),
        "connections": settings.connections + _SPARE_CONNECTIONS,
        "rooms": settings.rooms,
        "agents": settings.agents,
        "agents_per_room": settings.agents_per_room,
        # In the idle ways every connection is silent for longer than the proxy bears.
        "say_every_s": 4 * settings.idle_s if is_idle else settings.say_every_s,
        "beat_every_s": settings.idle_s / 3 if case.variant == "idle-beats" else 0,
    }
    testbed.start_clients("bench.scenarios.chat.clients", [job])
    result = testbed.run(
        settings.warmup_s, settings.duration_s, faults=_happenings(testbed, case.variant, settings)
    )
    return _figures(result, case, settings)


def proxy_setup(case: Case, settings: ChatSettings) -> ProxySetup:
    """Ask for tunnels, which end when they are silent in the ways that are about silence."""
    carries = Carries(upgrade=True)
    if case.variant in _IDLE_WAYS:
        carries = Carries(upgrade=True, silence_s=settings.idle_s)
    return ProxySetup(settings.connections + _SPARE_CONNECTIONS, carries=carries)


def _happenings(testbed: Testbed, variant: str, settings: ChatSettings) -> list[Fault]:
    acts = {"reload": testbed.reload, "restart": testbed.restart}
    return [Fault(settings.warmup_s + settings.happens_s, acts[variant])] if variant in acts else []


def _figures(result: TrialResult, case: Case, settings: ChatSettings) -> Figures:
    told = result.done[0]
    dropped, back = sorted(told["dropped_ns"]), sorted(told["back_ns"])
    happened_ns = result.first.moment_ns + round(settings.happens_s * 1e9)
    after = [each for each in back if each >= happened_ns]
    has_happened = case.variant in ("reload", "restart")
    counted: dict[str, float | int | None] = {
        name: told[name]
        for name in ("said", "heard", "lost", "doubled", "disordered", "reconnects", "refused", "presences")
    }
    counted["dropped"] = len(dropped)
    counted["happens_s"] = settings.happens_s if has_happened else None
    counted["all_back_s"] = (after[-1] - happened_ns) / 1e9 if has_happened and after else None
    return Figures(
        units=told["heard"],
        figures=counted,
        times_us={"delay": histogram.merge([{pair[0]: pair[1] for pair in told["delay_us"]}])},
        curves={"members": _curve(result, dropped, back, settings.connections)} if has_happened else {},
        warnings=_warnings(told),
    )


def _curve(
    result: TrialResult, dropped: Sequence[int], back: Sequence[int], connections: int
) -> list[tuple[float, float]]:
    """Return how many members were in their rooms along the window."""
    begin_ns, end_ns = result.first.moment_ns, result.last.moment_ns
    points = []
    for moment_ns in range(begin_ns, end_ns, _CURVE_STEP_NS):
        away = sum(each <= moment_ns for each in dropped) - sum(each <= moment_ns for each in back)
        points.append((round((moment_ns - begin_ns) / 1e9, 3), float(connections - away)))
    return points


def _warnings(told: dict[str, Any]) -> list[TrialWarning]:
    wrong = {name: told[name] for name in ("lost", "doubled", "disordered") if told[name]}
    if not wrong:
        return []
    said = ", ".join(f"{count:,} {name}" for name, count in wrong.items())
    return [TrialWarning("lost", f"messages went wrong: {said}", "the numbers of the rooms tell", voids=True)]


def refuse(case: Case, settings: ChatSettings) -> str | None:
    """Refuse what happens to a proxy where there is none, and a reload where there is no such thing."""
    if case.variant in ("reload", "restart", *_IDLE_WAYS) and case.subject.name == "direct":
        return "happens to a proxy, and there is none"
    if case.variant == "reload" and case.subject.name not in _RELOADED:
        return f"{case.subject.name} as it is set up here does not read its configuration anew on a signal"
    return None


def conclude(summary: Summary) -> str:
    """Say what the two servers cost, and what a reload, a restart and an idle timeout do to open rooms."""
    parts = []
    ours, theirs = summary.row("ours"), summary.row("channels")
    if ours is not None and theirs is not None:
        costs = [row.value("cpu_us_per_unit.backend") for row in (ours, theirs)]
        if costs[0] and costs[1]:
            parts.append(f"a message costs Channels under Daphne {costs[1] / costs[0]:.1f}x the CPU of ours")
    for variant, said in _TOLD.items():
        dropped = _over(summary, variant, "dropped", ",.0f")
        if dropped is not None:
            parts.append(f"{said} {dropped} connections")
        back_s = _over(summary, variant, "all_back_s", ".2f")
        if back_s is not None:
            parts[-1] += f" and all rooms are back after {back_s} s"
    wrong = sum(row.value(f"figures.{name}") or 0 for row in summary.rows for name in ("lost", "doubled"))
    parts.append("no message was lost or doubled" if not wrong else f"{wrong:,.0f} messages lost or doubled")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _over(summary: Summary, variant: str, name: str, spec: str) -> str | None:
    """Return a figure of a way over its subjects: one number, or the least and the greatest."""
    found = [row.value(f"figures.{name}") for row in summary.rows if row.variant == variant]
    values = [value for value in found if value is not None]
    if not values:
        return None
    least, greatest = format(min(values), spec), format(max(values), spec)
    return least if least == greatest else f"{least} to {greatest}"


SCENARIO = Scenario(
    name="chat",
    title="A chat with a room for each customer, and what its proxies do to it",
    claim="A WebSocket stays open: a chat needs nothing else.",
    unit="message heard",
    variants=(
        Variant("ours", "our server on aiohttp"),
        Variant(
            "channels",
            "a Django Channels application under Daphne",
            (Need("channels", "channels"), Need("daphne", "channels")),
        ),
        Variant("reload", "ours; the proxy reads its configuration anew"),
        Variant("restart", "ours; the proxy ends and starts anew"),
        Variant("idle", "ours; the proxy ends what is silent, and the members are"),
        Variant("idle-beats", "the same; the members send a heartbeat in time"),
    ),
    settings=ChatSettings,
    columns=(
        Column("times_ms.delay.p50", "delay p50", "ms"),
        Column("times_ms.delay.p99", "p99, ms", "ms"),
        Column("hops.front.opened", "connections"),
        Column("hops.back.opened", "back"),
        Column("cpu_us_per_unit.proxy", "us each: proxy", "us"),
        Column("cpu_us_per_unit.backend", "server", "us"),
        Column("figures.dropped", "dropped"),
        Column("figures.all_back_s", "all back, s", "ratio"),
        Column("figures.lost", "lost"),
        Column("figures.doubled", "doubled"),
        Column("figures.disordered", "out of order"),
    ),
    panels=(
        Curves(
            "members",
            "Members in their rooms",
            "of all that are connected",
            "seconds into the window",
            mark="happens_s",
            marked="reload or restart",
        ),
        Bars(
            "times_ms.delay.p99",
            "Delay from saying to hearing",
            "milliseconds, 99th percentile",
            "ms",
            log=True,
        ),
        Bars("cpu_us_per_unit.backend", "CPU of the server", "microseconds for each message heard", "us"),
        Bars("figures.dropped", "Connections dropped", "during the trial"),
    ),
    perform=perform,
    conclude=conclude,
    proxy_setup=proxy_setup,
    refuse=refuse,
    brief={
        "variants": ["ours", "restart"],
        "subjects": ["nginx"],
        "settings": {"rooms": 50, "agents": 20, "warmup_s": 1.0, "duration_s": 3.0, "happens_s": 1.0},
    },
)
