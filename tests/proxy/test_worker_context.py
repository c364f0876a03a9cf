"""The deadlines that every client of a worker notes: none is early, whatever the moment."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import Mock

import pytest

from proxy.clock import Clock
from proxy.counters import Counters
from proxy.send_queue import SendQueue
from proxy.settings import Limits, Settings
from proxy.transport import Transport
from proxy.tunnel import Tunnel
from proxy.worker_context import LINGER_S, WorkerContext

LIMITS = Limits(
    head_timeout_s=3.0,
    idle_timeout_s=4.0,
    body_timeout_s=5.0,
    read_timeout_s=6.0,
    half_closed_timeout_s=7.0,
    queue_timeout_s=8.0,
    tunnel_timeout_s=9.0,
)
SWEEP_S = 1.0


class Time:
    """The true time."""

    def __init__(self) -> None:
        self.s = 1000.0

    def monotonic(self) -> float:
        return self.s


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr("proxy.clock.time", time)
    return time


@pytest.fixture
def context(time: Time) -> WorkerContext:
    settings = Settings(("127.0.0.1", 0), (("127.0.0.1", 1),), limits=LIMITS)
    return WorkerContext(settings, Counters(), SendQueue(Mock()), Clock(SWEEP_S))


def waited(context: WorkerContext, time: Time, late: float, has_ended: Callable[[], bool]) -> float:
    """Sweep until something ends that began `late` after a sweep; return how long that has taken."""
    began = time.s
    time.s += SWEEP_S - late
    context.sweep()
    while not has_ended():
        time.s += SWEEP_S
        context.sweep()
    return time.s - began


@pytest.mark.parametrize("late", [0.0, 0.5, 0.999])
@pytest.mark.parametrize(
    ("name", "timeout_s"),
    [
        ("head_until", 3.0),
        ("idle_until", 4.0),
        ("body_until", 5.0),
        ("response_until", 6.0),
        ("half_closed_until", 7.0),
        ("queue_until", 8.0),
        ("linger_until", LINGER_S),
    ],
)
def test_no_wait_of_a_client_ends_early(
    name: str, timeout_s: float, late: float, context: WorkerContext, time: Time
) -> None:
    time.s += late
    client = Mock(deadline=getattr(context, name), owes_request=False)
    context.add_client(client)
    took = waited(context, time, late, lambda: client.timed_out.called)
    assert timeout_s - 1e-9 <= took <= timeout_s + 2 * SWEEP_S


@pytest.mark.parametrize("late", [0.0, 0.5, 0.999])
def test_no_tunnel_ends_early(late: float, context: WorkerContext, time: Time) -> None:
    client, upstream = Mock(Transport), Mock(Transport)
    context.open_tunnel(Tunnel(client, upstream, Mock()), b"")
    time.s += SWEEP_S
    context.sweep()
    time.s += late
    client.set_protocol.call_args.args[0].data_received(b"a sign of life")
    took = waited(context, time, late, lambda: upstream.abort.called)
    assert 9.0 - 1e-9 <= took <= 9.0 + 2 * SWEEP_S


def test_a_drain_waits_for_all_that_is_open(context: WorkerContext) -> None:
    client, tunnel, drained = Mock(deadline=1e9), Mock(), Mock()
    context.add_client(client)
    context.open_tunnel(tunnel, b"")
    context.drain(drained)
    client.drain.assert_called_once()
    tunnel.abort.assert_called_once()
    drained.assert_not_called()
    context.remove_client(client)
    drained.assert_not_called()
    tunnel.begin.call_args.args[1](tunnel)
    drained.assert_called_once()


def test_more_clients_than_allowed_are_told(time: Time) -> None:
    settings = Settings(("127.0.0.1", 0), (("127.0.0.1", 1),), limits=Limits(clients=1))
    counters = Counters()
    context = WorkerContext(settings, counters, SendQueue(Mock()), Clock(SWEEP_S))
    assert [context.add_client(Mock()), context.add_client(Mock())] == [True, False]
    assert counters.accepted == 2
