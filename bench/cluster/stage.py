"""The machines of a cluster as the place of a run's trials: its roles' places are held throughout."""

import queue
import secrets
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from bench.cluster import placement, preparation, same_code, worker
from bench.cluster.connection import connect
from bench.cluster.lease import Lease
from bench.cluster.placement import HeldPlaces
from bench.cluster.trial import Machines, perform_trial
from bench.experiment.summary import Outcome
from bench.plan.run_plan import Mode, Plan
from bench.progress import Progress
from bench.runs.machine_record import MachineRecord
from bench.runs.record import Trial
from bench.runs.target_record import TargetRecord


@dataclass(slots=True)
class ClusterStage:
    """The places of some plans, which are held. A trial has those of its own plan, the others rest."""

    _held: HeldPlaces
    _machines: Machines
    """All of them."""
    _progress: Progress
    _warned: set[str] = field(default_factory=set)
    _reached: set[Hashable] = field(default_factory=set)
    """Which places have been seen to reach each other, with the ports that they listen at."""

    @property
    def machines(self) -> Sequence[MachineRecord]:
        """Return the machines as the header of a run holds them."""
        return [place.record() for place in self._machines.places]

    def check(self, plan: Plan) -> None:
        """Raise BenchError where a machine cannot take its role, or reach the next one; say what differs."""
        cluster, places = self._machines.cluster, self._held.of(plan)
        differing = preparation.prepare(cluster, plan, places)
        ports = (plan.cluster.proxy_port, plan.cluster.backend_port)
        reached = (tuple(place.key for place in places), plan.subject.target, ports)
        if reached not in self._reached:
            preparation.check_paths(cluster, plan, places)
            self._reached.add(reached)
        for line in differing:
            if line not in self._warned:
                self._warned.add(line)
                self._progress.note(f"warning: {line}")

    def probe(self, plan: Plan) -> TargetRecord | None:
        """Return what answers at the target of a plan, as the first client sees it."""
        client = next(place for place in self._held.of(plan) if place.role == "client")
        found: TargetRecord | None = self._machines.cluster.call(
            client.worker.address, worker.probe_target, plan
        )
        return found

    def perform(self, plan: Plan, number: int, mode: Mode, progress: Progress) -> Outcome[Trial]:
        """Run one trial."""
        return perform_trial(
            replace(self._machines, places=self._held.of(plan)), plan, number, mode, progress
        )


@contextmanager
def open_stage(plans: Sequence[Plan], progress: Progress) -> Iterator[ClusterStage]:
    """Hold the places of `plans`, which share their scheduler, on its workers for a block.

    LabError where the workers cannot take the roles.
    """
    scheduler = plans[0].cluster.scheduler
    assert scheduler is not None, "the plan was checked"
    topic, reports = f"bench-{secrets.token_hex(8)}", queue.SimpleQueue[Any]()
    with connect(scheduler) as cluster:
        same_code.check(cluster)
        cluster.client.subscribe_topic(topic, lambda event: reports.put(event[1]))
        with (
            Lease(cluster) as lease,
            placement.hold(cluster, plans, lease, topic, reports) as held,
        ):
            yield ClusterStage(held, Machines(cluster, held.all, lease, reports), progress)
