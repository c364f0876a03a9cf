"""`bench watch`: the TCP connections of a host in production, while they are opened and closed."""

import sys
from pathlib import Path
from typing import Any

from bench.commands.options import Duration, FilePath, command, option
from bench.commands.watch_options import ListenAddress, scope_options

_WATCH, _OUTPUT = "Watch", "Output"
_DAY_S = 86_400.0


@command("watch")
@scope_options
@option(
    _WATCH,
    "--exact",
    is_flag=True,
    not_with=("sampled",),
    help="Count every connection by the kernel's trace events (root, tracefs). Without it: where possible.",
)
@option(
    _WATCH,
    "--sampled",
    is_flag=True,
    not_with=("exact",),
    help="Look at the table of sockets only, as any user may.",
)
@option(
    _WATCH,
    "--interval",
    type=Duration(0.1, 60),
    metavar="SECONDS",
    shown_default="1s, longer where a look is costly",
    help="Time between two looks.",
)
@option(
    _WATCH,
    "--duration",
    type=Duration(1, 7 * _DAY_S),
    metavar="SECONDS",
    shown_default="until it is ended",
    not_with=("once",),
    help="End after so long.",
)
@option(
    _WATCH,
    "--requests",
    multiple=True,
    metavar="SOURCE",
    shown_default="none; requests are not known",
    help="Who counts requests, as KIND:WHERE (repeatable).",
)
@option(
    _WATCH,
    "--log-format",
    metavar="FORMAT",
    only_with="requests",
    shown_default="that of the configuration, or combined",
    help="The log_format of the access log of --requests, as nginx.conf has it.",
)
@option(
    _WATCH,
    "--nginx-dump",
    is_flag=True,
    help="Let a running nginx print its configuration (nginx -T, which opens its logs); else it is read.",
)
@option(
    _OUTPUT,
    "--once",
    is_flag=True,
    not_with=("openmetrics", "record"),
    help="Answer once, within five seconds, and end.",
)
@option(_OUTPUT, "--json", "as_json", is_flag=True, help="Print a JSON object a line for each look.")
@option(
    _OUTPUT,
    "--openmetrics",
    type=ListenAddress(),
    metavar="[HOST]:PORT",
    shown_default="none; HOST is 127.0.0.1",
    help="Serve counters and gauges there, for Prometheus and others.",
)
@option(
    _OUTPUT,
    "--record",
    metavar="DIR",
    type=FilePath,
    shown_default="nothing is written",
    help="Write a run into DIR, a new folder, for `bench show`, `report` and `compare`.",
)
@option(
    _OUTPUT,
    "--anonymize",
    is_flag=True,
    only_with="record",
    help="Mask addresses, files and the scope in the recording; the same address is the same word.",
)
def watch_command(
    *,
    interval: float | None,
    duration: float | None,
    once: bool,
    as_json: bool,
    openmetrics: tuple[str, int] | None,
    record: Path | None,
    anonymize: bool,
    **given: Any,
) -> None:
    """Watch the TCP connections of this host: which hop churns, who closes first, what to change.

    It reads and changes nothing, and sends no load. On a terminal it shows a view that q ends, elsewhere a
    line for each look. It ends with 1 where something wastes connections, and with 4 where none carried
    anything.

    Sockets show connections, and no requests. Name who counts those, as --requests
    nginx-status:http://127.0.0.1/status, nginx-log:FILE, haproxy:SOCKET or envoy:http://127.0.0.1:9901: one
    connection is kept to each.

    `bench watch --record before`, then the change, then `bench watch --record after`; then
    `bench compare before after` says what the change did.
    """
    from bench.commands import watching
    from bench.watch import opening

    asked = opening.Asked(**given)
    outputs = watching.Outputs(once, as_json, openmetrics, record, anonymize)
    with opening.open_session(asked, interval) as opened:
        code = watching.perform(opened, outputs, watching.ONCE_S if once else duration)
    sys.exit(code)
