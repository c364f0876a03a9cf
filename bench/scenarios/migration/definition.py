"""migration: a client changes its address in mid-answer; which connections survive it, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bench.analysis.cases import Summary
from bench.experiment.definition import Bars, Column, Curves, Figures, Need, Scenario, Settings, Variant
from bench.experiment.proxy_setup import ProxySetup
from bench.experiment.roles import Server
from bench.experiment.testbed import Testbed
from bench.experiment.trial_result import Fault
from bench.lab import Lab
from bench.plan.scenario_plan import Case
from bench.runs.record import TrialWarning
from bench.scenarios.migration import figures as silence
from bench.scenarios.migration import network
from bench.subjects import certificates
from bench.subjects.subject import Carries

_HTTP3 = ("direct", "envoy", "caddy")
_AIOQUIC = (Need("aioquic", "http3"),)
_PROBING = ("quic-probe", "quic-rebind")
_CLIENTS = 4
"""Connections that a proxy is to be ready for: one client's, and those that it comes back on."""


@dataclass(frozen=True, slots=True)
class MigrationSettings(Settings):
    """How long the answer is, when the address changes, and how patient everybody is."""

    tokens: int = 300
    every_s: float = 0.02
    move_at_s: float = 1.5
    outage_s: float = field(default=0.5, metadata={"least": 0})
    round_trip_s: float = field(default=0.04, metadata={"least": 0})
    timeout_s: float = 2.0
    """Of the ways over TCP that have one."""
    idle_timeout_s: float = 60.0
    """After which a QUIC client gives up a silent connection."""
    watch_s: float = 9.0


def proxy_setup(case: Case, settings: MigrationSettings) -> ProxySetup:
    """Ask for HTTP/3, a tunnel or a stream that is not cut, whichever the way has."""
    return ProxySetup(
        _CLIENTS,
        carries=Carries(
            upgrade=case.variant.startswith("websocket"),
            streams=not case.variant.startswith("keep-alive"),
            client_http="3" if case.variant.startswith("quic") else "1.1",
        ),
    )


def perform(testbed: Testbed, case: Case, settings: MigrationSettings) -> Figures:
    """Have one client follow an answer, and change its address in the middle."""
    is_quic = case.variant.startswith("quic")
    issued = certificates.issue(_names(testbed.place)) if is_quic else None
    shown = _files(testbed.place, issued) if issued is not None and case.subject.name == "direct" else ()
    told = ("--tokens", str(settings.tokens), "--every", str(settings.every_s))
    server = testbed.start_server("backends.scenarios.tokens.server", "--shared", *told, *shown)
    entrance = testbed.start_proxy(server.addresses, None if issued is None else issued.certificate)
    way_there = network.lay(testbed, entrance, settings.round_trip_s)
    job = {
        "variant": case.variant,
        "address": way_there.entry,
        "old": way_there.old,
        "binds": way_there.binds,
        "authority": None if issued is None else issued.authority,
        "tokens": settings.tokens,
        "timeout_s": settings.timeout_s,
        "idle_timeout_s": settings.idle_timeout_s,
        "watch_s": settings.watch_s,
    }
    testbed.start_clients(f"bench.scenarios.migration.{'quic' if is_quic else 'tcp'}", [job])

    def arrive() -> None:
        way_there.arrive()
        testbed.roles.tell({"command": "moved", "address": way_there.new})

    faults = [
        Fault(settings.move_at_s, way_there.leave),
        Fault(settings.move_at_s + settings.outage_s, arrive),
    ]
    result = testbed.run(0.0, None, settings.watch_s + 10, faults)
    moved_s = (way_there.left_ns - result.start_ns) / 1e9
    outage_s = (way_there.arrived_ns - way_there.left_ns) / 1e9
    seen = _seen(server) if case.subject.name == "direct" else {"quic": testbed.roles.counted().quic}
    return measured(result.done[0], settings, moved_s, outage_s, seen)


def _seen(server: Server) -> dict[str, int | None]:
    """Return what the server saw of the client by itself."""
    counted = server.count()
    return {"quic": counted["quic"], "paths": counted["paths"] or None}


def measured(
    done: dict[str, Any],
    settings: MigrationSettings,
    moved_s: float,
    outage_s: float,
    seen: dict[str, int | None],
) -> Figures:
    """Return what the client's last words amount to, for an address that was gone from `moved_s` on.

    `seen` is what the other side counted.
    """
    arrivals = [(at_s, number) for at_s, number in done["arrivals"]]
    told = silence.told(arrivals, settings.tokens, settings.watch_s)
    after = [at_s for at_s, _ in arrivals if at_s > moved_s + outage_s]
    bound_s = silence.allowed_s(outage_s, settings.round_trip_s, settings.every_s)
    return Figures(
        units=told.got,
        figures={
            "got": told.got,
            "lost": settings.tokens - told.got,
            "went_on": int(told.got == settings.tokens),
            "silence_ms": told.silence_s * 1000,
            "moved_s": moved_s,
            "outage_ms": outage_s * 1000,
            "allowed_ms": bound_s * 1000,
            "first_after_ms": (after[0] - moved_s - outage_s) * 1000 if after else None,
            "connections": done["connections"],
            **seen,
        },
        curves={"tokens": told.curve},
        warnings=_warnings(done, told, seen),
        is_paced=True,
    )


