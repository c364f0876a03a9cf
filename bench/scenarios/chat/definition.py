"""chat: a customer service with a room for each customer, behind proxies that time out, reload, restart."""

import dataclasses
import sys

from bench.experiment.definition import Bars, Column, Curves, Figures, Need, Scenario, Variant
from bench.experiment.proxy_setup import ProxySetup
from bench.experiment.testbed import Testbed
from bench.experiment.trial_result import Fault
from bench.plan.scenario_plan import Case
from bench.scenarios.chat.conclusion import conclude
from bench.scenarios.chat.figures import compute_figures
from bench.scenarios.chat.settings import ChatSettings
from bench.subjects import launch
from bench.subjects.subject import SILENCE_S, Traffic

_APPLICATION = "backends.scenarios.chat.channels_app:application"
_BACKLOG_PATIENCE = ("--websocket_connect_timeout", "30", "--websocket_timeout", "-1", "--ping-interval", "0")
_SPARE_CONNECTIONS = 64
_RELOADED = ("nginx", "haproxy")
"""The subjects that read their configuration anew on a signal, and keep what is under way."""
_IDLE = ("idle", "idle-beats")


def perform(testbed: Testbed, case: Case, settings: ChatSettings) -> Figures:
    """Have all members join and talk while a fault happens to the proxy, and count what was received."""
    if case.variant == "channels":
        upstream = _start_daphne(testbed)
    else:
        upstream = testbed.start_server("backends.scenarios.chat.server").address
    # In the idle variants every connection is silent for longer than the proxy tolerates.
    idle = {"send_every_s": 4 * settings.idle_s} if case.variant in _IDLE else {}
    job = {
        **dataclasses.asdict(settings),
        **idle,
        "address": testbed.start_proxy([upstream]),
        "connections": settings.members + _SPARE_CONNECTIONS,
        "beat_every_s": settings.idle_s / 3 if case.variant == "idle-beats" else 0,
    }
    testbed.start_clients("bench.scenarios.chat.clients", [job])
    acts = {"reload": testbed.reload, "restart": testbed.restart}
    at_s = settings.warmup_s + settings.fault_at_s
    faults = [Fault(at_s, acts[case.variant])] if case.variant in acts else []
    result = testbed.run(settings.warmup_s, settings.duration_s, faults=faults)
    return compute_figures(result, case.variant, settings)


def _start_daphne(testbed: Testbed) -> str:
    """Start a Django Channels application under Daphne, which counts nothing; return where it listens."""
    place = testbed.place.hosts["backend"]
    address = launch.listen_address(place)  # not port 0: Daphne does not report its port
    host, _, port = address.rpartition(":")
    flags = ("-b", host, "-p", port, "-v", "0", *_BACKLOG_PATIENCE)
    argv = [sys.executable, "-m", "daphne", *flags, _APPLICATION]
    process = place.start(argv, name="daphne", cpus=testbed.cores("backend"), control=False)
    launch.await_listening(place, process, address)
    testbed.observe_process(process.pid, int(port))
    return address


def proxy_setup(case: Case, settings: ChatSettings) -> ProxySetup:
    """Request tunnels, which end when they are silent in the variants that are about silence."""
    traffic = Traffic(upgrade=True, silence_s=settings.idle_s if case.variant in _IDLE else SILENCE_S)
    return ProxySetup(settings.members + _SPARE_CONNECTIONS, traffic=traffic)


def refuse(case: Case, settings: ChatSettings) -> str | None:
    """Refuse what happens to a proxy where there is none, and a reload where there is no such thing."""
    if case.variant in ("reload", "restart", *_IDLE) and case.subject.name == "direct":
        return "happens to a proxy, and there is none"
    if case.variant == "reload" and case.subject.name not in _RELOADED:
        return f"{case.subject.name} as it is set up here does not read its configuration anew on a signal"
    return None


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
        Column("figures.out_of_order", "out of order"),
    ),
    panels=(
        Curves(
            "members",
            "Members in their rooms",
            "of all that are connected",
            "seconds into the window",
            mark="fault_at_s",
            marked="reload or restart",
        ),
        Bars(
            "times_ms.delay.p99",
            "Delay from sending to receiving",
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
        "settings": {"rooms": 50, "agents": 20, "warmup_s": 1.0, "duration_s": 3.0, "fault_at_s": 1.0},
    },
)
