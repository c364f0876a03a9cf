"""What a role raises on its machine names the machine, once."""

from __future__ import annotations

import pytest

from bench.cluster.connection import WorkerFacts, WorkerLost
from bench.cluster.placement import RolePlace
from bench.cluster.trial import with_place
from bench.cluster.worker import WorkerDescription
from bench.errors import LabError, PlanError, RoleError

WHERE = "cluster: proxy-1 on the worker load-1: "
PLACE = RolePlace(
    "proxy-1-aa",
    "proxy-1",
    "proxy",
    WorkerFacts("load-1", "tcp://10.0.0.1:4000", {}),
    WorkerDescription(1, "machine", "net", (0,), {}, {}),
    "10.0.0.1",
)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RoleError("nginx", "ended", "no room"), f"{WHERE}nginx: ended; stderr: no room"),
        (LabError("lab: no file can be written"), f"{WHERE}lab: no file can be written"),
        (LabError("cluster.proxy_at: nothing listens there"), "cluster.proxy_at: nothing listens there"),
        (WorkerLost("cluster: the worker load-1 is gone"), "cluster: the worker load-1 is gone"),
        (PlanError("plan: no"), "plan: no"),
    ],
)
def test_it_names_the_machine(error: Exception, said: str) -> None:
    found = with_place(error, PLACE)
    assert (type(found), str(found)) == (type(error), said)
