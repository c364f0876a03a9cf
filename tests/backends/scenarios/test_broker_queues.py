"""A broker's queue: numbered messages, handed out in order, and those who wait for the next one."""

from __future__ import annotations

from backends.scenarios.broker.queues import BATCH, KEPT, Queue


def numbers(queue: Queue, after: int) -> list[int]:
    return [message.number for message in queue.after(after)]


def test_messages_are_numbered_from_one_and_given_in_order() -> None:
    queue = Queue()
    assert numbers(queue, 0) == []
    assert [queue.publish(text).number for text in "abc"] == [1, 2, 3]
    assert numbers(queue, 0) == [1, 2, 3]
    assert numbers(queue, 2) == [3]
    assert numbers(queue, 3) == numbers(queue, 9) == []


def test_an_answer_holds_no_more_than_a_batch_and_the_oldest_come_first() -> None:
    queue = Queue()
    for number in range(BATCH + 5):
        queue.publish(str(number))
    assert numbers(queue, 0) == list(range(1, BATCH + 1))
    assert numbers(queue, BATCH) == list(range(BATCH + 1, BATCH + 6))


def test_who_comes_too_late_gets_the_oldest_that_is_kept() -> None:
    queue = Queue()
    for number in range(KEPT + 3):
        queue.publish(str(number))
    assert numbers(queue, 0)[0] == 4


def test_a_waiter_is_called_once_and_one_that_abandoned_is_not() -> None:
    queue, called = Queue(), list[str]()
    queue.wait("a", lambda: called.append("a"))
    queue.wait("b", lambda: called.append("b"))
    queue.abandon("b")
    queue.publish("x")
    queue.publish("y")
    assert called == ["a"]


def test_who_is_called_may_wait_again() -> None:
    queue, called = Queue(), list[int]()

    def again() -> None:
        called.append(len(called))
        queue.wait("a", again)

    queue.wait("a", again)
    queue.publish("x")
    queue.publish("y")
    assert called == [0, 1]
