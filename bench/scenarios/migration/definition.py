"""migration: a client changes its address in mid-answer; which connections survive it, and what it costs."""

import dataclasses

from bench.experiment.definition import Bars, Column, Curves, Figures, Need, Scenario, Variant
from bench.experiment.proxy_setup import ProxySetup
from bench.experiment.roles import Server
from bench.experiment.testbed import Testbed
from bench.experiment.trial_result import Fault
from bench.lab import Lab, supervisor
from bench.plan.scenario_plan import Case
from bench.scenarios.migration.conclusion import conclude
from bench.scenarios.migration.figures import Outage, compute_figures
from bench.scenarios.migration.network import build_network
from bench.scenarios.migration.settings import MigrationSettings
from bench.subjects import certificates
from bench.subjects.certificates import Certificate
from bench.subjects.subject import Traffic

_HTTP3 = ("direct", "envoy", "caddy")
_AIOQUIC = (Need("aioquic", "http3"),)
_CLIENTS = 4
"""Connections that a proxy is to be ready for: one client's, and those that it comes back on."""


def proxy_setup(case: Case, settings: MigrationSettings) -> ProxySetup:
    """Request HTTP/3, a tunnel or a stream that is not cut, whichever the variant has."""
    return ProxySetup(
        _CLIENTS,
        traffic=Traffic(
            upgrade=case.variant.startswith("websocket"),
            streams=not case.variant.startswith("keep-alive"),
            client_http="3" if case.variant.startswith("quic") else "1.1",
        ),
    )


def perform(testbed: Testbed, case: Case, settings: MigrationSettings) -> Figures:
    """Have one client follow an answer, and change its address in the middle."""
    is_quic, is_direct = case.variant.startswith("quic"), case.subject.name == "direct"
    issued = certificates.issue(_addresses(testbed.place)) if is_quic else None
    certificate = _write_certificate(testbed.place, issued) if issued is not None and is_direct else ()
    flags = ("--tokens", str(settings.tokens), "--every", str(settings.every_s), *certificate)
    server = testbed.start_server("backends.scenarios.tokens.server", "--shared", *flags)
    address = testbed.start_proxy(server.addresses, issued)
    network = build_network(testbed, address, settings.round_trip_s)
    job = {
        **dataclasses.asdict(settings),
        "variant": case.variant,
        "address": network.entry,
        "old": network.old,
        "binds": network.binds,
        "authority": None if issued is None else issued.authority,
    }
    testbed.start_clients("bench.scenarios.migration.clients", [job])

    def arrive() -> None:
        network.arrive()
        testbed.roles.send({"command": "moved", "address": network.new})

    back_s = settings.move_at_s + settings.outage_s
    faults = [Fault(settings.move_at_s, network.leave), Fault(back_s, arrive)]
    result = testbed.run(0.0, None, settings.watch_s + 10, faults)
    outage = Outage((network.left_ns - result.start_ns) / 1e9, (network.arrived_ns - network.left_ns) / 1e9)
    counted = _count(server) if is_direct else {"quic": testbed.roles.counted().quic}
    return compute_figures(result.done[0], settings, outage, counted)


def _count(server: Server) -> dict[str, int | None]:
    """Return what the server saw of the client by itself."""
    counted = server.count()
    return {"quic": counted["quic"], "paths": counted["paths"] or None}


def _addresses(place: Lab) -> list[str]:
    return sorted({address for host in place.hosts.values() for address in host.addresses})


def _write_certificate(place: Lab, issued: Certificate) -> tuple[str, ...]:
    """Write a certificate for the server; return the flags that name its files."""
    directory = place.hosts["backend"].scratch("certificate")
    chain, key = directory / "certificate.pem", directory / "key.pem"
    with supervisor.writing(directory):
        chain.write_text(issued.chain, encoding="ascii")
        key.write_text(issued.key, encoding="ascii")
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
        "variants": ["quic-probe", "quic", "sse", "sse-timeout"],
        "subjects": ["direct"],
        "settings": {"tokens": 150, "move_at_s": 1.0, "timeout_s": 1.0, "watch_s": 4.0},
    },
)
