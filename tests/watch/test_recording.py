"""A recording: stretches of hops and of the host that are read as they were written, masked where asked."""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import WriteError
from bench.runs import read, storage
from bench.runs.watch_trial import HOST_CASE, WatchPlan, WatchRun, WatchTrial
from bench.watch import verdict
from bench.watch.known_hops import MOST_CLIENTS, MOST_HOPS, KnownHops
from bench.watch.masks import Masks
from bench.watch.model import (
    OTHER_PEERS,
    Direction,
    HopFlow,
    HostFlow,
    HostState,
    PeerHop,
    RequestFlow,
    Snapshot,
    Source,
)
from bench.watch.recording import Recorder
from bench.watch.stretches import LASTS_S
from tests.watch.made_up import CLIENT, UPSTREAM, Row, hop, kept, short, watched
from tests.watch.scripted import look

PLAN = WatchPlan("process nginx", "exact", 1.0, LASTS_S, ("nginx-log:/var/log/up.log",))


def record(
    folder: Path, snapshots: Sequence[Snapshot], *, masks: Masks | None = None, told: list[str] | None = None
) -> Path | None:
    """Record `snapshots` into `folder`, and return where the recording is."""
    tell = [] if told is None else told
    recorder = Recorder(folder, PLAN, verdict.judge, tell.append, masks=masks)
    for end in range(1, len(snapshots) + 1):
        recorder(look(snapshots[:end]))
    return recorder.close()


def recorded(
    tmp_path: Path, snapshots: Sequence[Snapshot], masks: Masks | None = None
) -> tuple[WatchRun, dict[tuple[str, int], WatchTrial]]:
    """Record `snapshots` and return what is read of it, with its trials by case and stretch."""
    folder = record(tmp_path / "before", snapshots, masks=masks)
    assert folder is not None
    run: WatchRun = read.read(folder)
    assert run.damage == ()
    return run, {(trial.case, trial.block or 0): trial for trial in run.trials}


def test_a_stretch_has_a_trial_of_the_host_and_one_of_each_hop(tmp_path: Path) -> None:
    run, trials = recorded(tmp_path, watched(short(UPSTREAM, 2_000, 20)))
    assert (run.kind, run.plan["watch"]["scope"]) == ("watch", "process nginx")
    assert list(trials) == [(HOST_CASE, 1), ("10.0.0.2:8080", 1), (HOST_CASE, 2), ("10.0.0.2:8080", 2)]
    assert [trial.trial for trial in run.trials] == [1, 2, 3, 4]
    hop_trial = trials["10.0.0.2:8080", 2]
    assert (hop_trial.opened_per_s, hop_trial.closed_here_per_s, hop_trial.t_s) == (2_000, 2_000, 10)
    assert (hop_trial.time_wait["host"].peak, hop_trial.ports_used) == (40_000, 40_000)
    assert hop_trial.curves["time_wait"][0] == (11.0, 22_000.0)


def test_the_host_has_what_the_kernel_counted_and_the_verdict(tmp_path: Path) -> None:
    host = HostState(time_wait=9, conntrack=50, max_conntrack=100)
    flow = HostFlow(active_opens=10, passive_opens=5, estab_resets=2, listen_overflows=1)
    rows = [Row(each.hops, flow, host) for each in short(UPSTREAM, 2_000, 10)]
    _, trials = recorded(tmp_path, watched(rows))
    found = trials[HOST_CASE, 1]
    assert (found.opened_per_s, found.resets_per_s, found.listen_overflows_per_s) == (15, 2, 1)
    assert (found.conntrack_share, found.time_wait["host"].peak) == (0.5, 9)
    assert any("10.0.0.2:8080" in sentence for sentence in found.verdict)


def test_a_hop_that_has_gone_quiet_has_trials_of_zeros(tmp_path: Path) -> None:
    _, trials = recorded(tmp_path, watched([*short(UPSTREAM, 50, 10), *[Row()] * 10]))
    assert (trials["10.0.0.2:8080", 1].opened_per_s, trials["10.0.0.2:8080", 2].opened_per_s) == (50, 0)


