"""From what single connections showed to the interval in which a server's idle time lies. Pure."""

from collections.abc import Sequence

_UNKNOWN_SPREAD = 0.05
"""Of the time that one connection showed, where it is the only one."""


def estimate(seen_s: Sequence[float], error_s: float) -> tuple[float, float]:
    """Return the least and the greatest idle time after which the server ends connections.

    A server that looks at its connections only now and then ends them at any moment between its idle time
    and that plus the time between two looks. Of n moments in such a span the first and the last are, on
    average, one gap away from its ends, and a gap is as long as the mean distance of the n moments (order
    statistics of the uniform distribution): so much is added at either end, beside `error_s`, the error of
    each moment.
    """
    low, high = min(seen_s), max(seen_s)
    gap = (high - low) / (len(seen_s) - 1) if len(seen_s) > 1 else _UNKNOWN_SPREAD * high
    return max(0.0, low - gap - error_s), high + gap + error_s


def waits(low_s: float, high_s: float, count: int) -> list[float]:
    """Return `count` times that divide low_s..high_s into equal parts."""
    return [low_s + (high_s - low_s) * number / (count + 1) for number in range(1, count + 1)]


def narrow(low_s: float, high_s: float, answered: Sequence[tuple[float, bool]]) -> tuple[float, float]:
    """Return where the end lies after tries: each is the time that a connection waited, and its answer.

    A try that contradicts an earlier one (an answer after a wait that another did not survive) counts less
    than the shortest wait without an answer.
    """
    for waited_s, is_answered in sorted(answered):
        if is_answered and low_s < waited_s < high_s:
            low_s = waited_s
        elif not is_answered:
            high_s = min(high_s, max(waited_s, low_s))
    return low_s, high_s
