"""A run on the machines of a cluster: its places are held throughout, each trial is recorded as it ends."""

import queue
import secrets
from pathlib import Path
from typing import Any

from bench.cluster import placement, preparation, same_code, worker
from bench.cluster.connection import connect
from bench.cluster.lease import Lease
from bench.cluster.trial import Machines, perform_trial
from bench.experiment import run as single
from bench.experiment.stopping import Stopping
from bench.experiment.summary import Outcome
from bench.plan.run_plan import Mode, Plan
from bench.progress import Progress
from bench.runs.record import Run, Trial
from bench.runs.target_record import TargetRecord


def perform(plan: Plan, root: Path, progress: Progress, stopping: Stopping | None = None) -> Run:
    """Run every trial of `plan` on the workers of its scheduler, recording each under `root` as it ends.

    LabError before anything is written where the workers cannot take the roles; what was recorded before a
    machine was lost stays.
    """
    assert plan.cluster.scheduler is not None, "the plan was checked"
    topic, reports = f"bench-{secrets.token_hex(8)}", queue.SimpleQueue[Any]()
    with connect(plan.cluster.scheduler) as cluster:
        same_code.check(cluster)
        cluster.client.subscribe_topic(topic, lambda event: reports.put(event[1]))
        with (
            Lease(cluster) as lease,
            placement.hold(cluster, plan, lease, topic, reports) as places,
        ):
            for line in preparation.prepare(cluster, plan, places):
                progress.note(f"warning: {line}")
            machines = Machines(cluster, places, lease, reports)

            def trial(planned: Plan, number: int, mode: Mode) -> Outcome[Trial]:
                return perform_trial(machines, planned, number, mode, progress)

            records = [place.record() for place in places]
            client = machines.of("client")[0].worker.address

            def probe(planned: Plan) -> TargetRecord | None:
                found: TargetRecord | None = cluster.call(client, worker.probe_target, planned)
                return found

            return single.record_run(plan, trial, root, progress, stopping, machines=records, probe=probe)