def test_short_intervals_share_a_point_a_second(tmp_path: Path) -> None:
    _, trials = recorded(tmp_path, watched(short(UPSTREAM, 5, 50), step_s=0.2))
    found = trials["10.0.0.2:8080", 1]
    assert [at_s for at_s, _ in found.curves["opened_per_s"]] == pytest.approx(range(1, 11))
    assert [rate for _, rate in found.curves["opened_per_s"]] == pytest.approx([25.0] * 10)
    assert found.curves["time_wait"][0] == (1.0, 25.0)  # the most of the second


def test_a_stretch_in_which_nothing_happened_takes_little_room(tmp_path: Path) -> None:
    _, trials = recorded(tmp_path, watched([*short(UPSTREAM, 50, 10), *[Row()] * 10]))
    assert (trials["10.0.0.2:8080", 1].curves != {}, trials["10.0.0.2:8080", 2].curves) == (True, {})


def test_requests_are_over_the_connections_of_the_stretch(tmp_path: Path) -> None:
    flow = RequestFlow("log", 500, port=8080)
    rows = [replace(row, requests=(flow,)) for row in short(UPSTREAM, 100, 10)]
    rows += [replace(row, requests=(flow,)) for row in kept(UPSTREAM, 4, 10)]
    _, trials = recorded(tmp_path, watched(rows))
    first, second = trials["10.0.0.2:8080", 1], trials["10.0.0.2:8080", 2]
    assert (first.requests_per_connection, first.opened_per_request) == (5.0, 0.2)
    assert (second.requests_per_connection, second.opened_per_request) == (None, 0.0)


def test_an_rst_behind_a_fin_is_a_rate_of_its_own(tmp_path: Path) -> None:
    flow = HopFlow(opened=6, closed_there=6, reset_after_fin=3)
    _, trials = recorded(tmp_path, watched([Row((hop(UPSTREAM, flow),))] * 10))
    trial = trials["10.0.0.2:8080", 1]
    assert (trial.closed_there_per_s, trial.reset_after_fin_per_s) == (6.0, 3.0)
    assert (trial.reset_there_per_s, trials[HOST_CASE, 1].reset_after_fin_per_s) == (0.0, None)


def test_a_piece_of_a_stretch_counts_only_where_it_is_all_there_is(tmp_path: Path) -> None:
    _, trials = recorded(tmp_path, watched(short(UPSTREAM, 5, 13)))
    assert [trials[HOST_CASE, block].interrupted for block in (1, 2)] == [False, True]
    assert trials[HOST_CASE, 2].window_s == 3
    folder = record(tmp_path / "piece", watched(short(UPSTREAM, 5, 4)))
    assert folder is not None
    assert not read.read(folder).trials[0].interrupted


def test_a_lower_bound_is_marked(tmp_path: Path) -> None:
    rows = [
        replace(row, flow=HostFlow(active_opens=900)) for row in short(UPSTREAM, 50, 10, closed_there=True)
    ]
    _, trials = recorded(tmp_path, watched(rows, Source.SAMPLED))
    assert (trials["10.0.0.2:8080", 1].is_lower_bound, trials["10.0.0.2:8080", 1].source) == (True, "sampled")


def test_with_masks_no_address_and_no_name_reaches_the_disk(tmp_path: Path) -> None:
    flow = RequestFlow("nginx access log /var/log/up.log", 500, port=8080)
    rows = [replace(row, requests=(flow,)) for row in short(UPSTREAM, 2_000, 10)]
    run, trials = recorded(tmp_path, watched(rows), Masks())
    assert ("peer-1:8080", 1) in trials
    assert run.plan["watch"] == {
        "scope": "a host",
        "source": "exact",
        "interval_s": 1.0,
        "stretch_s": LASTS_S,
        "requests": ["nginx-log:place-1"],
        "is_anonymized": True,
    }
    written = (tmp_path / "before" / storage.RUN_FILE).read_text(encoding="utf-8")
    assert [secret for secret in ("10.0.0.2", "up.log", "/var", "nginx,") if secret in written] == []
    assert any("peer-1:8080" in sentence for sentence in trials[HOST_CASE, 1].verdict)


