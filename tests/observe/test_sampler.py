"""The sampler: samples of every host in turn, exact counts on demand, and what is missing by name."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from bench.observe import host_observer as observed_host
from bench.observe.host_observer import HostObserver, HostSample, HostTarget, KernelView
from bench.observe.sampler import Sampler
from bench.observe.tcp_counters import Counters

TIMEOUT_S = 60.0


class Collected:
    """Samples as they come, and an event once there are enough of them."""

    def __init__(self, enough: int) -> None:
        self.samples: list[HostSample] = []
        self.is_enough = threading.Event()
        self._enough = enough

    def __call__(self, sample: HostSample) -> None:
        self.samples.append(sample)
        if len(self.samples) >= self._enough:
            self.is_enough.set()


def run(sampler: Sampler, collected: Collected) -> None:
    sampler.start()
    assert collected.is_enough.wait(TIMEOUT_S)
    sampler.stop()


def test_samples_come_in_order_and_know_their_host(here: Any) -> None:
    collected = Collected(5)
    sampler = Sampler([HostTarget(here, [os.getpid()])], collected, interval_ns=1_000_000)
    run(sampler, collected)
    sampler.close()
    moments = [sample.t_ns for sample in collected.samples]
    assert moments == sorted(moments)
    assert {sample.host for sample in collected.samples} == {"here"}
    cpu = [sample.cpu_s for sample in collected.samples]
    assert cpu == sorted(cpu)
    assert cpu[0] > 0
    assert collected.samples[0].memory_mib > 1
    assert sampler.missing == []
    assert 0 < sampler.cpu_share < 1


def test_a_process_that_takes_anothers_place_is_counted_beside_it(here: Any) -> None:
    sampler = Sampler([HostTarget(here)], lambda sample: None)
    assert sampler.cpu_s("here") == 0
    sampler.add_process("here", os.getpid())
    assert sampler.cpu_s("here") > 0
    sampler.close()


def test_sockets_are_counted_exactly_by_side(here: Any, wire: Any) -> None:
    as_proxy = HostTarget(here, listens=frozenset({wire.port}), connects_to=frozenset({wire.port}))
    sampler = Sampler([as_proxy], lambda sample: None)
    wire.connect()
    wire.time_wait(7)
    wire.time_wait(5, client_closes=False)
    seen = sampler.observe("here")
    assert seen.sockets is not None
    assert seen.sockets.time_wait_by_hop == {"client": 5, "backend": 7}
    assert seen.sockets.ports_used == 8
    assert seen.peaks.time_wait == 12
    assert seen.counters is not None
    assert seen.counters.active_opens >= 13
    sampler.close()


def test_a_sample_after_a_survey_has_its_counts(here: Any, wire: Any) -> None:
    collected = Collected(1)
    as_proxy = HostTarget(here, listens=frozenset({1}), connects_to=frozenset({wire.port}))
    sampler = Sampler([as_proxy], collected, is_shared=True)
    wire.time_wait(9)
    run(sampler, collected)
    sampler.close()
    first = collected.samples[0]
    assert (first.time_wait, first.ports_used) == (9, 9)


@pytest.mark.parametrize("is_shared", [False, True])
def test_what_trials_before_left_in_time_wait_is_not_this_ones(here: Any, wire: Any, is_shared: bool) -> None:
    elsewhere = HostTarget(here, listens=frozenset({1}), connects_to=frozenset({2}))
    observer = HostObserver(elsewhere, is_shared)
    wire.time_wait(400)
    before = Counters(time_wait=400)
    kernel = KernelView(here)
    sockets = kernel.sockets()
    kernel.close()
    assert sockets is not None
    observer.left_over = 400
    assert observer.count_sockets(before, sockets).time_wait == 0
    grown = Counters(active_opens=90, time_wait=490)
    assert observer.sample(1, grown).time_wait == 90
    fallen = Counters(active_opens=90, time_wait=300)
    assert observer.sample(2, fallen).time_wait == 0


def test_on_loopback_shared_counters_are_no_witness(here: Any) -> None:
    collected = Collected(1)
    sampler = Sampler([HostTarget(here)], collected, is_shared=True)
    run(sampler, collected)
    sample = collected.samples[0]
    values = (
        sample.active_opens,
        sample.passive_opens,
        sample.established,
        sample.resets,
        sample.listen_overflows,
    )
    assert values == (None,) * 5
    assert sampler.observe("here").counters is None
    sampler.close()


def refuse() -> Any:
    raise OSError(93, "Protocol not supported")


def test_without_the_kernels_counters_sockets_are_counted_all_the_same(
    here: Any, wire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observed_host, "CounterFiles", refuse)
    wire.time_wait(3)
    collected = Collected(2)
    sampler = Sampler(
        [HostTarget(here, connects_to=frozenset({wire.port}))], collected, interval_ns=1_000_000
    )
    run(sampler, collected)
    assert sampler.missing == [
        "not measured on here: opens, resets, listen overflows and established connections (/proc/net):"
        " Protocol not supported"
    ]
    assert collected.samples[-1].time_wait == 3
    assert collected.samples[-1].established is None
    sockets = sampler.observe("here").sockets
    assert sockets is not None
    assert sockets.time_wait_by_hop == {"client": 0, "backend": 3}
    sampler.close()


def test_where_sockets_cannot_be_counted_nothing_is_made_up(
    here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for source in ("CounterFiles", "SockDiag", "SocketTable"):
        monkeypatch.setattr(observed_host, source, refuse)
    collected = Collected(2)
    watched = HostTarget(here, [os.getpid()])
    sampler = Sampler([watched], collected, is_shared=True, interval_ns=1_000_000)
    run(sampler, collected)
    assert sampler.missing[1:] == [
        "not measured on all hosts: TIME_WAIT and ports in use (sock_diag): Protocol not supported;"
        " nor by psutil: Protocol not supported"
    ]
    assert sampler.observe("here").sockets is None
    sample = collected.samples[-1]
    assert (sample.time_wait, sample.ports_used, sample.active_opens) == (None, None, None)
    assert sample.cpu_s > 0
    sampler.close()


def test_psutil_counts_where_the_kernel_has_no_sock_diag(
    here: Any, wire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observed_host, "SockDiag", refuse)
    wire.connect()
    wire.time_wait(7)
    wire.time_wait(5, client_closes=False)
    both = frozenset({wire.port})
    sampler = Sampler([HostTarget(here, listens=both, connects_to=both)], lambda sample: None, is_shared=True)
    assert sampler.missing == [
        "not measured on all hosts: TIME_WAIT and ports in use (sock_diag): Protocol not supported;"
        " psutil counts them instead, less often"
    ]
    seen = sampler.observe("here").sockets
    assert seen is not None
    assert (seen.time_wait_by_hop, seen.ports_used) == ({"client": 5, "backend": 7}, 8)
    sampler.close()


def test_a_namespace_is_not_counted_by_this_machines_table(
    here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observed_host, "SockDiag", refuse)
    sampler = Sampler([HostTarget(here)], lambda sample: None)
    assert len(sampler.missing) == 1
    assert sampler.observe("here").sockets is None
    sampler.close()


def test_a_failure_of_the_thread_is_raised_at_the_stop(here: Any) -> None:
    asked: list[Callable[[], None]] = []

    def fail(sample: HostSample) -> None:
        asked.append(lambda: None)
        raise OSError("no space left on device")

    sampler = Sampler([HostTarget(here)], fail)
    sampler.start()
    with pytest.raises(OSError, match="no space left"):
        sampler.stop()
    assert len(asked) == 1
    sampler.close()
