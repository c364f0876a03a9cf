"""What the texts of --delay, --response-size and --fail mean."""

import itertools
from collections.abc import Callable
from statistics import mean

import pytest

from backends.http.behaviours import (
    Failure,
    Failures,
    ResponseSize,
    parse_delay,
    parse_failures,
    parse_response_size,
    pattern,
)
from backends.role.errors import MisuseError
from bench.load import http11


def test_pattern_is_printable_ascii_repeated() -> None:
    assert pattern(0) == b""
    assert pattern(3) == b' !"'
    assert pattern(97) == bytes(range(0x20, 0x7F)) + b" !"


def test_the_client_checks_bodies_against_the_same_pattern() -> None:
    assert http11.pattern(100_000) == pattern(100_000)


@pytest.mark.parametrize(
    ("text", "low_s", "high_s"),
    [
        ("5ms", 0.005, 0.005),
        ("250us", 0.00025, 0.00025),
        ("1.5s", 1.5, 1.5),
        ("uniform:1ms-20ms", 0.001, 0.02),
    ],
)
def test_delays_lie_in_their_range(text: str, low_s: float, high_s: float) -> None:
    delay = parse_delay(text)
    assert delay is not None
    drawn = [delay() for _ in range(1000)]
    assert min(drawn) >= low_s
    assert max(drawn) <= high_s
    assert (len(set(drawn)) == 1) == (low_s == high_s)


def test_exponential_delays_have_their_mean() -> None:
    delay = parse_delay("exponential:10ms")
    assert delay is not None
    assert 0.008 < mean(delay() for _ in range(20_000)) < 0.012


@pytest.mark.parametrize("text", ["0", "0ms"])
def test_no_delay(text: str) -> None:
    assert parse_delay(text) is None


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", ResponseSize(0, 0)),
        ("2", ResponseSize(2, 2)),
        ("7B", ResponseSize(7, 7)),
        ("100KiB", ResponseSize(102_400, 102_400)),
        ("1KiB-64KiB", ResponseSize(1024, 65_536)),
        ("10MiB", ResponseSize(10 << 20, 10 << 20)),
    ],
)
def test_response_sizes(text: str, size: ResponseSize) -> None:
    assert parse_response_size(text) == size
    assert all(size.low <= size.draw() <= size.high for _ in range(100))


def test_every_nth_response_fails() -> None:
    failures = Failures(parse_failures(["reset:4,cut:3", "garbage:5"]), itertools.count(1).__next__)
    reset, cut, garbage = Failure.RESET, Failure.CUT, Failure.GARBAGE
    assert [failures.draw() for _ in range(12)] == [
        *(None, None, cut, reset, garbage, cut),
        *(None, reset, cut, garbage, None, reset),  # the twelfth is both: reset was named first
    ]


def parse_failure(text: str) -> object:
    return parse_failures([text])


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        *(
            (parse_delay, text)
            for text in ("", "5", "-5ms", "5 ms", "uniform:5ms", "uniform:9ms-1ms", "x:5ms")
        ),
        *((parse_delay, text) for text in ("exponential:0", "exponential:", "1e3ms")),
        *((parse_response_size, text) for text in ("", "-1", "1KB", "2-1", "1-", "1.5KiB", "٣")),
        *((parse_failure, text) for text in ("", "reset", "reset:0", "reset:-1", "boom:3", "reset:1,,cut:2")),
    ],
)
def test_what_makes_no_sense_is_named(parse: Callable[[str], object], text: str) -> None:
    with pytest.raises(MisuseError, match="write") as refused:
        parse(text)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 2
