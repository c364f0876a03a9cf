"""`bench size`: the pools that a fleet of proxies needs, and what it runs out of first, computed."""

from typing import Any

import click

from bench.analysis.accepting import ACCEPTING
from bench.commands import printing
from bench.commands.options import Amount, Count, Duration, Rate, command, json_option, option
from bench.errors import PlanError
from bench.plan import bounds
from bench.plan.flags import Heading

_MOST_PER_S = 10**9
"""Of anything that is computed with: no fleet serves a thousand million requests a second."""
_MOST_PROCESSES = 100_000
_MOST_IN_FLIGHT = 10**6
_PER_WORKER = "requests in flight for each worker, more than any carries; lower one of them"

_OPTIONS = (
    option(
        Heading.LOAD,
        "--rate",
        type=Rate(0, _MOST_PER_S, min_open=True),
        required=True,
        help="Requests per second, over all proxies.",
    ),
    option(
        Heading.LOAD,
        "--latency",
        "latency_s",
        type=Duration(1e-6, 3600),
        required=True,
        metavar="SECONDS",
        help="Mean time that a backend takes for a response: 8ms, 0.2s.",
    ),
    option(
        Heading.LOAD,
        "--connections",
        "-c",
        "clients",
        type=Count(1),
        shown_default="one for each request in flight, spread evenly over workers",
        help="Client connections, over all proxies.",
    ),
    option(
        Heading.LOAD,
        "--closed-loop",
        is_flag=True,
        help="Each client sends its next request after the response to its last; needs --connections.",
    ),
    option(
        Heading.PROXY,
        "--proxies",
        type=Count(1, _MOST_PROCESSES),
        default=1,
        help="Proxies that share the load.",
    ),
    option(Heading.PROXY, "--workers", type=Count(1, 1024), default=1, help="Worker processes of one proxy."),
    option(
        Heading.PROXY,
        "--accepting",
        type=click.Choice(ACCEPTING),
        default="turns",
        help="How its workers share its clients: in turns of 16 (nginx since 1.21.6), at random (reuseport),"
        " or the first has all (nginx 1.11.3 to 1.21.5).",
    ),
    option(
        Heading.PROXY,
        "--keepalive",
        type=Count(0, 10**6),
        shown_default="the least that reaches --reuse",
        help="Idle upstream connections that one worker keeps, to all backends together.",
    ),
    option(
        Heading.PROXY,
        "--reuse",
        "target",
        type=Amount(0.01, 0.9999),
        default=0.99,
        help="Part of the requests that is to find an idle connection.",
    ),
    option(
        Heading.PROXY,
        "--requests-per-connection",
        type=Count(1),
        default=1000,
        help="Requests after which the proxy closes an upstream connection.",
    ),
    option(
        Heading.PROXY,
        "--pool-idle-timeout",
        "idle_timeout_s",
        type=Duration(1e-3, bounds.LONGEST_S),
        default="60s",
        metavar="SECONDS",
        help="How long an idle upstream connection is kept.",
    ),
    option(
        Heading.PROXY,
        "--balancing",
        type=click.Choice(("round-robin", "random")),
        default="round-robin",
        help="How a worker chooses the backend; with a `zone` that workers share it is as good as random.",
    ),
    option(
        Heading.PROXY,
        "--worker-connections",
        type=Count(1),
        default=512,
        help="Connections that one worker may have, to both sides.",
    ),
    option(
        Heading.PROXY,
        "--open-files",
        type=Count(1),
        default=1024,
        help="Open files that one worker may have.",
    ),
    option(
        Heading.BACKEND,
        "--backends",
        type=Count(1, 10_000),
        default=1,
        help="Addresses, or ports, of backends.",
    ),
    option(
        Heading.BACKEND,
        "--backend-max-connections",
        "backend_connections",
        type=Count(1),
        shown_default="unknown",
        help="Connections that one backend accepts.",
    ),
    option(
        Heading.LAB,
        "--ports",
        type=Count(16, 64512),
        default=28_232,
        help="Ephemeral ports of a proxy's host.",
    ),
    option(
        Heading.LAB,
        "--proxy-addresses",
        "addresses",
        type=Count(1, 10_000),
        default=1,
        help="Source addresses of one proxy.",
    ),
)


def _size_options(function: Any) -> Any:
    for each in reversed(_OPTIONS):
        function = each(function)
    return function


@command("size")
@_size_options
@json_option
def size_command(*, target: float, keepalive: int | None, as_json: bool, **given: Any) -> None:
    """Compute the pools that a fleet of proxies needs, and what it runs out of first.

    Computed, not measured: it says where its formulas stop to hold; try them with `bench sweep --vary
    pool-idle=... --rate ...`. With --keepalive 0 the proxies open a connection for each request.
    """
    from bench.analysis import proxy_fleet as fleets
    from bench.analysis.fleet_pools import ProxyFleet
    from bench.report import size as report

    if given["closed_loop"] and given["clients"] is None:
        raise PlanError("--closed-loop: needs --connections, the clients that it is closed over")
    fleet = ProxyFleet(**given)
    if (load := fleet.pool_load(fleet.rate, fleet.busiest_share).load) > _MOST_IN_FLIGHT:
        raise PlanError(f"--rate {fleet.rate:,.6g} --latency {fleet.latency_s:g}s: {load:,.0f} {_PER_WORKER}")
    sizing = fleets.size(fleet, target, keepalive)
    if as_json:
        printing.echo_json(sizing.to_json())
    else:
        printing.echo(report.format_sizing(sizing), nl=False)
