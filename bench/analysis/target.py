"""What is said of the server of `--target`: values in, one line out. Pure."""

from collections.abc import Container, Mapping
from typing import Any

from bench.plan import load_values
from bench.runs.target_record import TargetRecord

SUCCESS: Container[int] = range(200, 300)


def describe_answer(target: TargetRecord, right: Container[int] = SUCCESS) -> str:
    """Return in one line what answered at the target, and why that is no success where it is none."""
    over = f"{target.protocol} over {target.tls}" if target.tls else target.protocol
    facts = [over]
    if target.server:
        facts.append(target.server)
    if not target.keeps:
        facts.append("closes the connection after each response")
    text = f"{target.url} answers {_status(target)} ({', '.join(facts)})"
    return text if target.status in right else f"{text}; {_not_right(target)}"


def _status(target: TargetRecord) -> str:
    return f"{target.status} {target.reason}".strip()


def _not_right(target: TargetRecord) -> str:
    """Return why the status is no success, and what to do."""
    accept = f"or accept it with --expect-status {target.status}"
    if 300 <= target.status < 400 and target.location:
        return f"that is a redirect to {target.location}, and none is followed: request that, {accept}"
    if target.status < 400:
        return f"that is no success: request another URL, {accept}"
    blame = "the request" if target.status < 500 else "the server"
    return f"that is an error of {blame} and counts as one: request another URL, {accept}"


def right_statuses(load: Mapping[str, Any]) -> frozenset[int]:
    """Return the statuses that the `load` of a plan expects."""
    ranges = load_values.statuses(str(load.get("expect_status", "2xx")))
    return frozenset(status for low, high in ranges for status in range(low, high + 1))
