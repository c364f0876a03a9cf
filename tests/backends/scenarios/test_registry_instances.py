"""The instances of a registry: those whose last beat is young enough, whatever the order of beats."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from backends.scenarios.registry.instances import Instance, Instances

EXPIRE = 10
A, B = Instance("s", "10.0.0.1", 1), Instance("s", "10.0.0.2", 1)


def test_an_instance_is_new_once_and_again_after_it_left() -> None:
    instances = Instances(EXPIRE)
    assert instances.register(A, 0)
    assert not instances.register(A, 1)
    assert instances.leave(A, 2)
    assert not instances.leave(A, 3)
    assert instances.register(A, 4)


def test_a_beat_of_somebody_unknown_does_not_put_it_on_the_instances() -> None:
    instances = Instances(EXPIRE)
    assert not instances.beat(A, 0)
    assert len(instances) == 0


def test_a_service_tells_when_it_last_changed_and_beats_change_nothing() -> None:
    instances = Instances(EXPIRE)
    instances.register(A, 3)
    instances.beat(A, 5)
    assert instances.service("s").changed_ns == 3
    instances.leave(A, 7)
    assert (instances.service("s").changed_ns, dict(instances.service("s").instances)) == (7, {})


def test_who_is_silent_for_longer_than_the_limit_expires() -> None:
    instances = Instances(EXPIRE)
    instances.register(A, 0)
    instances.register(B, 1)
    instances.beat(A, 5)
    assert instances.expire(11) == []
    assert instances.expire(12) == [B]
    assert list(instances.service("s").instances) == [A]


@given(
    st.lists(st.tuples(st.sampled_from(["beat", "register", "leave"]), st.integers(0, 4), st.integers(0, 9)))
)
def test_the_instances_is_what_a_list_of_last_beats_says(events: list[tuple[str, int, int]]) -> None:
    instances, last, now = Instances(EXPIRE), dict[Instance, int](), 0
    for what, who, later in events:
        now += later
        key = Instance(f"s{who % 2}", "10.0.0.1", who)
        assert set(instances.expire(now)) == {each for each, beat in last.items() if now - beat > EXPIRE}
        last = {each: beat for each, beat in last.items() if now - beat <= EXPIRE}
        getattr(instances, what)(key, now)
        if what == "leave":
            last.pop(key, None)
        elif what == "register" or key in last:
            last[key] = now
    there = {key for name in ("s0", "s1") for key in instances.service(name).instances}
    assert there == set(last)
