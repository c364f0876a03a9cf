"""A room numbers what is said, takes each speaker's counts once, and knows who is there."""

from hypothesis import given
from hypothesis import strategies as st

from backends.scenarios.chat.rooms import KEPT, Room, Rooms


def test_what_is_said_is_numbered_and_kept_for_those_who_come_back() -> None:
    room = Room("1")
    assert [room.publish("ann", count, f"text {count}") for count in (1, 2)] == [(1, "text 1"), (2, "text 2")]
    assert room.after(0) == [(1, "text 1"), (2, "text 2")]
    assert room.after(1) == [(2, "text 2")]
    assert room.after(2) == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 6)), max_size=40))
def test_saying_it_again_is_not_heard_twice(said: list[tuple[str, int]]) -> None:
    room = Room("1")
    heard = [(who, count) for who, count in said if room.publish(who, count, "x") is not None]
    assert len(set(heard)) == len(heard) == room.last
    for who in "abc":
        counts = [count for each, count in heard if each == who]
        assert counts == sorted(counts)


def test_only_so_much_is_kept() -> None:
    room = Room("1")
    for count in range(1, KEPT + 11):
        room.publish("ann", count, "x")
    assert [number for number, _ in room.after(0)] == list(range(11, KEPT + 11))


def test_a_new_connection_may_come_before_the_old_one_has_gone() -> None:
    room = Rooms()["1"]
    assert room.enter("ann")
    assert not room.enter("ann")  # back already
    assert not room.leave("ann")  # the old connection ends at last
    assert room.leave("ann")
    assert room.present == {}
