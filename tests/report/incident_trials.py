"""Trials of an incident, made up."""

from __future__ import annotations

from dataclasses import replace

from bench.runs.record import SubjectRecord, TimeWait, Trial, Upstream


def make_trial(number: int, name: str, rate: float, opened: int, held: tuple[int, int]) -> Trial:
    """Return a trial of a thousand requests; `held` is TIME_WAIT on the proxy's side and the backend's."""
    proxy_side, backend_side = held
    sides = {"proxy": TimeWait(), "client": TimeWait(), "backend": TimeWait(end=backend_side)}
    return replace(
        Trial(
            trial=number, mode="short", closes_first=None, subject=SubjectRecord(name, "1"), lab="namespaces"
        ),
        requests_per_s=rate,
        upstream=Upstream(requests_total=1000, connections_opened=opened),
        time_wait=sides,
        time_wait_by_hop={"backend": proxy_side},
    )
