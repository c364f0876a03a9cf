"""Choose where the trials of plans run, once the files that they name have been read."""

import shlex
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bench.errors import PlanError
from bench.plan.cluster_plan import scheduler_problem
from bench.plan.run_plan import Plan

if TYPE_CHECKING:
    from bench.experiment.stage import Stage
    from bench.progress import Progress


OpenStage: TypeAlias = "Callable[[Progress], AbstractContextManager[Stage]]"
"""Opens the place of a run's trials for a block; the observer of the run is told of what differs there."""


def choose_stage(plans: Sequence[Plan]) -> OpenStage:
    """Return what opens the place where the trials of all plans run: here, or on the machines of a cluster.

    PlanError where they name different ones, or where a file that one of them names cannot be read. To be
    called before anything that starts threads: only a process of one thread can take the rights to a lab.
    """
    for plan in plans:
        read_files(plan)
    # A target is on this machine's loopback, or beyond it.
    labs = {"loopback" if plan.subject.target and plan.lab != "cluster" else plan.lab for plan in plans}
    if len(labs) > 1:
        raise PlanError(f"the plans name different labs ({', '.join(sorted(labs))}); give --lab")
    if (name := labs.pop()) == "cluster":
        return _choose_cluster(plans)
    from bench import lab

    lab_name = lab.choose(name)
    from bench.experiment.run import LabStage

    return lambda progress: nullcontext(LabStage(lab_name))


def _choose_cluster(plans: Sequence[Plan]) -> OpenStage:
    for key in ("scheduler", "data_interface", "proxy_at"):
        named = {str(getattr(plan.cluster, key) or "none") for plan in plans}
        if len(named) > 1:
            raise PlanError(
                f"the plans name different values of cluster.{key} ({', '.join(sorted(named))}), and their"
                " trials share the machines; give one"
            )
    enter_cluster(str(plans[0].cluster.scheduler))
    from bench.cluster import stage

    return partial(stage.open_stage, plans)


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
