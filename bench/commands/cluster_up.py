"""`bench cluster up`: a Dask cluster for a first try, in network namespaces of this machine."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cluster import offers
from bench.commands import printing
from bench.commands.options import Count, FilePath, command, option

if TYPE_CHECKING:
    from bench.cluster.cluster_file import ClusterFile

_MACHINES, _DASK, _OUTPUT = "Machines", "Dask", "Output"
_MOST_THREADS = 256
_NO_TLS = (
    "without TLS: whoever reaches the scheduler can run code on every machine of the cluster, as the user who"
    " started it there"
)


class Resources(click.ParamType[Mapping[str, int]]):
    """ROLE=K,..., each role once."""

    name = "role=k,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Mapping[str, int]:
        """Return how many parts of each role `value` says."""
        try:
            return offers.parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@command("up")
@option(
    _MACHINES,
    "--local",
    "hosts",
    type=Count(1, 64),
    metavar="N",
    required=True,
    help="N hosts on this machine, each a network namespace with an interface `control` and one `data`.",
)
@option(
    _DASK,
    "--resources",
    type=Resources(),
    default="client=1,proxy=1,backend=1",
    metavar="ROLE=K,...",
    help="How many parts of each role a worker takes at a time.",
)
@option(
    _DASK,
    "--threads",
    type=Count(1, _MOST_THREADS),
    shown_default="the sum of --resources",
    help="Threads of each worker: a part of a trial holds one.",
)
@option(_DASK, "--no-tls", is_flag=True, help="Talk without TLS: who reaches the scheduler can run code.")
@option(
    _OUTPUT,
    "-o",
    "--output",
    type=FilePath,
    metavar="FILE",
    shown_default="cluster.json in the user's state folder",
    help="Cluster file, for --scheduler of other commands; it is removed at the end.",
)
def up_command(
    *, hosts: int, resources: Mapping[str, int], threads: int | None, no_tls: bool, output: Path | None
) -> None:
    """Bring up a Dask cluster for `bench run --lab cluster`, and hold it until Ctrl-C.

    Once it is ready it prints the path of its cluster file. That names the certificates made for it: who can
    read them can run code on its machines. When it ends, also by kill -9, nothing is left.
    """
    from bench.cluster import cluster_file, up
    from bench.cluster.local import WorkerOptions

    worker = WorkerOptions(resources, threads or sum(resources.values()))
    path = (output or cluster_file.default_path()).absolute()
    request = up.LocalRequest(hosts, worker, path, has_tls=not no_tls)
    if no_tls:
        printing.echo_error(f"warning: {_NO_TLS}")

    def announce(file: "ClusterFile", workers: Sequence[str]) -> None:
        printing.echo_error(f"{len(workers)} workers at {file.scheduler}: {', '.join(workers)}")
        printing.echo_error(
            f"  bench run --lab cluster --scheduler {shlex.quote(str(path))} --data-interface data"
        )
        printing.echo_error("Ctrl-C ends the cluster")
        printing.echo(path)

    up.run_local(request, announce, printing.echo_error)
