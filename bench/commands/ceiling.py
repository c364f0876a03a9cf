"""`bench ceiling`: when ports run out, computed."""

from __future__ import annotations

import json

import click

from bench.commands.options import Amount, command, json_option, option
from bench.plan.flags import Heading

_MOST = 10**9
"""Of anything that is computed with: no host serves a thousand million requests a second."""


@command("ceiling")
@click.argument("rate", type=Amount(0, _MOST, min_open=True), metavar="REQUESTS_PER_S")
@option(
    "--ports",
    heading=Heading.LAB,
    type=click.IntRange(16, 64512),
    default=28_232,
    show_default=True,
    metavar="N",
    help="Ephemeral ports of the proxy's host.",
)
@option(
    "--proxy-addresses",
    heading=Heading.LAB,
    type=click.IntRange(1, _MOST),
    default=1,
    show_default=True,
    metavar="N",
    help="Source addresses of the proxy.",
)
@option(
    "--backend-addresses",
    heading=Heading.LAB,
    type=click.IntRange(1, _MOST),
    default=1,
    show_default=True,
    metavar="N",
    help="Addresses, or ports, of the backend.",
)
@option(
    "--requests-per-connection",
    heading=Heading.PROXY,
    type=Amount(1, _MOST),
    default=1,
    show_default=True,
    metavar="N",
    help="Requests that one upstream connection carries.",
)
@json_option
def ceiling(
    *,
    rate: float,
    ports: int,
    proxy_addresses: int,
    backend_addresses: int,
    requests_per_connection: float,
    as_json: bool,
) -> None:
    """Compute when a proxy that closes first runs out of ports, and which remedy helps.

    Computed, not measured: try a remedy with `bench run --mode short --rate ...` and its flag.
    """
    from bench.analysis import ceiling as analysis
    from bench.report.run import text

    here = analysis.ceiling(ports, proxy_addresses, backend_addresses)
    found = analysis.remedies(rate, ports, proxy_addresses, backend_addresses, requests_per_connection)
    if as_json:
        click.echo(json.dumps([remedy.to_json() for remedy in found]))
    else:
        click.echo(text.format_ceiling(here, rate / requests_per_connection, found), nl=False)
