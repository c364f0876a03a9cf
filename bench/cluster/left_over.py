"""What trials before left in TIME_WAIT towards a fixed port, which takes ports away from the next one.

Each trial is to begin alike. Where its backends listen on ports of their own there is nothing of it; with a
fixed port it has to be waited for, as the kernel keeps each connection for a minute.
"""

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.lab import split_address
from bench.observe.sock_diag import TIME_WAIT, SockDiag, address_words

FEW = 0.01
"""The share of a machine's tuples that is no matter: half of them is passed later by so much."""
_LONGEST_S = 70.0
"""A minute (Linux: TCP_TIMEWAIT_LEN, include/net/tcp.h), and how long its timer may be late.

Up to 4.1 s: so coarse are timers of a minute where HZ is 1,000 (kernel/time/timer.c, LVL_GRAN).
"""
_LOOK_S = 1.0
_SOON_S = 0.1
"""When to look again for connections whose time is over."""


@dataclass(frozen=True, slots=True)
class LeftOver:
    """The connections in TIME_WAIT from one machine to those that its role will connect to."""

    count: int = 0
    few_in_s: float = 0.0
    """When only few of them are left; 0: so it is."""


def find(addresses: Collection[str], port_range: int) -> LeftOver:
    """Return what is left over in this network namespace towards `addresses`, HOST:PORT each.

    Nothing where the system does not show it: then no TIME_WAIT is measured either, and that is said.
    """
    try:
        diag = SockDiag()
    except OSError:
        return LeftOver()
    with closing(diag):
        sockets = diag.dump_addressed((TIME_WAIT,))
    is_ours = np.zeros(len(sockets), bool)
    for address in addresses:
        host, port = split_address(address)
        is_ours |= (sockets.remote_port == port) & (sockets.remote == address_words(host.strip("[]"))).all(
            axis=1
        )
    return left(sockets.expires_ms[is_ours], int(FEW * port_range * len(addresses)))


def left(expires_ms: NDArray[np.uint32], few: int) -> LeftOver:
    """Return what is left over where connections have so long to stay, and `few` of them are no matter.

    One whose time is over keeps its port until its timer fires, which may be seconds later.
    """
    stay_ms = np.sort(expires_ms)[::-1]
    is_few = len(stay_ms) <= few
    return LeftOver(len(stay_ms), 0.0 if is_few else max(_SOON_S, float(stay_ms[few]) / 1000))


def wait_until_few(
    look: Callable[[], Mapping[str, LeftOver]],
    say: Callable[[str], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Wait until each machine has only few left, and a minute at the most; return what is left all the same.

    `look` returns what each has now, by its name. `say` is called with a line once it has to be waited for.
    """
    deadline_s, is_told = clock() + _LONGEST_S, False
    while many := {name: each for name, each in look().items() if each.few_in_s > 0}:
        left_s = deadline_s - clock()
        if left_s <= 0:
            return [
                f"{name}: {each.count:,} connections of others are in TIME_WAIT towards its backends, so that"
                " half of the ports comes sooner; leave out --backend-port"
                for name, each in many.items()
            ]
        longest_s = max(each.few_in_s for each in many.values())
        if not is_told:
            is_told = True
            counted = ", ".join(f"{name}: {each.count:,}" for name, each in many.items())
            say(
                f"waiting {longest_s:.0f} s for connections of before in TIME_WAIT towards the same backends"
                f" ({counted}); without --backend-port there are none"
            )
        sleep(min(longest_s, left_s, _LOOK_S))
    return []
