"""The life of one trial: its lab opens, roles start and run in it, everything ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict

from bench import lab
from bench.experiment.testbed import Testbed, TrialRequest
from bench.progress import Progress


@contextmanager
def opened(request: TrialRequest, lab_name: str, progress: Progress) -> Iterator[Testbed]:
    """Open the testbed of one trial for a block, in which its roles are started and run.

    After the block, `overhead_s` of the testbed is known. RoleError when a role does not come up or falls
    silent, LabError when the lab does not open.
    """
    began_s = time.monotonic()
    progress.trial(request.number, request.label, request.warmup_s, request.duration_s)
    with lab.open_lab(lab_name, **asdict(request.lab)) as place, ExitStack() as stack:
        testbed = Testbed(place, stack, request, progress)
        yield testbed
    progress.phase("done")
    assert testbed.result is not None, f"{request.label} never let its clients go"
    testbed.overhead_s = time.monotonic() - began_s - testbed.result.load_s - testbed.apart_s
