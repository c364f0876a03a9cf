"""Our readers by themselves: the cut decides nothing, and who else reads the bytes reads the same."""

from __future__ import annotations

import time
from random import Random

from tests.fuzz import grammar, oracles, reading
from tests.fuzz.finds import Finds
from tests.fuzz.words import MARK

_LONGEST_S = 1.0
"""A stream has at most 2.5 KB: whoever needs longer for it hangs on a longer one."""


def check(seed: str, number: int, finds: Finds) -> None:
    """Check one stream of requests and one response."""
    case = f"{seed}_{number}"
    dice = Random(case)
    began = time.perf_counter()
    _check_requests(case, dice, finds)
    _check_response(case, dice, finds)
    if (took_s := time.perf_counter() - began) > _LONGEST_S:
        finds.add("takes long", case, b"", f"{_LONGEST_S} s", took_s)


def _check_requests(case: str, dice: Random, finds: Finds) -> None:
    data = grammar.requests(dice).replace(MARK, b"id")
    whole = reading.read_requests([data])
    cut = reading.read_requests(grammar.pieces(dice, data))
    if whole != cut:
        finds.add("a cut decides how a request is read", case, data, whole, cut)
    for oracle in (oracles.H11Requests(), oracles.LlhttpRequests()):
        heard = list(oracle.feed(data))
        for ours, theirs in zip(whole.messages, heard, strict=False):
            # Where it is stricter it has stopped; what both take for a message must be the same one.
            if (ours.what, ours.body) != (theirs.what, theirs.body):
                finds.add(f"{oracle.name} reads a request in another way", case, data, ours, theirs)
                break


def _check_response(case: str, dice: Random, finds: Finds) -> None:
    method, data = grammar.response(dice)
    data = data.replace(MARK, b"id")
    whole = reading.read_response_to(method, [data])
    cut = reading.read_response_to(method, grammar.pieces(dice, data))
    if whole != cut:
        finds.add(f"a cut decides how a response to {method.decode()} is read", case, data, whole, cut)
    heard, is_whole = oracles.h11_response(method, data)
    if whole.end in ("closed", "trailing") and is_whole:
        ours = [(message.what, message.body) for message in whole.messages]
        theirs = [(each.what, each.body) for each in heard]
        if ours != theirs:
            finds.add(f"h11 reads a response to {method.decode()} in another way", case, data, ours, theirs)
