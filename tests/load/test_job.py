"""A job survives its JSON line, and is split without remainder."""

import json

from hypothesis import given
from hypothesis import strategies as st

from bench.load.job import LoadJob, split

JOB = LoadJob(
    "127.0.0.1",
    80,
    "a.example",
    headers=(("Accept", "*/*"),),
    body_bytes=(1, 5),
    rate=10.0,
    requests=7,
    connections=5,
)


def test_a_job_survives_its_json_line() -> None:
    line = json.dumps({"command": "job", **JOB.to_json()})
    assert LoadJob.from_json(json.loads(line)) == JOB
    plain = LoadJob("::1", 80, "a")
    assert LoadJob.from_json(json.loads(json.dumps(plain.to_json()))) == plain


@given(st.integers(1, 50), st.integers(0, 100))
def test_the_parts_are_the_whole(workers: int, more: int) -> None:
    connections = workers + more
    parts = split(LoadJob("h", 80, "h", connections=connections, requests=more, rate=1000.0), workers)
    assert sum(part.connections for part in parts) == connections
    assert sum(part.requests or 0 for part in parts) == more
    assert abs(sum(part.rate or 0 for part in parts) - 1000) < 1e-6
    assert max(part.connections for part in parts) - min(part.connections for part in parts) <= 1
    assert [part.worker for part in parts] == list(range(workers))
    assert [part.rate_phase for part in parts] == [worker / workers for worker in range(workers)]
