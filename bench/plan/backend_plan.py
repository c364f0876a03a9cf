"""The backend of a plan, and how its behaviours are written. Pure."""

import operator
import re
from dataclasses import dataclass

from bench import units
from bench.errors import PlanError
from bench.plan import bounds

BACKENDS = ("raw", "aiohttp")
LARGEST_RESPONSE_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class Backend:
    """The server behind the subject, and how it behaves."""

    kind: str = "raw"
    workers: int = 1
    response_size: str = "2"
    delay: str = "0"
    idle_timeout_s: float | None = None
    requests_per_connection: int | None = None
    close: str = "at-once"
    fail: str | None = None

    @property
    def response_bytes(self) -> tuple[int, int]:
        """Return the smallest and the largest response body, in bytes."""
        low, _, high = self.response_size.partition("-")
        return units.size_bytes(low), units.size_bytes(high or low)


# How the backend's behaviours are written (python -m backends --help).
_TIME = r"\d{1,9}(\.\d{1,9})?(ms|s)"
_SPELLINGS = (
    (
        "delay",
        rf"0|{_TIME}|uniform:{_TIME}-{_TIME}|exponential:{_TIME}",
        "5ms, uniform:1ms-20ms, exponential:10ms",
    ),
    ("close", r"at-once|never|linger:\d{1,6}(ms)?", "at-once, linger:5ms, never"),
    (
        "fail",
        r"(reset|cut|garbage):[1-9]\d{0,8}(,(reset|cut|garbage):[1-9]\d{0,8}){0,9}",
        "reset:100 or cut:50,garbage:1000",
    ),
)


def check_backend(backend: Backend) -> None:
    """Raise PlanError where a behaviour of the backend makes no sense."""
    for name, pattern, example in _SPELLINGS:
        value = getattr(backend, name)
        if value is not None and re.fullmatch(pattern, value, re.ASCII) is None:
            raise PlanError(f"plan: backend.{name} = {value!r} is not understood; write {example}")
    try:
        smallest, largest = backend.response_bytes
    except ValueError as error:
        raise PlanError(f"plan: backend.response_size: {error}, or 1KiB-64KiB") from error
    if smallest > largest:
        raise PlanError(f"plan: backend.response_size = {backend.response_size!r} starts above its end")
    if largest > LARGEST_RESPONSE_BYTES:
        raise PlanError(
            f"plan: backend.response_size = {backend.response_size!r} is more than"
            f" {LARGEST_RESPONSE_BYTES >> 30} GiB"
        )
    kind, _, times = backend.delay.rpartition(":")
    if max(map(units.duration_s, times.split("-"))) > bounds.LONGEST_S:
        raise PlanError(f"plan: backend.delay = {backend.delay!r} is more than a day; write it as 5ms or 2s")
    if kind == "uniform" and operator.gt(*map(units.duration_s, times.split("-"))):
        raise PlanError(f"plan: backend.delay = {backend.delay!r} starts above its end")
    if kind == "exponential" and units.duration_s(times) == 0:
        raise PlanError(
            f"plan: backend.delay = {backend.delay!r} has a mean of nothing; write 0 for no delay"
        )
