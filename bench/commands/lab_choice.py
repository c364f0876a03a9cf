"""Choose the lab of plans, once the files that they name have been read."""

from collections.abc import Sequence

from bench.errors import PlanError
from bench.plan.run_plan import Plan


def choose_lab(plans: Sequence[Plan]) -> str:
    """Return the lab that all plans name; a target is on this machine's loopback, or beyond it.

    PlanError where they name different ones, or where a file that one of them names cannot be read. To be
    called before anything that starts threads: only a process of one thread can take the rights to a lab.
    """
    from bench import lab
    from bench.experiment import load_job

    for plan in plans:
        load_job.read_body(plan.load)
        if plan.load.cacert is not None:
            load_job.read_authority(plan.load.cacert)
    labs = {"loopback" if plan.subject.target else plan.lab for plan in plans}
    if len(labs) > 1:
        raise PlanError(f"the sides name different labs ({', '.join(sorted(labs))}); give --lab")
    if (name := labs.pop()) == "cluster":
        raise PlanError("lab = 'cluster' goes with `bench run`; compare two of its runs with `bench compare`")
    return lab.choose(name)