def test_a_folder_that_holds_anything_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(WriteError, match=r"is not empty; name a new folder"):
        record(tmp_path, watched(short(UPSTREAM, 5, 1)))
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]


def test_nothing_recorded_leaves_no_folder(tmp_path: Path) -> None:
    assert record(tmp_path / "new", []) is None
    assert not (tmp_path / "new").exists()


def test_a_full_disk_is_told_once_and_the_looks_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: object, text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    told: list[str] = []
    recorder = Recorder(tmp_path / "full", PLAN, verdict.judge, told.append)
    monkeypatch.setattr(storage, "_append", refuse)
    snapshots = watched(short(UPSTREAM, 5, 25))
    for end in range(1, len(snapshots) + 1):
        recorder(look(snapshots[:end]))
    assert recorder.close() is None
    assert told == [
        f"{tmp_path / 'full'}: No space left on device; the recording ends here, and the watch goes on"
    ]


def test_what_was_written_before_the_disk_was_full_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = storage._append
    written: list[str] = []

    def until_full(file: object, text: str) -> None:
        written.append(text)
        if len(written) > 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(file, text)  # type: ignore[arg-type]

    monkeypatch.setattr(storage, "_append", until_full)
    folder = record(tmp_path / "half", watched(short(UPSTREAM, 5, 25)))
    assert folder is not None
    assert [trial.case for trial in read.read(folder).trials] == [HOST_CASE, "10.0.0.2:8080"]


def test_peers_beyond_those_that_are_told_apart_share_a_hop() -> None:
    hops = [PeerHop(Direction.OUTGOING, f"10.0.{at}.1", 80) for at in range(MOST_HOPS + 5)]
    known = KnownHops()
    folded = known.fold(watched([Row(tuple(hop(each, HopFlow(opened=2), ports_used=3) for each in hops))])[0])
    others = [each for each in folded.hops if each.hop.peer == OTHER_PEERS]
    assert (len(folded.hops), len(others)) == (MOST_HOPS + 1, 1)
    assert (others[0].flow.opened, others[0].state.ports_used) == (10, 3)
    assert sum(each.flow.opened for each in folded.hops) == 2 * len(hops)


def test_clients_of_a_port_share_a_hop_beyond_a_few_and_the_busiest_are_told_apart() -> None:
    clients = [PeerHop(Direction.INCOMING, f"10.0.{at}.1", 443) for at in range(MOST_CLIENTS + 3)]
    known = KnownHops()
    row = Row(tuple(hop(each, HopFlow(opened=at)) for at, each in enumerate(clients)))
    names = [str(each.hop) for each in known.fold(watched([row])[0]).hops]
    assert names == [*map(str, reversed(clients[3:])), f"{OTHER_PEERS} to :443"]


def test_a_hop_keeps_its_place_whatever_comes_later() -> None:
    known = KnownHops()
    known.fold(watched([Row((hop(CLIENT),))])[0])
    many = tuple(
        hop(PeerHop(Direction.INCOMING, f"10.1.{at}.1", 80), HopFlow(opened=9)) for at in range(MOST_CLIENTS)
    )
    folded = known.fold(watched([Row((*many, hop(CLIENT, HopFlow(opened=1))))])[0])
    assert CLIENT in [each.hop for each in folded.hops]


def test_a_line_of_a_recording_holds_nothing_that_json_has_no_word_for(tmp_path: Path) -> None:
    flow = RequestFlow("log", 500, port=8080)
    rows = [replace(row, requests=(flow,)) for row in kept(UPSTREAM, 4, 10)]  # infinitely many a connection
    recorded(tmp_path, watched(rows))
    for line in (tmp_path / "before" / storage.RUN_FILE).read_text(encoding="utf-8").splitlines():
        json.loads(line, parse_constant=pytest.fail)
