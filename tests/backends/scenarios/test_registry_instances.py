"""Who is on a registry's roster: those whose last beat is young enough, whatever the order of beats."""

from __future__ import annotations

from backends.roster import Key, Roster
from hypothesis import given
from hypothesis import strategies as st

EXPIRE = 10
A, B = Key("s", "10.0.0.1", 1), Key("s", "10.0.0.2", 1)


def test_an_instance_is_new_once_and_again_after_it_left() -> None:
    roster = Roster(EXPIRE)
    assert roster.register(A, 0)
    assert not roster.register(A, 1)
    assert roster.leave(A, 2)
    assert not roster.leave(A, 3)
    assert roster.register(A, 4)


def test_a_beat_of_somebody_unknown_does_not_put_it_on_the_roster() -> None:
    roster = Roster(EXPIRE)
    assert not roster.beat(A, 0)
    assert len(roster) == 0


def test_a_service_tells_when_it_last_changed_and_beats_change_nothing() -> None:
    roster = Roster(EXPIRE)
    roster.register(A, 3)
    roster.beat(A, 5)
    assert roster.service("s").changed_ns == 3
    roster.leave(A, 7)
    assert (roster.service("s").changed_ns, dict(roster.service("s").instances)) == (7, {})


def test_who_is_silent_for_longer_than_the_limit_expires() -> None:
    roster = Roster(EXPIRE)
    roster.register(A, 0)
    roster.register(B, 1)
    roster.beat(A, 5)
    assert roster.expire(11) == []
    assert roster.expire(12) == [B]
    assert list(roster.service("s").instances) == [A]


@given(
    st.lists(st.tuples(st.sampled_from(["beat", "register", "leave"]), st.integers(0, 4), st.integers(0, 9)))
)
def test_the_roster_is_what_a_list_of_last_beats_says(events: list[tuple[str, int, int]]) -> None:
    roster, last, now = Roster(EXPIRE), dict[Key, int](), 0
    for what, who, later in events:
        now += later
        key = Key(f"s{who % 2}", "10.0.0.1", who)
        assert set(roster.expire(now)) == {each for each, beat in last.items() if now - beat > EXPIRE}
        last = {each: beat for each, beat in last.items() if now - beat <= EXPIRE}
        getattr(roster, what)(key, now)
        if what == "leave":
            last.pop(key, None)
        elif what == "register" or key in last:
            last[key] = now
    there = {key for name in ("s0", "s1") for key in roster.service(name).instances}
    assert there == set(last)