def _warnings(done: dict[str, Any], told: silence.Told, seen: dict[str, int | None]) -> list[TrialWarning]:
    warnings = []
    if told.doubled:
        warnings.append(TrialWarning("doubled", f"{told.doubled} tokens came twice", voids=True))
    if seen.get("quic") not in (None, 0, done["connections"]):
        said = f"the client made {done['connections']} QUIC connections, the other side saw {seen['quic']}"
        warnings.append(TrialWarning("witnesses-disagree", said))
    return warnings


def conclude(summary: Summary) -> str:
    """Say which connections went on, after how long, and what the others waited for."""
    quic = [row for row in summary.rows if row.variant in _PROBING]
    parts = []
    if quic:
        trials = [trial for row in quic for trial in row.counted]
        went_on = sum(bool(trial.figures["went_on"]) for trial in trials)
        worst = max(float(trial.figures["silence_ms"] or 0) for trial in trials)
        outage = max(float(trial.figures["outage_ms"] or 0) for trial in trials)
        parts.append(
            f"QUIC that says where it is now went on in {went_on} of {len(trials)} trials, on one connection"
            f" each, silent for at most {worst:,.0f} ms of which the address was gone for {outage:,.0f}"
        )
    stuck = _names_of(row for row in summary.rows if row.value("figures.went_on") == 0)
    if stuck:
        parts.append(f"{stuck} heard nothing more")
    back = [row for row in summary.rows if row.variant.endswith("-timeout") and row.value("figures.went_on")]
    if back:
        waited = [value / 1000 for row in back if (value := row.value("figures.silence_ms")) is not None]
        span = " to ".join(dict.fromkeys(f"{value:,.1f}" for value in (min(waited), max(waited))))
        parts.append(
            f"{_names_of(back)} came back on a second connection after {span} s, when they gave up the first"
        )
    return "; ".join(parts) + "."


def _names_of(rows: Any) -> str:
    """Return the ways of some rows, each once."""
    variants = list(dict.fromkeys(row.variant for row in rows))
    return (
        variants[0]
        if len(variants) == 1
        else " and ".join([", ".join(variants[:-1]), variants[-1]])
        if variants
        else ""
    )


def _names(place: Lab) -> list[str]:
    return sorted({address for host in place.hosts.values() for address in host.addresses})


def _files(place: Lab, issued: certificates.Issued) -> tuple[str, ...]:
    folder = place.hosts["backend"].scratch("certificate")
    chain, key = folder / "certificate.pem", folder / "key.pem"
    chain.write_text(issued.certificate.chain, encoding="ascii")
    key.write_text(issued.certificate.key, encoding="ascii")
    return ("--certificate", str(chain), "--key", str(key))


SCENARIO = Scenario(
    name="migration",
    title="A client changes its address in mid-answer: QUIC and TCP",
    claim="A QUIC connection survives a change of network, and a TCP connection breaks.",
    unit="token",
    variants=(
        Variant("quic", "HTTP/3, and the client does nothing when its address changes", _AIOQUIC),
        Variant("quic-probe", "HTTP/3, and the client sends a PING from its new address", _AIOQUIC),
        Variant("quic-rebind", "HTTP/3, from a new socket and with a new connection id", _AIOQUIC),
        Variant("sse", "server-sent events, without a time-out"),
        Variant("sse-timeout", "server-sent events, given up after a silence"),
        Variant("websocket", "a WebSocket, without pings"),
        Variant("websocket-timeout", "a WebSocket that pings, and gives up where no pong comes"),
        Variant("keep-alive", "a request for the next tokens, again and again, without a time-out"),
        Variant("keep-alive-timeout", "the same, each request with a time-out"),
    ),
    settings=MigrationSettings,
    columns=(
        Column("figures.lost", "tokens lost"),
        Column("figures.silence_ms", "longest silence, ms", "ms"),
        Column("figures.outage_ms", "no address, ms", "ms"),
        Column("figures.first_after_ms", "then first token after, ms", "ms"),
        Column("figures.connections", "connections"),
        Column("figures.paths", "QUIC paths seen"),
    ),
    panels=(
        Curves(
            "tokens",
            "Tokens that have arrived",
            "over time, without a proxy",
            "seconds",
            step=True,
            mark="moved_s",
            marked="the address is gone",
            subjects=("direct",),
        ),
        Bars("figures.silence_ms", "Longest silence", "milliseconds; where tokens are lost, to the end"),
        Bars("figures.lost", "Lost", "tokens that never came"),
        Bars("figures.connections", "Connections", "that the client used"),
    ),
    perform=perform,
    conclude=conclude,
    proxy_setup=proxy_setup,
    default_subjects=_HTTP3,
    brief={
        "variants": ["quic-probe", "sse", "sse-timeout"],
        "subjects": ["direct"],
        "settings": {"tokens": 150, "move_at_s": 1.0, "timeout_s": 1.0, "watch_s": 4.0},
    },
)
