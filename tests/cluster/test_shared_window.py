"""Clients that do not end together: figures end with the last second that all of them have."""

from __future__ import annotations

from dataclasses import replace

from bench.cluster.merge import MachinePart
from bench.cluster.shared_window import share_window
from bench.load.generator import Second, Totals
from tests.cluster.observed import SECOND_NS, START_NS, machine, second, totals


def client(number: int, *requests: int, last_s: float = 1.0) -> MachinePart:
    """Return a client with as many requests in each second of its window, the last of which is so long."""
    found = []
    for at, count in enumerate(requests, 1):
        whole = replace(second(at, count), statuses={"200": count, "404": 1})
        found.append(whole)
    found[-1] = replace(found[-1], end_ns=found[-1].start_ns + round(last_s * SECOND_NS))
    told = replace(totals(sum(requests)), window_end_ns=found[-1].end_ns, statuses={"200": sum(requests)})
    bare = machine(f"client-{number}")
    return replace(bare, result=replace(bare.result, totals=told, seconds=tuple(found)))


def held(parts: list[MachinePart]) -> list[tuple[Totals, tuple[Second, ...]]]:
    return [(part.result.totals, part.result.seconds) for part in parts if part.result.totals is not None]


def test_the_window_ends_with_the_last_second_that_all_have() -> None:
    parts = share_window([client(1, 3, 4), client(2, 5, 6, 9), machine("proxy-1")])
    told = held(parts)
    assert [each.requests for each, _ in told] == [7, 11]
    assert {each.window_end_ns for each, _ in told} == {START_NS + 3 * SECOND_NS}
    assert [each.errors["timeout"] for each, _ in told] == [2, 2]
    assert [each.statuses for each, _ in told] == [{"200": 7, "404": 2}, {"200": 11, "404": 2}]
    assert [[each.in_window for each in seconds] for _, seconds in told] == [[True] * 2, [True, True, False]]
    assert len(parts) == 3


def test_the_second_in_which_the_first_one_ended_counts_for_none() -> None:
    told = held(share_window([client(1, 3, 4, last_s=0.5), client(2, 5, 6, 9)]))
    assert [each.requests for each, _ in told] == [3, 5]
    assert {each.window_end_ns for each, _ in told} == {START_NS + 2 * SECOND_NS}
    assert not any(each.interrupted for each, _ in told)


def test_windows_that_end_within_a_tenth_are_one() -> None:
    parts = [client(1, 7, last_s=0.95), client(2, 11)]
    assert share_window(parts) == parts


def test_clients_without_a_whole_second_together_keep_their_windows() -> None:
    parts = [client(1, 7, last_s=0.5), client(2, 11, 12)]
    assert share_window(parts) == parts
