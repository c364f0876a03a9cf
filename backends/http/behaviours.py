"""What the flags of a backend do to its clients: delays, response sizes, failures. No sockets, no clock.

Each is read from a short text and then drawn once per response.
"""

import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

from backends.role.errors import MisuseError

PATTERN_UNIT = bytes(range(0x20, 0x7F))
"""The printable ASCII bytes; a body is a prefix of their endless repetition."""

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_BYTES = {"": 1, "B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?)(us|ms|s)")
_SIZE = re.compile(r"([0-9]+)(|B|KiB|MiB|GiB)")


def pattern(size: int) -> bytes:
    """Return the first `size` bytes of the body that every response begins with."""
    return (PATTERN_UNIT * (size // len(PATTERN_UNIT) + 1))[:size]


Delay = Callable[[], float]
"""Draws the seconds to wait before the next response."""


def parse_delay(text: str) -> Delay | None:
    """Read `5ms`, `uniform:1ms-20ms` or `exponential:10ms`; no delay at all is None."""
    kind, _, rest = text.rpartition(":")
    if kind == "uniform":
        low, dash, high = rest.partition("-")
        low_s, high_s = _seconds(low, text), _seconds(high, text)
        if dash and low_s <= high_s:
            return lambda: random.uniform(low_s, high_s)
    elif kind == "exponential":
        mean_s = _seconds(rest, text)
        if mean_s > 0:
            return lambda: random.expovariate(1 / mean_s)
    elif not kind:
        constant_s = _seconds(rest, text)
        return (lambda: constant_s) if constant_s else None
    raise MisuseError(f"delay {text!r} is not understood; write 5ms, uniform:1ms-20ms or exponential:10ms")


def _seconds(text: str, whole: str) -> float:
    match = _TIME.fullmatch(text)
    if match is None and text != "0":
        raise MisuseError(f"delay {whole!r}: {text!r} is no time; write a number with us, ms or s")
    return float(match[1]) * _SECONDS[match[2]] if match else 0.0


@dataclass(frozen=True, slots=True)
class ResponseSize:
    """The size of a response's body in bytes, drawn evenly from `low` to `high`, both included."""

    low: int
    high: int

    @property
    def constant(self) -> bool:
        """Whether every body has the same size."""
        return self.low == self.high

    def draw(self) -> int:
        """Draw the next size in bytes."""
        return self.low if self.low == self.high else random.randint(self.low, self.high)


def parse_response_size(text: str) -> ResponseSize:
    """Read `2`, `100KiB` or a range such as `1KiB-64KiB`."""
    low, dash, high = text.partition("-")
    size = ResponseSize(_bytes(low, text), _bytes(high if dash else low, text))
    if size.low > size.high:
        raise MisuseError(f"response size {text!r} ends before it begins; write the smaller size first")
    return size


def _bytes(text: str, whole: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise MisuseError(f"response size {whole!r} is not understood; write 2, 100KiB or 1KiB-64KiB")
    return int(match[1]) * _BYTES[match[2]]


GARBAGE = b"\x00this is no HTTP response\x00\r\n"


class Failure(Enum):
    """How a response is spoiled."""

    RESET = "reset"
    CUT = "cut"
    GARBAGE = "garbage"


NextNumber = Callable[[], int]
"""Returns 1, 2, 3..., each for one response of one worker."""


class Failures:
    """Which responses are spoiled: every n-th one of each kind, as `next_number` counts them."""

    def __init__(self, every: dict[Failure, int], next_number: NextNumber) -> None:
        self._every = every
        self._next_number = next_number

    def draw(self) -> Failure | None:
        """Count one response and return how it fails, None for not at all."""
        count = self._next_number()
        for failure, every in self._every.items():
            if count % every == 0:
                return failure
        return None


def parse_failures(texts: Iterable[str]) -> dict[Failure, int]:
    """Read `reset:100`, `cut:50`, `garbage:1000`, each alone or joined by commas: every n-th response."""
    every: dict[Failure, int] = {}
    for text in ",".join(texts).split(",") if texts else ():
        kind, _, number = text.partition(":")
        if kind not in {f.value for f in Failure} or not number.isdecimal() or not int(number):
            raise MisuseError(
                f"failure {text!r} is not understood; write reset:N, cut:N or garbage:N, N from 1"
            )
        every[Failure(kind)] = int(number)
    return every
