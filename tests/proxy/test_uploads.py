"""How many requests may hold upstream connections while their bodies arrive, and in which order others may."""

from __future__ import annotations

from proxy.uploads import UploadGate


class Upload:
    """A request that notes when it may stream; it may end at once."""

    def __init__(self, name: str, log: list[str], leaves: UploadGate | None = None) -> None:
        self._name = name
        self._log = log
        self._leaves = leaves

    def start_upload(self) -> None:
        self._log.append(self._name)
        if self._leaves is not None:
            self._leaves.leave(self)


def test_the_others_wait_in_their_order() -> None:
    log: list[str] = []
    gate = UploadGate(2)
    a, b, c, d, e = (Upload(name, log) for name in "abcde")
    assert [gate.enter(each) for each in (a, b, c, d, e)] == [True, True, False, False, False]
    gate.leave(d)
    gate.leave(d)
    assert log == [], "who only waits takes nobody's place"
    gate.leave(b)
    gate.leave(b)
    assert log == ["c"], "one place is free once"
    gate.leave(a)
    assert log == ["c", "e"]
    gate.leave(c)
    assert gate.enter(d)
    assert not gate.enter(a)


def test_one_that_never_entered_may_leave() -> None:
    gate = UploadGate(1)
    gate.leave(Upload("a", []))
    assert gate.enter(Upload("b", []))


def test_one_that_ends_as_it_begins_lets_the_next_one_in() -> None:
    log: list[str] = []
    gate = UploadGate(1)
    first = Upload("first", log)
    gate.enter(first)
    for name in ("x", "y", "z"):
        gate.enter(Upload(name, log, leaves=gate))
    gate.leave(first)
    assert log == ["x", "y", "z"]
    assert gate.enter(first)
