"""Seconds cut at the edges of the window."""

import pytest

from bench.load.schedule import SECOND_NS, Phases, Span


def spans(phases: Phases, until_s: float) -> list[tuple[int, float, float, bool]]:
    """Return the stretches from the start on, in seconds from it."""
    rows, at_ns = [], phases.start_ns
    while at_ns < phases.start_ns + until_s * SECOND_NS:
        span = phases.span(at_ns)
        assert span.start_ns == at_ns
        row = ((span.start_ns - phases.start_ns) / SECOND_NS, (span.end_ns - phases.start_ns) / SECOND_NS)
        rows.append((span.second, *row, span.in_window))
        at_ns = span.end_ns
    return rows


@pytest.mark.parametrize(
    ("warmup_s", "duration_s", "until_s", "rows"),
    [
        (1, 2, 4, [(0, 0, 1, False), (1, 1, 2, True), (2, 2, 3, True), (3, 3, 4, False)]),
        (0, 1, 2, [(0, 0, 1, True), (1, 1, 2, False)]),
        (0.5, 1, 2, [(0, 0, 0.5, False), (0, 0.5, 1, True), (1, 1, 1.5, True), (1, 1.5, 2, False)]),
        (0.25, 0.5, 1, [(0, 0, 0.25, False), (0, 0.25, 0.75, True), (0, 0.75, 1, False)]),
    ],
)
def test_no_stretch_lies_on_both_sides_of_an_edge(
    warmup_s: float, duration_s: float, until_s: float, rows: list[tuple[int, float, float, bool]]
) -> None:
    assert spans(Phases(7 * SECOND_NS, warmup_s, duration_s), until_s) == rows


def test_a_window_that_is_ended_early_ends_there() -> None:
    phases = Phases(0, 1, 10)
    phases.end_window(3 * SECOND_NS // 2)
    assert phases.span(SECOND_NS) == Span(1, SECOND_NS, 3 * SECOND_NS // 2, True)
    assert phases.span(3 * SECOND_NS // 2) == Span(1, 3 * SECOND_NS // 2, 2 * SECOND_NS, False)


def test_a_window_that_is_ended_in_the_warm_up_has_no_length() -> None:
    phases = Phases(0, 1, 10)
    phases.end_window(SECOND_NS // 2)
    assert phases.window_start_ns == phases.window_end_ns == SECOND_NS // 2
    assert not phases.span(SECOND_NS // 2).in_window


def test_the_end_of_a_window_cannot_be_put_off() -> None:
    phases = Phases(0, 1, 1)
    phases.end_window(9 * SECOND_NS)
    assert phases.window_end_ns == 2 * SECOND_NS
