"""`bench cluster up`: a Dask cluster for a first try, in network namespaces of this machine or over ssh."""

import shlex
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench import units
from bench.cluster import offers
from bench.commands import printing
from bench.commands.options import Count, FilePath, command, option
from bench.errors import PlanError

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
    "count",
    type=Count(1, 64),
    metavar="N",
    shown_default="none",
    not_with=("ssh",),
    help="N hosts on this machine, each a network namespace with an interface `control` and one `data`.",
)
@option(
    _MACHINES,
    "--ssh",
    type=FilePath,
    metavar="FILE",
    shown_default="none",
    help="Machines to reach by ssh, a line each: [USER@]HOST[:PORT] [name=NAME] [client=K] [proxy=K]"
    " [backend=K] [python=/path] [interface=NAME].",
)
@option(
    _DASK,
    "--resources",
    type=Resources(),
    default="client=1,proxy=1,backend=1",
    metavar="ROLE=K,...",
    help="How many parts of each role a worker takes at a time, where its line says nothing else.",
)
@option(
    _DASK,
    "--threads",
    type=Count(1, _MOST_THREADS),
    shown_default="as many as it takes parts",
    help="Threads of each worker: a part of a trial holds one.",
)
@option(
    _DASK,
    "--interface",
    default="127.0.0.1",
    metavar="NAME",
    only_with="ssh",
    help="Network interface, or its address, on which the scheduler listens.",
)
@option(
    _DASK,
    "--port",
    type=Count(0, 65_535),
    default=8786,
    only_with="ssh",
    help="Port of the scheduler; 0: any that is free.",
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
    *,
    count: int | None,
    ssh: Path | None,
    resources: Mapping[str, int],
    threads: int | None,
    interface: str,
    port: int,
    no_tls: bool,
    output: Path | None,
) -> None:
    """Bring up a Dask cluster for `bench run --lab cluster`, and hold it until Ctrl-C.

    Once it is ready it prints the path of its cluster file. That names the certificates made for it: who can
    read them can run code on its machines. When it ends, also by kill -9, nothing is left.

    Each machine of --ssh needs this version of bench with the extra [cluster], and a login without password.
    """
    from bench.cluster import cluster_file, hosts_file, up, up_ssh
    from bench.cluster.local import WorkerOptions

    path = (output or cluster_file.default_path()).absolute()
    hosts = None if ssh is None else hosts_file.read(ssh, resources)
    if no_tls:
        printing.echo_error(f"warning: {_NO_TLS}")
    if hosts is not None:
        report = up.Report(partial(_announce, path, ""), printing.echo_error)
        up_ssh.run_ssh(up_ssh.SshRequest(hosts, threads, path, interface, port, not no_tls), report)
    elif count is not None:
        report = up.Report(partial(_announce, path, " --data-interface data"), printing.echo_error)
        worker = WorkerOptions(resources, threads or sum(resources.values()))
        up.run_local(up.LocalRequest(count, worker, path, not no_tls), report)
    else:
        raise PlanError("neither --local N nor --ssh FILE says where; give one of them")


def _announce(path: Path, flags: str, file: "ClusterFile", workers: Sequence[str]) -> None:
    """Say that a cluster is ready, and how to use it; its path is all that goes to stdout."""
    counted = f"{units.plural(len(workers), 'worker')}"
    printing.echo_error(f"{counted} at {file.scheduler}: {', '.join(workers)}")
    printing.echo_error(f"  bench run --lab cluster --scheduler {shlex.quote(str(path))}{flags}")
    printing.echo_error("Ctrl-C ends the cluster")
    printing.echo(path)
