"""`bench cluster`: the group of the commands of clusters."""

import click

from bench.commands.lazy_group import HELP, LazyGroup

COMMANDS = {
    "up": "Bring up a Dask cluster for `bench run --lab cluster`, and hold it until Ctrl-C.",
}


@click.group("cluster", cls=LazyGroup, table=COMMANDS, prefix="cluster_", context_settings=HELP)
def cluster_command() -> None:
    """Bring up machines for `bench run --lab cluster`.

    Where Dask runs already, on Kubernetes, by Slurm or by hand, nothing of this is needed.
    """
