"""A dump is made of the kernel's rows: which hop each socket belongs to, and what is kept of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.observe.sock_diag import ESTABLISHED, SYN_RECV, SYN_SENT, address_text
from bench.watch.columns import backlogs, socket_columns
from bench.watch.dump import Dump
from bench.watch.dump_reader import KnownPorts, read_dump
from tests.watch.socket_rows import listener, message, rows, waiting

NOW_MS = 1e6


def look(*messages: bytes, listeners: tuple[bytes, ...] = (), before: Dump | None = None) -> Dump:
    return read_dump([rows(messages)], lambda: NOW_MS, known(*listeners), before)


def known(*listeners: bytes) -> KnownPorts:
    found = KnownPorts()
    found.listened.update(rows(listeners), NOW_MS)
    found.port_range = (32768, 60999)
    return found


def hops(found: Dump) -> set[str]:
    return {
        f"{'from' if is_incoming else 'to'} {address_text(words)}:{port}"
        for is_incoming, words, port in zip(
            found.hops.is_incoming, found.hops.peer_words, found.hops.port, strict=True
        )
    }


HERE, THERE = ("10.0.0.1", 40_000), ("10.0.0.2", 443)


@pytest.mark.parametrize(
    ("listeners", "socket", "expected"),
    [
        pytest.param([], message(ESTABLISHED, HERE, THERE), "to 10.0.0.2:443", id="nobody listens"),
        pytest.param(
            [listener("0.0.0.0", 8080)],
            message(ESTABLISHED, ("10.0.0.1", 8080), ("10.0.0.9", 5)),
            "from 10.0.0.9:8080",
            id="a port that is listened on",
        ),
        pytest.param(
            [listener("::", 8080)],
            message(ESTABLISHED, ("::ffff:10.0.0.1", 8080), ("::ffff:10.0.0.9", 5)),
            "from 10.0.0.9:8080",
            id="IPv4 at a listener of both",
        ),
        pytest.param(
            [listener("10.0.0.1", 8080)],
            message(ESTABLISHED, ("::ffff:10.0.0.1", 8080), ("::ffff:10.0.0.9", 5)),
            "from 10.0.0.9:8080",
            id="IPv4 in another guise",
        ),
        pytest.param(
            [listener("127.0.0.1", 40_000)],
            message(ESTABLISHED, HERE, THERE),
            "to 10.0.0.2:443",
            id="somebody listens there, but at another address",
        ),
        pytest.param(
            [listener("2001:db8::1", 443)],
            waiting(("2001:db8::1", 443), ("2001:db8::9", 9)),
            "from 2001:db8::9:443",
            id="IPv6",
        ),
        pytest.param(
            [],
            waiting(("10.0.0.1", 8080), ("10.0.0.9", 40_000)),
            "from 10.0.0.9:8080",
            id="whoever listened was gone before the watch began",
        ),
        pytest.param(
            [],
            waiting(("10.0.0.1", 700), ("10.0.0.9", 2049)),
            "to 10.0.0.9:2049",
            id="a program chose its port itself",
        ),
        pytest.param(
            [listener("0.0.0.0", 80), listener("0.0.0.0", 80)],
            waiting(("10.0.0.1", 80), ("10.0.0.9", 9)),
            "from 10.0.0.9:80",
            id="several sockets listen there (SO_REUSEPORT)",
        ),
    ],
)
def test_who_opened_a_connection_shows_in_who_listens(
    listeners: list[bytes], socket: bytes, expected: str
) -> None:
    assert hops(look(socket, listeners=tuple(listeners))) == {expected}


def test_a_listener_that_went_away_is_remembered_and_then_forgotten() -> None:
    ports, ended = known(listener("0.0.0.0", 8080)), waiting(("10.0.0.1", 8080), ("10.0.0.9", 5))
    ports.listened.update(rows([]), NOW_MS + 100_000)
    assert hops(read_dump([rows([ended])], lambda: NOW_MS, ports)) == {"from 10.0.0.9:8080"}
    ports.listened.update(rows([]), NOW_MS + 130_000)
    assert hops(read_dump([rows([ended])], lambda: NOW_MS, ports)) == {"to 10.0.0.9:5"}


def test_a_connection_keeps_its_hop_whoever_listens_later() -> None:
    connection = message(ESTABLISHED, ("10.0.0.1", 8080), ("10.0.0.9", 5), inode=3)
    first = look(connection, listeners=(listener("0.0.0.0", 8080),))
    second = look(connection, before=first)
    third = look(waiting(("10.0.0.1", 8080), ("10.0.0.9", 5)), before=second)
    assert hops(second) == {"from 10.0.0.9:8080"}
    assert second.connections.hop.tolist() == third.arrivals.hop.tolist()


def test_sockets_in_time_wait_are_counted_by_place_and_only_late_ones_kept() -> None:
    old = [waiting(("10.0.0.1", port), THERE, 30_000) for port in (33_000, 33_001, 500)]
    found = look(*old, waiting(("10.0.0.3", 33_000), THERE, 10))
    # Port 500 was chosen by the program; 10.0.0.1 and 10.0.0.3 have ports of their own.
    assert sorted(zip(found.waits.sockets.tolist(), found.waits.in_range.tolist(), strict=True)) == [
        (1, 1),
        (3, 2),
    ]
    assert len(found.arrivals) == 1
    assert found.sockets == 4


def test_a_connection_that_ended_while_the_dump_went_on_is_no_connection_any_more() -> None:
    times = iter([NOW_MS, NOW_MS + 20, NOW_MS + 40, NOW_MS + 40])
    parts = [rows([message(ESTABLISHED, HERE, THERE, inode=1)]), rows([waiting(HERE, THERE, 10)])]
    found = read_dump(parts, lambda: next(times), known())
    assert (len(found.connections), len(found.arrivals)) == (0, 1)


def test_being_opened_is_not_being_open() -> None:
    found = look(
        *(message(state, ("10.0.0.1", 40_000 + state), THERE) for state in (ESTABLISHED, SYN_SENT, SYN_RECV))
    )
    assert found.connections.state[found.connections.is_open].tolist() == [ESTABLISHED]


ADDRESSES = st.sampled_from(["10.0.0.1", "::ffff:10.0.0.1", "127.0.0.1", "2001:db8::1", "::1", "10.0.0.2"])
ENDS = st.tuples(ADDRESSES, st.sampled_from([80, 8080, 40_000]))


@given(st.lists(st.tuples(ENDS, ENDS, st.booleans()), max_size=20), st.integers(1, 5))
def test_a_dump_is_the_same_in_whatever_buffers_it_comes(
    sockets: list[tuple[tuple[str, int], tuple[str, int], bool]], size: int
) -> None:
    told = [
        waiting(local, remote, 100) if is_waiting else message(ESTABLISHED, local, remote)
        for local, remote, is_waiting in sockets
    ]
    listeners = (listener("0.0.0.0", 80),)
    parts = [rows(told[at : at + size]) for at in range(0, len(told), size)]
    whole, pieces = look(*told, listeners=listeners), read_dump(parts, lambda: NOW_MS, known(*listeners))
    assert hops(whole) == hops(pieces)
    for one, other in (
        (whole.connections.tuples, pieces.connections.tuples),
        (whole.waits.place, pieces.waits.place),
        (whole.waits.sockets, pieces.waits.sockets),
        (whole.arrivals.tuples, pieces.arrivals.tuples),
    ):
        assert one.tolist() == other.tolist()


# -- columns


@given(st.lists(st.tuples(ENDS, ENDS), min_size=1, max_size=30))
def test_a_tuple_has_one_hash_and_its_other_end_another(pairs: list[tuple[object, object]]) -> None:
    def plain(ends: tuple[object, ...]) -> tuple[object, ...]:
        return tuple((str(address).removeprefix("::ffff:"), port) for address, port in ends)  # type: ignore[misc, has-type]

    ours = socket_columns(rows([message(ESTABLISHED, *pair) for pair in pairs]))  # type: ignore[arg-type]
    theirs = socket_columns(rows([message(ESTABLISHED, *pair[::-1]) for pair in pairs]))  # type: ignore[arg-type]
    assert ours.other_ends.tolist() == theirs.tuples.tolist()
    names = [plain(pair) for pair in pairs]
    for at, number in enumerate(ours.tuples.tolist()):
        for other_at, other in enumerate(ours.tuples.tolist()):
            assert (number == other) == (names[at] == names[other_at])


def test_columns_are_what_the_kernel_told() -> None:
    found = socket_columns(rows([message(ESTABLISHED, ("10.0.0.1", 1), ("2001:db8::2", 65535), inode=42)]))
    assert (int(found.state[0]), int(found.local_port[0]), int(found.remote_port[0])) == (1, 1, 65535)
    assert (address_text(found.local_words[0]), address_text(found.remote_words[0])) == (
        "10.0.0.1",
        "2001:db8::2",
    )
    assert found.inode.tolist() == [42]


def test_backlogs_of_sockets_that_share_a_port_are_added_up() -> None:
    listeners = [
        listener("0.0.0.0", 80, waiting=3, most=128),
        listener("0.0.0.0", 80, waiting=1, most=128),
        listener("::1", 81, most=5),
    ]
    assert backlogs(rows(listeners)) == {80: (4, 256), 81: (0, 5)}


def test_no_sockets_are_no_sockets() -> None:
    found = read_dump([], lambda: NOW_MS, known())
    assert (found.sockets, len(found.hops), len(found.arrivals)) == (0, 0, 0)
    assert backlogs(np.zeros((0, 22), np.uint32)) == {}


def ended(count: int, *, near: int | None = 50_000, far: int | None = None) -> list[bytes]:
    """Return sockets in TIME_WAIT between ports of the range; None stands for another port each."""
    return [
        waiting(("10.0.0.1", near or 33_000 + at), ("10.0.0.9", far or 43_000 + at), 30_000)
        for at in range(count)
    ]


@pytest.mark.parametrize(
    ("sockets", "expected", "untold"),
    [
        (ended(5), {"from 10.0.0.9:50000"}, 0),
        (ended(200), {"from 10.0.0.9:50000"}, 0),
        (ended(200, near=None, far=50_051), {"to 10.0.0.9:50051"}, 0),
        ([*ended(200), *ended(200, near=None, far=50_051)], {"from 10.0.0.9:50000", "to 10.0.0.9:50051"}, 0),
        (ended(3, near=None), {f"to 10.0.0.9:{43_000 + at}" for at in range(3)}, 3),
        (ended(4), {f"to 10.0.0.9:{43_000 + at}" for at in range(4)}, 4),
        ([waiting(("10.0.0.1", 50_000), ("10.0.0.9", 80), 9)] * 9, {"to 10.0.0.9:80"}, 0),
    ],
    ids=["a few", "a server that ended", "its client", "both", "who knows", "too few", "the range tells"],
)
def test_the_end_that_more_connections_share_is_the_servers(
    sockets: list[bytes], expected: set[str], untold: int
) -> None:
    ports = known()
    read_dump([rows(sockets)], lambda: NOW_MS, ports)
    assert ports.untold == untold
    ports.listened.update(rows([]), NOW_MS + 1000)
    assert hops(read_dump([rows(sockets)], lambda: NOW_MS, ports)) == expected


def test_a_server_that_ended_stays_one_until_its_last_socket_is_gone() -> None:
    ports = known()
    read_dump([rows(ended(200))], lambda: NOW_MS, ports)
    ports.listened.update(rows([]), NOW_MS + 59_000)
    assert hops(read_dump([rows(ended(2))], lambda: NOW_MS, ports)) == {"from 10.0.0.9:50000"}
    assert ports.untold == 0
