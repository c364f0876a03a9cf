"""Choose the lab of plans, once the files that they name have been read."""

import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bench.errors import PlanError
from bench.plan.cluster_plan import scheduler_problem
from bench.plan.run_plan import Plan

if TYPE_CHECKING:
    from bench.experiment.stopping import Stopping
    from bench.progress import Progress
    from bench.runs.record import Run


class Perform(Protocol):
    """What runs all trials of a plan."""

    def __call__(self, root: Path, progress: "Progress", stopping: "Stopping | None" = None, /) -> "Run":
        """Record each trial under `root` as it ends, and return the run."""


def choose_machines(plan: Plan) -> Perform:
    """Return what runs the trials of `plan`, on this machine or on those of a cluster."""
    if plan.lab != "cluster":
        lab_name = choose_lab([plan])
        from bench.experiment import run

        return partial(run.perform, plan, lab_name)
    read_files(plan)
    enter_cluster(str(plan.cluster.scheduler))
    from bench.cluster import run as cluster_run

    return partial(cluster_run.perform, plan)


def choose_lab(plans: Sequence[Plan]) -> str:
    """Return the lab that all plans name; a target is on this machine's loopback, or beyond it.

    PlanError where they name different ones, or where a file that one of them names cannot be read. To be
    called before anything that starts threads: only a process of one thread can take the rights to a lab.
    """
    from bench import lab

    for plan in plans:
        read_files(plan)
    labs = {"loopback" if plan.subject.target else plan.lab for plan in plans}
    if len(labs) > 1:
        raise PlanError(f"the sides name different labs ({', '.join(sorted(labs))}); give --lab")
    if (name := labs.pop()) == "cluster":
        raise PlanError("lab = 'cluster' goes with `bench run`; compare two of its runs with `bench compare`")
    return lab.choose(name)


def read_files(plan: Plan) -> None:
    """Read the files that `plan` names; PlanError where one cannot be read."""
    from bench.experiment import load_job

    load_job.read_body(plan.load)
    if plan.load.cacert is not None:
        load_job.read_authority(plan.load.cacert)


def enter_cluster(scheduler: str) -> None:
    """Go where the scheduler can be reached, if the file of `bench cluster up` names such a place.

    To be called before anything that starts threads.
    """
    from bench.cluster import cluster_file

    if problem := scheduler_problem(scheduler):
        raise PlanError(f"--scheduler {shlex.quote(scheduler)} {problem}")
    if "://" not in scheduler:
        cluster_file.enter(cluster_file.read(Path(scheduler)))
