"""`bench ceiling`: when ports run out, computed."""

import click

from bench.commands import printing
from bench.commands.options import Amount, Count, command, json_option, option
from bench.plan.flags import Heading

_MOST = 10**9
"""Of anything that is computed with: no host serves a thousand million requests a second."""


@command("ceiling")
@click.argument("rate", type=Amount(0, _MOST, min_open=True), metavar="REQUESTS_PER_S")
@option(
    Heading.LAB, "--ports", type=Count(16, 64512), default=28_232, help="Ephemeral ports of the proxy's host."
)
@option(
    Heading.LAB, "--proxy-addresses", type=Count(1, _MOST), default=1, help="Source addresses of the proxy."
)
@option(
    Heading.LAB,
    "--backend-addresses",
    type=Count(1, _MOST),
    default=1,
    help="Addresses, or ports, of the backend.",
)
@option(
    Heading.PROXY,
    "--requests-per-connection",
    type=Amount(1, _MOST),
    default=1,
    help="Requests that one upstream connection carries.",
)
@json_option
def ceiling_command(
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
        printing.echo_json([remedy.to_json() for remedy in found])
    else:
        printing.echo(text.format_ceiling(here, rate / requests_per_connection, found), nl=False)
